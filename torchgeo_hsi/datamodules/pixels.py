# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labelled pixels of one scene, under a split that is known."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import NonGeoDataset

from .._typing import BoolArray, Sample
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import LeakReport, PixelSplit, leak_report
from ..errors import EmptyDataError
from ._cube_module import check_counts
from ._pixel_windows import (
    SYMMETRIES,
    EvenBatches,
    PaddedScene,
    PixelWindows,
    SceneMapTiles,
)
from ._scene_module import SceneDataModule


class HSIPixelDataModule(SceneDataModule):
    """Windows around the labelled pixels of one scene, under a split that is known.

    The classical job: one scene, few labelled pixels, a land-cover map. Training,
    validation and test are labelled pixels, and the windows around them; prediction
    goes over the whole scene in overlapping tiles, for
    :class:`~torchgeo_hsi.callbacks.GeoTIFFCubeWriter`.

    With the default split, blocks with a guard, no window of the test has a pixel in
    common with a window of training. What another split lets through stands in
    ``leaks``, and :class:`~torchgeo_hsi.tasks.HSIPixelClassification` puts it beside
    its scores. Bands are normalized by the pixels of the training windows and by no
    other. Invalid pixels, and what lies beyond the edge of the scene, become 0, which is
    the mean.

    Checkpoints keep the statistics, and which pixels were trained on: with another seed
    or split than that of the training, :attr:`leaks` are still those of the network.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.HSIPixelDataModule
              init_args:
                scene: data/scene.tif
                labels: data/fields.gpkg
                scene_options: {column: crop}
                window: 9
                shots: 25
    """

    def __init__(
        self,
        dataset: NonGeoDataset | LabelledScene | None = None,
        scene: str | list[str] | None = None,
        labels: str | list[str] | None = None,
        window: int = 9,
        split: str | PixelSplit = 'block',
        shares: dict[str, float] | None = None,
        guard: int | None = None,
        block_size: int | None = None,
        shots: int | None = None,
        folds: int | None = None,
        fold: int = 0,
        least: int = 5,
        val_split_pct: float = 0.0,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        length: int | None = None,
        tile_size: int = 128,
        statistics: str = 'train',
        augment: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        scene_options: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new HSIPixelDataModule instance.

        Args:
            dataset: A benchmark, such as :class:`~torchgeo_hsi.datasets.Salinas`, or a
                labelled scene.
            scene: In place of it, the cube: a file, product or folder of tiles.
            labels: Its labels: raster, ``.mat`` or vector file.
            window: Rows and columns of the windows; odd, and that of the task.
            split: ``'block'``, ``'region'``, ``'random'``, ``'official'``, ``'all'`` (to
                train on all labels), or the raster that ``torchgeo-hsi split`` wrote.
            shares: Share of each split; 60 % ``train``, 20 % ``val`` and 20 % ``test``
                by default.
            guard: Pixels left out on either side of a border between splits; ``window //
                2`` by default, with which no windows touch.
            block_size: Rows and columns of a block; some are tried by default.
            shots: Training pixels of each class; all by default. What becomes of the
                others: with random pixels they are tested, as in most papers; else
                nothing uses them.
            folds: Folds of a cross-validation, of which this is one; there is no
                validation then.
            fold: Number of the fold, from 0.
            least: How many pixels of each class each split needs.
            val_split_pct: Share of official training pixels to validate with.
            batch_size: Windows per training batch, at most: batches of an epoch are
                about as large.
            eval_batch_size: Windows per batch of validation and test.
            length: Windows per training epoch; by default each training pixel once.
                Few labels make short epochs, after each of which there is a
                validation.
            tile_size: Largest number of rows and columns of a tile of prediction.
            statistics: Normalize by the pixels of the training windows (``'train'``),
                or by all of the scene (``'scene'``), which looks at the test, without
                its labels; reports call that transductive.
            augment: Whether to flip and turn training windows.
            seed: Seed of split, *shots* and order.
            num_workers: Processes that load data.
            scene_options: Options of
                :func:`~torchgeo_hsi.datasets.open_labelled_scene` for *scene* and
                *labels*, such as the ``column`` of a vector file, ``class_names``,
                ``label_key`` or ``bands``.

        Raises:
            ValueError: If a number is out of its range.
        """
        check_counts(
            window=window, batch_size=batch_size, eval_batch_size=eval_batch_size
        )
        check_counts(' or None', length=length, shots=shots)
        areas = {'shares': shares, 'guard': guard, 'block_size': block_size}
        drawn = {'shots': shots, 'folds': folds, 'fold': fold, 'seed': seed}
        options = areas | drawn | {'least': least, 'val_split_pct': val_split_pct}
        source = (dataset, scene, labels, scene_options or {})
        super().__init__(
            source, split, options, window, statistics, batch_size, num_workers
        )
        if tile_size < 4 * (window // 2) + 1:
            raise ValueError(
                f'Expected a tile_size of more than {4 * (window // 2)}, twice what '
                f'tiles of a window of {window} share, got {tile_size}.'
            )
        self.seed, self.length, self.augment = seed, length, augment
        self.eval_batch_size, self.tile_size = eval_batch_size, tile_size
        self._padded: PaddedScene | None = None

    def setup(self, stage: str) -> None:
        """Open the scene, split it, and prepare the windows of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there are no pixels to validate or test with.
        """
        names = self.pixel_split.names
        if stage == 'fit':
            self._fits, self._leaks = True, None
            self.train_dataset = self._windows('train')
            self.normalization()
        # training goes without validation, if the split has none
        if stage == 'validate' or (stage == 'fit' and 'val' in names):
            self.val_dataset = self._windows('val')
        if stage == 'test':
            self.test_dataset = self._windows('test')
        if stage == 'predict':
            overlap = 2 * self.tile_margin
            self.predict_dataset = SceneMapTiles(
                self.labelled_scene, self.tile_size, overlap, self._bands()
            )

    @property
    def tile_margin(self) -> int:
        """Pixels at the edge of a tile whose windows the tile does not hold."""
        return self.window // 2

    def _windows(self, name: str) -> PixelWindows:
        """Return the windows of a split."""
        split = self.pixel_split
        # whatever the first and the last one are called
        wanted = {'train': split.names[0], 'test': split.names[-1]}.get(name, name)
        if wanted not in split.names or (name != 'train' and len(split.names) == 1):
            raise EmptyDataError(
                f'This split has no {name}, but {", ".join(split.names)}. Choose another '
                'split, or other shares.'
            )
        scene = self.labelled_scene
        if self._padded is None:
            self._padded = PaddedScene(scene, self.window // 2)
        pixels = split.pixels(wanted)
        return PixelWindows(self._padded, pixels, scene.labels, self._bands())

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training windows."""
        windows = self.train_windows
        batches = EvenBatches(
            len(windows),
            self.batch_size,
            self.length,
            shuffle=True,
            moves=SYMMETRIES if self.augment else 1,
            seed=self.seed,
        )
        return self._loader(windows, batches)

    @property
    def train_windows(self) -> PixelWindows:
        """Windows of training, as stored."""
        if self.train_dataset is None:
            self.train_dataset = self._windows('train')
        assert isinstance(self.train_dataset, PixelWindows)
        return self.train_dataset

    def val_dataloader(self) -> Any:
        """Return the loader of validation; without one, there are no batches."""
        return [] if self.val_dataset is None else self._evaluation(self.val_dataset)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the test."""
        return self._evaluation(self.test_dataset)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the tiles of the scene."""
        assert isinstance(self.predict_dataset, SceneMapTiles)
        return DataLoader(self.predict_dataset, num_workers=self.num_workers)

    def transfer_batch_to_device(
        self, batch: Sample, device: torch.device, dataloader_idx: int
    ) -> Sample:
        """Move a batch to a device, but the place of its tiles.

        Places are in double precision, which not all devices know.

        Args:
            batch: The batch.
            device: The device.
            dataloader_idx: Index of the data loader.

        Returns:
            The batch on the device.
        """
        place = {key: batch[key] for key in ('bounds', 'transform') if key in batch}
        rest = {key: value for key, value in batch.items() if key not in place}
        moved: Sample = super().transfer_batch_to_device(rest, device, dataloader_idx)
        return moved | place

    def _evaluation(self, dataset: Any) -> DataLoader[Sample]:
        assert isinstance(dataset, PixelWindows)
        batches = EvenBatches(len(dataset), self.eval_batch_size)
        return self._loader(dataset, batches)

    def _loader(
        self, dataset: PixelWindows, batches: EvenBatches
    ) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            # the sampler draws whole batches
            batch_size=None,
            sampler=batches,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    @property
    def trained(self) -> BoolArray:
        """Pixels that the network was trained on, shape ``(H, W)``.

        Those of this split, or of the split that a checkpoint comes from, or both if
        its training goes on; none if that was on another scene.
        """
        own = self.pixel_split.mask(self.pixel_split.names[0])
        return self._with_checkpoint(own)

    @property
    def leaks(self) -> LeakReport | None:
        """How far test and training are apart; None if nothing is tested."""
        split, trained = self.pixel_split, self.trained
        if self._leaks is None and len(split.names) > 1 and trained.any():
            masks = {**split.masks(), split.names[0]: trained}
            labels = np.where(split.labelled, split.labels, UNLABELLED)
            self._leaks = leak_report(
                masks, self.window, labels, ignore_index=UNLABELLED
            )
        return self._leaks if trained.any() else super().leaks

    @property
    def notes(self) -> list[str]:
        """What has to be said about a network that comes from a checkpoint."""
        split, trained = self.pixel_split, self.trained
        if not trained.any():
            return ['trained on another scene']
        own = split.mask(split.names[0])
        if np.array_equal(own, trained):
            return []
        seen = int((trained & split.mask(split.names[-1])).sum())
        return [f'trained on another split: {seen} pixels of the test were trained on']

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the statistics, and the trained pixels.

        Returns:
            Mean and standard deviation of each band, if they are known; and a bit for
            each pixel, if there was a training.
        """
        state = super().state_dict()
        return state | self._saved(self.trained) if self._is_trained else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the statistics and the trained pixels of a checkpoint.

        Args:
            state_dict: What :meth:`state_dict` returned.
        """
        super().load_state_dict(state_dict)
        self._state, self._leaks = dict(state_dict), None

    def training_windows(self) -> tuple[Tensor, Tensor]:
        """Return all windows of training at once, normalized and not augmented.

        For what is fitted and not trained, such as a random forest.

        Returns:
            Windows of shape ``(N, C, w, w)`` and classes of shape ``(N,)``, in the
            order of the map.
        """
        batch = self.train_windows[range(len(self.train_windows))]
        return self.normalize(batch['image'], batch['valid']), batch['label']
