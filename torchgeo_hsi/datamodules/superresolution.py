# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of coarse and fine cubes for super-resolution, and what helps beside them."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

from torch.utils.data import DataLoader
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..errors import BandMismatchError, EmptyDataError, MetadataError
from ..physics.rgb import color_positions
from ..samplers._rasters import check_share
from ..transforms import Downscale, NoiseTransform, SpectralMixup, SyntheticRGB
from ._crops import CubeCrops, StreamedCrops, make_crops
from ._cube_module import CubeDataModule, Cubes, Reading, check_length
from ._cube_sources import as_list
from ._cube_windows import CubeWindows
from ._superresolution_batches import (
    BatchMaker,
    DegradedWindows,
    MixedCrops,
    MixedSampler,
    check_cycle,
    spread,
)
from ._superresolution_images import ColorImages, color_options

#: Word in *rgb* for color images that are made of the cubes.
SYNTHETIC = 'synthetic'

#: Share of a color in which a cube needs bands to make color images of it.
_COVERAGE = 0.3

# command lines are made from it, which know no `type` statements of other modules
Degradation = Literal['bicubic', 'gaussian', 'mtf', 'box'] | Downscale

type _Crops = CubeCrops | StreamedCrops


class HSISuperResolutionDataModule(CubeDataModule):
    """Pairs of coarse and fine cubes, and what helps beside them.

    Each of *train*, *val*, *test*, *predict* and *coarse* names cubes: files, product
    folders, folders of files, patterns such as ``'aviris/abu-*.mat'``, datasets, or a
    list of these, as in :class:`HSIDenoisingDataModule`. A cube is the fine image, the
    coarse one is made of it. Each is scaled to about [0, 1]; ``scale`` and ``offset`` of
    a sample lead back. If a dataset brings a clean ``target``, that is taken.

    A training batch is of one kind, and ``modality`` says what the task learns from it:

    * ``spectral``: random crops of *train*, flipped, turned and made coarse on the
      device;
    * ``mixup``: the same, and the bands of each pair are mixed (*mixup*);
    * ``rgb``: pairs of color images (*rgb*) in the channels of an RGB branch;
    * ``coarse``: crops of cubes that are coarse already and have no finer one
      (*coarse*).

    *cycle* says how often each of them comes. Validation and test take whole cubes, or
    windows that cover them, made coarse in the same way every time. Prediction takes one
    scene, as it is, in overlapping tiles that keep their place, for
    :class:`~torchgeo_hsi.callbacks.GeoTIFFCubeWriter`, which writes the result on the
    finer grid.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.HSISuperResolutionDataModule
              init_args:
                train: data/aviris/*.mat
                val: data/enmap.tif
                scale: 2
                num_bands: 31
                mixup: true
                rgb: data/photographs
    """

    def __init__(
        self,
        train: Cubes = None,
        val: Cubes = None,
        test: Cubes = None,
        predict: str | NonGeoDataset | GeoDataset | None = None,
        scale: int = 2,
        degradation: Degradation = 'bicubic',
        noise: str | NoiseTransform | None = None,
        mixup: bool | SpectralMixup = False,
        rgb: Cubes = None,
        coarse: Cubes = None,
        cycle: dict[str, int] | None = None,
        rgb_channels: int = 8,
        rgb_options: dict[str, Any] | None = None,
        visible_bands: list[int] | None = None,
        scaling: str | float = 'percentile',
        patch_size: int = 16,
        bands: list[int | float] | None = None,
        num_bands: int | None = None,
        length: int | None = None,
        batch_size: int = 8,
        dihedral: bool = True,
        min_valid: float = 0.5,
        eval_patch_size: int | None = None,
        eval_num_bands: int | None = None,
        eval_batch_size: int = 1,
        tile_size: int = 64,
        overlap: int = 16,
        seed: int = 0,
        num_workers: int = 0,
        in_memory: bool = True,
        exclude: Sequence[str] = (),
        reader_options: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new HSISuperResolutionDataModule instance.

        Args:
            train: Fine cubes to train with.
            val: Fine cubes to validate with.
            test: Fine cubes to test with.
            predict: The scene to enlarge.
            scale: Factor of rows and columns.
            degradation: How a coarse image is made of a fine one: the kernel of
                :class:`~torchgeo_hsi.transforms.Downscale`, or such a transform, which
                has more options. ``'gaussian'`` has a standard deviation of half a
                coarse pixel, ``'mtf'`` a gain of 0.3.
            noise: Noise of the coarse image: a name, see
                :func:`~torchgeo_hsi.transforms.get_noise`, or a transform.
            mixup: Whether there are batches with mixed bands, or how they are mixed.
            rgb: Color images to train with: files, folders, patterns or datasets of
                torchgeo, or ``'synthetic'`` for what a color camera would see of the
                cubes of *train*.
            coarse: Cubes to train with that have no finer one.
            cycle: Batches of each kind in a cycle, ``{'spectral': 1, 'mixup': 1, 'rgb':
                3, 'coarse': 3}`` by default, as published. Kinds without data are left
                out.
            rgb_channels: Channels of the RGB branch of the network, ``n_subs`` of
                DeepShare.
            rgb_options: How color images are read: ``bands``, which of an image are
                red, green and blue (the first three by default); ``peak``, the number
                that becomes 1 (255 for 8 bits, 65 535 for 16 bits, and for real numbers 1 or,
                if there are some above 2, 255); ``in_memory``, whether to read all of them once and not one for
                each crop.
            visible_bands: Positions of red, green and blue of cubes (among *bands*, if
                those are chosen), for ``'synthetic'``; by default, wavelengths tell.
            scaling: What becomes 0 and 1, for each cube: its lowest and highest number
                (``'min_max'``), its 0.1 % and 99.9 % quantiles (``'percentile'``),
                reflectance of 0 and 1 (``'reflectance'``: 0 and 10 000), or 0 and a
                number.
            patch_size: Rows and columns of the coarse image of a training crop; its
                target has *scale* times as many. Smaller cubes are mirrored at their
                edge; the mirror image does not count.
            bands: Bands of all cubes: positions from 0 among those with data, or
                wavelengths in micrometres, of which the nearest band is taken; all by
                default.
            num_bands: Neighboring bands of a training crop, from a random one on; all
                by default.
            length: Crops per training epoch, of all kinds together; by default as many
                as cover the cubes with those of ``spectral``.
            batch_size: Crops per training batch.
            dihedral: Whether to flip and turn training crops.
            min_valid: Least share of valid pixels of a training crop.
            eval_patch_size: Largest number of rows and columns of the target of a sample
                of validation and test, a multiple of *scale*; whole cubes by default.
            eval_num_bands: Neighboring bands of such a sample; all by default.
            eval_batch_size: Samples per batch of validation and test. All of them have
                to have the same shape, if it is not 1.
            tile_size: Largest number of rows and columns of a tile of prediction, in
                coarse pixels, a multiple of 8.
            overlap: Rows and columns that two tiles share at least, a multiple of 8.
            seed: Seed of the noise of validation and test.
            num_workers: Processes that load data.
            in_memory: Whether to read all cubes once. False reads samples of datasets
                of patches when they are drawn.
            exclude: Patterns of the names of files that are not for training.
            reader_options: Options of :func:`~torchgeo_hsi.io.open_cube`, such as
                ``key`` or ``nodata``.

        Raises:
            BandMismatchError: If *visible_bands* are no three positions.
            ValueError: If a number is out of its range, or options contradict each
                other.
            UnknownNameError: If there is no such noise.
        """
        sources = dict[str, Cubes](
            train=train, val=val, test=test, rgb=rgb, coarse=coarse
        )
        reading = Reading.of(scaling, in_memory, exclude, reader_options, bands)
        counts = (batch_size, eval_batch_size, num_workers)
        super().__init__(sources, predict, reading, (tile_size, overlap), *counts)
        self.scale, self.seed, self.length = scale, seed, length
        self.cycle, self._color = check_cycle(cycle), color_options(rgb_options)
        self._crops = (patch_size, num_bands, check_share(min_valid))
        self._dihedral, self._mixup = dihedral, mixup
        self._parts = (eval_patch_size, eval_num_bands)
        self._downscale = _downscale(scale, degradation, noise)
        self._make_pairs = self._maker(rgb_channels, visible_bands)
        self._check_numbers()

    def _maker(self, channels: int, visible_bands: list[int] | None) -> BatchMaker:
        """Build what makes pairs of training batches."""
        mixup = self._mixup if isinstance(self._mixup, SpectralMixup) else None
        camera = None
        if visible_bands is not None:
            color_positions(visible_bands)
        if self.sources['rgb'] == SYNTHETIC:
            camera = SyntheticRGB(bands=visible_bands, min_coverage=_COVERAGE)
        return BatchMaker(self._downscale, mixup or SpectralMixup(), channels, camera)

    def _check_numbers(self) -> None:
        super()._check_numbers()
        eval_patch_size, _ = self._parts
        if eval_patch_size is not None and eval_patch_size % self.scale:
            raise ValueError(
                f'Expected an eval_patch_size that is a multiple of scale={self.scale}, '
                f'got {eval_patch_size}.'
            )

    def _setup_training(self) -> None:
        crops = self._training_crops()
        counts = {kind: self.cycle[kind] for kind in crops if self.cycle[kind]}
        if not counts:
            raise EmptyDataError(
                f'No batch is left of the cycle {self.cycle}: there are data for '
                f'{", ".join(crops)} only.'
            )
        total, spectral = sum(counts.values()), counts.get('spectral', 0)
        share = total / spectral if spectral else 1
        length = self.length or round(crops['spectral'].cover * share)
        check_length(length, self.batch_size)
        self.train_dataset = MixedCrops({kind: crops[kind] for kind in counts})
        self.train_sampler = MixedSampler(
            self.train_dataset.crops,
            spread(counts),
            length // self.batch_size,
            self.batch_size,
            self._dihedral,
        )

    def _training_crops(self) -> dict[str, _Crops]:
        """Return the crops of each kind that there are data for."""
        patch_size, num_bands, min_valid = self._crops
        fine = patch_size * self.scale
        plain = ((1.0,), min_valid)
        cubes = self._cubes('train', clean=True)
        spectral = make_crops(cubes, fine, num_bands, *plain)
        crops: dict[str, _Crops] = {'spectral': spectral}
        if self._mixup:
            crops['mixup'] = spectral
        if self.sources['rgb'] == SYNTHETIC:
            crops['rgb'] = spectral
        elif self._is_named('rgb'):
            bands, peak, in_memory = self._color
            images = ColorImages(as_list(self.sources['rgb']), bands, peak)
            photos = list(images) if in_memory else images
            crops['rgb'] = make_crops(photos, fine, None, *plain)
        if self._is_named('coarse'):
            others = self._cubes('coarse', clean=True)
            crops['coarse'] = make_crops(others, patch_size, num_bands, *plain)
        self._check_colors(crops)
        return crops

    def _check_colors(self, crops: dict[str, _Crops]) -> None:
        """Refuse crops of cubes in which nobody knows what is red, green and blue."""
        words = {'coarse': 'coarse='}
        if self.sources['rgb'] == SYNTHETIC:
            words['rgb'] = f'rgb={SYNTHETIC!r}'
        num_bands = self._crops[1]
        for kind, word in words.items():
            if kind in crops and num_bands and _most_bands(crops[kind]) > num_bands:
                raise BandMismatchError(
                    f'{word} needs red, green and blue, and num_bands={num_bands} takes '
                    'bands from anywhere in the spectrum. Choose the same bands of all '
                    'cubes with bands=, and leave num_bands out.'
                )
        has_wavelengths = 'wavelength' in crops['spectral'].keys
        camera = self._make_pairs.camera
        if camera is not None and camera.bands is None and not has_wavelengths:
            raise MetadataError(
                'Not all cubes in train= have wavelengths, so nobody knows what is red, '
                'green and blue in them. Pass visible_bands=[red, green, blue], as '
                'positions from 0.'
            )

    def _windows(self, split: Literal['val', 'test']) -> DegradedWindows:
        windows = CubeWindows(
            self._cubes(split, clean=True),
            *self._parts,
            stackable=self.eval_batch_size > 1,
        )
        # seeding its noise for each sample must not seed that of training
        return DegradedWindows(windows, copy.deepcopy(self._downscale), self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training batches."""
        assert self.train_dataset is not None
        # the sampler draws whole batches
        return self._loader(
            self.train_dataset, batch_size=None, sampler=self.train_sampler
        )

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Make pairs of a training batch, on the device.

        Args:
            batch: The batch.
            dataloader_idx: Index of the data loader.

        Returns:
            A new batch, with ``image``, ``target`` and ``modality``.
        """
        return self._make_pairs(batch) if 'kind' in batch else batch


def _most_bands(crops: _Crops) -> int:
    """Return the largest number of bands of some cubes."""
    cubes = [crops.cubes.first] if isinstance(crops, StreamedCrops) else crops.cubes
    return max(cube.shape[0] for cube in cubes)


def _downscale(
    scale: int, degradation: Degradation, noise: str | NoiseTransform | None
) -> Downscale:
    """Build what makes coarse images.

    Raises:
        ValueError: If options contradict each other.
    """
    if not isinstance(degradation, Downscale):
        sigma = scale / 2 if degradation == 'gaussian' else None
        return Downscale(scale, degradation, sigma, noise=noise)
    if degradation.scale != scale or noise is not None:
        raise ValueError(
            f'Expected a degradation of scale {scale}, as the data module, that brings '
            f'its own noise, got one of scale {degradation.scale} and noise={noise!r}.'
        )
    return degradation
