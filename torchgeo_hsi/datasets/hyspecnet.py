# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HySpecNet-11k with the wavelengths that its bands have."""

from collections.abc import Sequence
from typing import Literal

import torch
from matplotlib.figure import Figure
from torchgeo.datasets import HySpecNet11k

from .._typing import Sample
from ..io.enmap import L2A_NODATA
from ..physics import BandSet, get_sensor
from .plotting import plot_sample


class HSIHySpecNet11k(HySpecNet11k):
    """torchgeo's HySpecNet-11k, whose samples say what is valid at which wavelength.

    The files are in the order of wavelength. torchgeo's names and wavelengths count
    through the detectors, so those of the bands 80 to 101 belong to others.

    Args:
        root: Folder of the data.
        split: One of 'train', 'val' and 'test'.
        strategy: ``'easy'`` splits by patch, ``'hard'`` by scene.
        bands: Names of bands as in :class:`~torchgeo_hsi.datasets.EnMAPL2A`, in the
            order wanted; the 202 kept ones by default.
        download: Whether to get what is missing.
    """

    def __init__(
        self,
        root: str = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        strategy: Literal['easy', 'hard'] = 'hard',
        bands: Sequence[str | int | float] | None = None,
        download: bool = False,
    ) -> None:
        """Initialize a new HSIHySpecNet11k instance; see the class for arguments."""
        sensor = get_sensor('enmap')
        every = sensor.bands.by_wavelength()
        kept = sensor.default_bandset.by_wavelength()
        self.bandset: BandSet = kept if bands is None else kept.select(bands)
        super().__init__(root, split, strategy, download=download)
        self.bands = self.bandset.names
        # positions in the file, from 1, instead of names that mean other bands
        self.band_indices = [i + 1 for i in every.indices(self.bandset.names)]
        self.wavelengths = torch.tensor(self.bandset.wavelength, dtype=torch.float32)

    @property
    def scenes(self) -> list[str]:
        """EnMAP scene of each patch."""
        return [file.split('/')[0] for file in self.files]

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Number of the sample.

        Returns:
            ``image``: reflectance x 10 000, 0 without data; ``valid``; ``wavelength``
            and ``fwhm`` in micrometres; ``x``, ``y``, ``t`` and ``res`` as in torchgeo.
        """
        sample: Sample = super().__getitem__(index)
        empty = (sample['image'] == L2A_NODATA) | ~sample['image'].isfinite()
        sample['image'] = sample['image'].masked_fill(empty, 0)
        sample['valid'] = ~empty.any(dim=0)
        sample['fwhm'] = torch.tensor(self.bandset.fwhm, dtype=torch.float32)
        return sample

    def plot(
        self, sample: Sample, suptitle: str | None = None, show_titles: bool = True
    ) -> Figure:
        """Plot a sample: true and false color and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`.
            suptitle: Title of the whole figure.
            show_titles: Whether to show a title above each panel.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no selected band is visible.
        """
        return plot_sample(sample, show_titles=show_titles, suptitle=suptitle)
