# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of noisy and clean images from cubes of any kind."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..errors import MetadataError
from ..samplers._rasters import check_share
from ..transforms.noise import NoiseTransform, get_noise
from ._crops import CropSampler, make_crops
from ._cube_module import CubeDataModule, Cubes, Reading, check_length
from ._cube_windows import CubeWindows

#: Scales of training crops, as published.
_SCALES = (1.0, 0.5, 0.25)


class HSIDenoisingDataModule(CubeDataModule):
    """Pairs of noisy and clean images from cubes of any kind, for restoration.

    Each of *train*, *val*, *test* and *predict* names cubes: files, product folders,
    folders of files, patterns such as ``'aviris/abu-*.mat'``, datasets, or a list of
    these. What :func:`~torchgeo_hsi.io.open_cube` opens and what our datasets and those
    of torchgeo return with an ``image`` will do. Cubes are read once, as they are
    stored, and need not have the same size, sensor or, with *num_bands*, the same
    number of bands. Bands that a file marks as bad, or that hold no data, are left out;
    pixels without data count nowhere.

    Each cube is scaled to about [0, 1]; ``scale`` and ``offset`` of a sample lead back.

    * Training: random crops at several scales, flipped, turned, with the spectrum
      reversed, and noise that is drawn on the device.
    * Validation and test: whole cubes, or windows that cover them, with noise that is
      the same every time.
    * Prediction: all of one scene in overlapping tiles that keep their place, for
      :class:`~torchgeo_hsi.callbacks.GeoTIFFCubeWriter`, and no noise but their own.

    A ``target`` that a dataset brings is the clean image: noise is added to it, or, with
    ``noise=None``, the image of the dataset is the noisy one.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.HSIDenoisingDataModule
              init_args:
                train: data/aviris/*.mat
                val: data/enmap.tif
                noise: gaussian_blind
                num_bands: 31
    """

    def __init__(
        self,
        train: Cubes = None,
        val: Cubes = None,
        test: Cubes = None,
        predict: str | NonGeoDataset | GeoDataset | None = None,
        noise: str | NoiseTransform | None = 'gaussian_blind',
        val_noise: str | NoiseTransform | None = 'as_train',
        test_noise: str | NoiseTransform | None = 'as_train',
        scaling: str | float = 'percentile',
        patch_size: int = 64,
        num_bands: int | None = None,
        scales: Sequence[float] | None = None,
        length: int | None = None,
        batch_size: int = 16,
        dihedral: bool = True,
        reverse: float = 0.5,
        min_valid: float = 0.5,
        eval_patch_size: int | None = None,
        eval_num_bands: int | None = None,
        eval_batch_size: int = 1,
        tile_size: int = 128,
        overlap: int = 32,
        seed: int = 0,
        num_workers: int = 0,
        in_memory: bool = True,
        exclude: Sequence[str] = (),
        reader_options: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new HSIDenoisingDataModule instance.

        Args:
            train: Cubes to train with.
            val: Cubes to validate with.
            test: Cubes to test with.
            predict: The scene to restore.
            noise: Noise of training: a name, see
                :func:`~torchgeo_hsi.transforms.get_noise`, or a transform; None for
                cubes that bring their own pairs, or to learn without a clean image.
            val_noise: Noise of validation; that of training by default.
            test_noise: Noise of the test; that of training by default.
            scaling: What becomes 0 and 1, for each cube: its lowest and highest number
                (``'min_max'``, as published), its 0.1 % and 99.9 % quantiles
                (``'percentile'``, which single defects do not move), reflectance of 0
                and 1 (``'reflectance'``: 0 and 10 000), or 0 and a number.
            patch_size: Rows and columns of a training crop. Smaller cubes are mirrored
                at their edge; the mirror image does not count.
            num_bands: Neighboring bands of a training crop, from a random one on; all
                by default.
            scales: Factors of the rows and columns of the training cubes: 1, 0.5 and
                0.25 by default, and only 1 where no noise is added. A scale at which a
                crop does not fit into a cube is left out.
            length: Crops per training epoch; by default as many as cover the cubes.
            batch_size: Crops per training batch.
            dihedral: Whether to flip and turn training crops.
            reverse: Share of training crops whose spectrum is reversed.
            min_valid: Least share of valid pixels of a training crop.
            eval_patch_size: Largest number of rows and columns of a sample of
                validation and test; whole cubes by default.
            eval_num_bands: Neighboring bands of such a sample; all by default.
            eval_batch_size: Samples per batch of validation and test. All of them have
                to have the same shape, if it is not 1.
            tile_size: Largest number of rows and columns of a tile of prediction, a
                multiple of 8.
            overlap: Rows and columns that two tiles share at least, a multiple of 8.
            seed: Seed of the noise of validation and test.
            num_workers: Processes that load data.
            in_memory: Whether to read all cubes once. False reads samples of datasets
                of patches when they are drawn, for those that do not fit into memory.
            exclude: Patterns of the names of files that are not for training, such as
                ``'abu-urban-4'``.
            reader_options: Options of :func:`~torchgeo_hsi.io.open_cube`, such as
                ``key`` or ``nodata``.

        Raises:
            ValueError: If a number is out of its range, or the scaling not understood.
            UnknownNameError: If there is no such noise.
        """
        super().__init__(
            {'train': train, 'val': val, 'test': test},
            predict,
            Reading.of(scaling, in_memory, exclude, reader_options),
            (tile_size, overlap),
            batch_size,
            eval_batch_size,
            num_workers,
        )
        self.scales = scales
        self._crops = (patch_size, num_bands, check_share(min_valid))
        self._moves = (dihedral, reverse)
        self._parts = (eval_patch_size, eval_num_bands)
        self.length = length
        self.seed = seed
        #: Noise that is added to training batches, or None.
        self.train_noise: NoiseTransform | None = _noise(noise)
        self._check_numbers()
        others = {'val': val_noise, 'test': test_noise}
        self._eval_noise = {k: _own_noise(v, noise) for k, v in others.items()}

    def _check_numbers(self) -> None:
        super()._check_numbers()
        if not 0 <= self._moves[1] <= 1:
            raise ValueError(
                f'Expected a share from 0 to 1 in reverse=, got {self._moves[1]}.'
            )
        _scales(self.scales, self.train_noise is not None)

    def set_train_noise(self, noise: str | NoiseTransform | None) -> None:
        """Choose another noise for training; validation and test keep theirs.

        Args:
            noise: Its name, a transform, or None.

        Raises:
            UnknownNameError: If there is no such noise.
            MetadataError: If pairs would be mixed up: cubes were read with noise of
                their own, or without.
        """
        if self.train_dataset is not None and (noise is None) != (
            self.train_noise is None
        ):
            raise MetadataError(
                'Training began with another kind of pairs: noise that is added, or '
                'that cubes bring with them (None), cannot be changed into the other.'
            )
        self.train_noise = _noise(noise)

    def _setup_training(self) -> None:
        cubes = self._cubes('train', self.train_noise is not None)
        # another noise may have been chosen by now
        scales = _scales(self.scales, self.train_noise is not None)
        patch_size, num_bands, min_valid = self._crops
        crops = make_crops(cubes, patch_size, num_bands, scales, min_valid)
        length = self.length or crops.cover
        check_length(length, self.batch_size)
        self.train_dataset = crops
        self.train_sampler = CropSampler(crops, length, *self._moves)

    def _windows(self, split: Literal['val', 'test']) -> CubeWindows:
        noise = self._eval_noise[split]
        return CubeWindows(
            self._cubes(split, noise is not None),
            *self._parts,
            noise,
            self.seed,
            self.eval_batch_size > 1,
        )

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Add noise to a training batch, on the device.

        Args:
            batch: The batch.
            dataloader_idx: Index of the data loader.

        Returns:
            A new batch, with ``image``, ``target`` and ``sigma``.
        """
        training = self.trainer is not None and self.trainer.training
        if training and self.train_noise is not None:
            noisy: Sample = self.train_noise(batch)
            return noisy
        return batch


def _noise(noise: str | NoiseTransform | None) -> NoiseTransform | None:
    return get_noise(noise) if isinstance(noise, str) else noise


def _own_noise(
    noise: str | NoiseTransform | None, training: str | NoiseTransform | None
) -> NoiseTransform | None:
    """Return the noise of validation or test, apart from that of training."""
    chosen = training if noise == 'as_train' else noise
    # seeding it for each sample must not seed that of training
    return copy.deepcopy(_noise(chosen))


def _scales(scales: Sequence[float] | None, is_noise_added: bool) -> list[float]:
    """Return the scales of training crops.

    Raises:
        ValueError: If there are none, or they do not go with noise of the images.
    """
    if scales is None:
        return list(_SCALES) if is_noise_added else [1.0]
    scales = list(scales)
    if not scales or not all(0 < scale <= 1 for scale in scales):
        raise ValueError(f'Expected scales above 0 and up to 1, got {scales}.')
    if not is_noise_added and min(scales) < 1:
        raise ValueError(
            f'Expected scales=[1.0] with noise=None, got {scales}: smaller ones are '
            'averages, whose noise is weaker than that of the images, and no longer '
            'independent from pixel to pixel.'
        )
    return scales
