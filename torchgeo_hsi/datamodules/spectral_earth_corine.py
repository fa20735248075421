# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-CORINE: several land covers for each patch."""

from typing import Any, Literal

from ..datasets import SpectralEarthCORINE
from ..datasets.spectral_earth.classes import load_classes
from .spectral_earth_downstream import SpectralEarthDownstreamDataModule


class SpectralEarthCORINEDataModule(
    SpectralEarthDownstreamDataModule,
    dataset=SpectralEarthCORINE,
    batch_size=32,
    crop_scale=(0.6, 1.0),
):
    """EnMAP-CORINE: 19 or 43 land covers of Europe, several for each patch.

    See :class:`SpectralEarthDownstreamDataModule`.
    """

    def __init__(
        self,
        root: str = 'data',
        batch_size: int | None = None,
        num_workers: int = 0,
        image_size: int = 128,
        crop_scale: tuple[float, float] | None = None,
        bands: list[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: str | None = None,
        download: bool = False,
        num_classes: Literal[19, 43] = 19,
        statistics: str | None = None,
    ) -> None:
        """Initialize a new SpectralEarthCORINEDataModule instance.

        Args:
            root: See :class:`SpectralEarthDownstreamDataModule`, as all that follow.
            batch_size: Patches per batch; that of the authors by default.
            num_workers: Processes that load data.
            image_size: Rows and columns of the images that the network gets.
            crop_scale: Smallest and largest share of the area of a training crop.
            bands: Bands in the order wanted; all by default.
            split_by: ``'official'`` or ``'scene'``.
            fraction: Share of the training and validation labels to use.
            split_dir: Folder of the lists of the splits.
            download: Whether to get what is missing.
            num_classes: 19 or 43.
            statistics: A table or a file; the published ones by default.
        """
        super().__init__(
            root,
            batch_size,
            num_workers,
            image_size,
            crop_scale,
            bands,
            split_by,
            fraction,
            split_dir,
            download,
            statistics,
        )
        self.num_classes = num_classes
        table = load_classes(f'corine_{num_classes}')
        self.class_names, self.class_colors = table.names, table.colors
        # a patch has a vector of classes, in which nothing is left out
        self.ignore_index = None

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), 'num_classes': self.num_classes}
