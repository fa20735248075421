# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of a cube and a panchromatic image for pansharpening."""

from typing import Any, Literal, NamedTuple

from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..datasets._pan_source import OWN
from ..datasets.pan_pairs import PanPairs
from ..datasets.prisma_pansharpening import PRISMAPansharpening
from ..errors import EmptyDataError, MetadataError
from ..samplers._rasters import check_share
from ._cube_module import check_counts
from ._cube_sources import find_cubes
from ._named_sources import NamedSources
from ._pan_pairs import PairSampler, PairSamples, PanTiles, SceneCubes, collate_pairs

# command lines are made from these, which know no `type` statements of other modules
_Cubes = str | list[str] | NonGeoDataset | GeoDataset | None
_Pans = str | list[str] | dict[str, str | list[str] | None] | None
_Resolution = Literal['reduced', 'full']


class _Wald(NamedTuple):
    """How pairs at reduced resolution are made."""

    ratio: int | None
    gain: float
    pan_gain: float
    pan_range: str | tuple[float, float]


class HSIPansharpeningDataModule(NamedSources):
    """Pairs of a cube and a panchromatic image for pansharpening.

    Pairs come from

    * the folder of the HS-pansharpening toolbox, *root*, see
      :class:`~torchgeo_hsi.datasets.PRISMAPansharpening`,
    * cubes in files, and panchromatic images in files, in the products themselves, or
      simulated, see :class:`~torchgeo_hsi.datasets.PanPairs`, or
    * datasets: of pairs, of cubes, or of scenes on a grid, such as
      ``PRISMAL2D(pan=True)`` and ``SimulatedEnMAP``.

    Training takes random crops; validation and test take whole pairs or windows. Both
    are at reduced resolution, where the truth is known, unless *resolution* and
    *test_resolution* say otherwise. Prediction is at full resolution: one scene in
    overlapping tiles that keep their place, for
    :class:`~torchgeo_hsi.callbacks.GeoTIFFCubeWriter`, which writes the result on the
    grid of the panchromatic image.

    Batch:

    * ``image``: cubes, float32 of shape ``(B, C, h, w)``
    * ``pan``: panchromatic images, float32 of shape ``(B, 1, H, W)``
    * ``target``: the truth, float32 of shape ``(B, C, H, W)``; at reduced resolution
    * ``valid``, ``pan_valid``: where there is data, bool
    * ``wavelength``, ``fwhm``, ``up``, ``transform``, ``bounds``: where all pairs of the
      batch have them; the last two are those of ``image``

    Values are those of the files: nothing is normalized.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.HSIPansharpeningDataModule
              init_args:
                train: [data/prisma/scene_1.he5, data/prisma/scene_2.he5]
                val: data/prisma/scene_3.he5
                predict: data/prisma/scene_4.he5
                pans: own
                crop_size: 32
    """

    _collate = staticmethod(collate_pairs)

    def __init__(
        self,
        root: str | None = None,
        train: _Cubes = None,
        val: _Cubes = None,
        test: _Cubes = None,
        predict: _Cubes = None,
        pans: _Pans = None,
        resolution: _Resolution = 'reduced',
        test_resolution: _Resolution = 'reduced',
        ratio: int | None = None,
        gain: float = 0.3,
        pan_gain: float = 0.2,
        pan_range: str | tuple[float, float] = (0.4, 0.7),
        bands: list[int] | None = None,
        interpolated: bool = False,
        patch_size: int | None = None,
        stride: int | None = None,
        crop_size: int | None = None,
        min_valid: float = 0.5,
        length: int | None = None,
        batch_size: int = 4,
        eval_batch_size: int = 1,
        tile_size: int | None = 128,
        overlap: int = 16,
        num_workers: int = 0,
        in_memory: bool = False,
        reader_options: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new HSIPansharpeningDataModule instance.

        Args:
            root: Folder of the HS-pansharpening toolbox. Stages for which nothing else
                is named take their pairs from it.
            train: Cubes to train with: files, folders, patterns such as
                ``'data/*.he5'``, a list of these, or a dataset.
            val: Cubes to validate with.
            test: Cubes to test with.
            predict: The scene to sharpen.
            pans: Panchromatic images of the cubes: ``'own'`` for those of PRISMA
                products, a file or files in the order of the cubes, None to simulate
                them, or a dictionary of these with the stages ``train``, ``val``,
                ``test`` and ``predict``.
            resolution: Resolution of training and validation, ``'reduced'`` or
                ``'full'``.
            test_resolution: Resolution of the test.
            ratio: Ratio of pixel sizes; from the images by default. A simulated
                panchromatic image needs one.
            gain: Gain of the cube's sensor at its Nyquist frequency.
            pan_gain: The same of the panchromatic sensor.
            pan_range: First and last wavelength in micrometres of a simulated
                panchromatic band, or its name.
            bands: Positions of the bands wanted, from 0; all by default.
            interpolated: Whether pairs of *root* have the interpolated cube of the
                toolbox as ``up``.
            patch_size: Rows and columns that are read of a file for a pair, in pixels
                of the cube as it is stored; whole cubes by default.
            stride: Rows and columns from one of these to the next.
            crop_size: Rows and columns of a training crop, in pixels of the cube of a
                pair; whole pairs by default.
            min_valid: Least share of valid pixels of a training crop.
            length: Samples per training epoch; by default each pair once.
            batch_size: Samples per training batch.
            eval_batch_size: Samples per batch of validation and test.
            tile_size: Largest number of rows and columns of a tile of prediction, in
                pixels of the cube; None for the whole scene.
            overlap: Rows and columns that two tiles share at least.
            num_workers: Processes that load data.
            in_memory: Whether to read each training pair only once.
            reader_options: Options to read cubes in files, as of
                :class:`~torchgeo_hsi.datasets.HSICube`, such as ``key``, and
                ``pan_band`` and ``pan_options`` of
                :class:`~torchgeo_hsi.datasets.PanPairs`.

        Raises:
            ValueError: If a number is out of its range.
        """
        super().__init__(NonGeoDataset, batch_size, num_workers)
        self.root = root
        self.sources: dict[str, _Cubes] = {'train': train, 'val': val, 'test': test}
        self.sources['predict'] = predict
        self.pans = pans
        self.resolution: _Resolution = resolution
        self.test_resolution: _Resolution = test_resolution
        self.bands, self.interpolated = bands, interpolated
        self._crops = (crop_size, check_share(min_valid), in_memory)
        self.length = length
        self.eval_batch_size = eval_batch_size
        self._tiling = (tile_size, overlap)
        self._wald = _Wald(ratio, gain, pan_gain, pan_range)
        self._parts: dict[str, Any] = {'patch_size': patch_size, 'stride': stride}
        self.reader_options = reader_options or {}
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse numbers that are out of their range.

        Raises:
            ValueError: If there is one.
        """
        tile_size, overlap = self._tiling
        counts: dict[str, int | None] = {
            'batch_size': self.batch_size,
            'eval_batch_size': self.eval_batch_size,
            'crop_size': self._crops[0],
            'length': self.length,
            'tile_size': tile_size,
            **self._parts,
        }
        check_counts('', **counts)
        if tile_size is not None and not 0 <= 2 * overlap <= tile_size:
            raise ValueError(
                'Expected an overlap from 0 to half of tile_size, got '
                f'{overlap} and {tile_size}.'
            )

    def _is_named(self, split: str) -> bool:
        return self.sources[split] is not None or self.root is not None

    def _setup_training(self) -> None:
        pairs = self._pairs('train', self.resolution)
        count = len(pairs)  # type: ignore[arg-type]
        length = self.length or count
        if length < self.batch_size:
            raise EmptyDataError(
                f'{length} training pairs make no batch of {self.batch_size}. Raise '
                'length or lower batch_size.'
            )
        self.train_dataset = PairSamples(pairs, *self._crops)
        self.train_sampler = PairSampler(count, length)

    def _windows(self, split: Literal['val', 'test']) -> PairSamples:
        resolution = self.resolution if split == 'val' else self.test_resolution
        return PairSamples(self._pairs(split, resolution))

    def _pairs(self, split: str, resolution: _Resolution) -> Dataset[Sample]:
        """Return the pairs of a split."""
        source = self.sources[split]
        if source is None:
            if self.root is None:
                raise MetadataError(
                    f'Expected cubes in {split}=, or the folder of the '
                    'HS-pansharpening toolbox in root=, got neither.'
                )
            name: Any = 'test' if split == 'predict' else split
            return PRISMAPansharpening(
                self.root, name, resolution, self.bands, self.interpolated
            )
        if isinstance(source, GeoDataset):
            source = SceneCubes(source)
        if isinstance(source, NonGeoDataset):
            if isinstance(source, PRISMAPansharpening | PanPairs):
                return source
            first = source[0]
            if 'target' in first or ('pan' in first and resolution == 'full'):
                return source
            return PanPairs(source, None, resolution, **self._wald._asdict())
        return self._of_files(split, source, resolution, **self._parts)

    def _of_files(
        self, split: str, source: str | list[str], resolution: _Resolution, **parts: Any
    ) -> PanPairs:
        """Return the pairs of files."""
        pans = self.pans
        chosen = pans.get(split) if isinstance(pans, dict) else pans
        if chosen is not None and chosen != OWN:
            chosen = _files(chosen)
        options = dict(self.reader_options)
        if self.bands is not None:
            options['bands'] = self.bands
        return PanPairs(
            _files(source),
            chosen,
            resolution,
            **self._wald._asdict(),
            **parts,
            **options,
        )

    def _tiles(self) -> Dataset[Sample]:
        """Return what is predicted."""
        source = self.sources['predict']
        pairs: Dataset[Sample]
        if source is None or isinstance(source, NonGeoDataset | GeoDataset):
            pairs = self._pairs('predict', 'full')
        else:
            pairs = self._of_files('predict', source, 'full')
        if not isinstance(pairs, PanPairs) or not pairs.files:
            return PairSamples(pairs)
        if len(pairs.files) != 1:
            raise MetadataError(
                f'Expected one scene in predict=, got {len(pairs.files)}. Predict '
                'scene by scene.'
            )
        if pairs.resolution != 'full':
            raise MetadataError(
                "Expected pairs of resolution='full' in predict=, got reduced ones, "
                'which are for tests.'
            )
        return PanTiles(pairs, *self._tiling)

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Leave a batch as it is.

        Args:
            batch: The batch.
            dataloader_idx: Index of the data loader.

        Returns:
            The same batch.
        """
        return batch


def _files(paths: str | list[str]) -> list[str]:
    """Find the files behind paths, folders and patterns, in their order."""
    entries = [paths] if isinstance(paths, str) else paths
    return [file for entry in entries for file in find_cubes(entry)]
