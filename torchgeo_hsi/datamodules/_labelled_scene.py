# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules of one labelled scene, whose checkpoints tell what training saw of it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torchgeo.datamodules import BaseDataModule

from .._typing import BoolArray
from ..datasets.labelled_scenes.scene import LabelledScene
from ._scene_source import load_scene
from ._trained_pixels import is_known, load_pixels, save_pixels


class LabelledSceneModule(BaseDataModule):
    """Base of data modules of one labelled scene, which is opened when it is needed."""

    #: Arguments of :func:`~torchgeo_hsi.datamodules._scene_source.load_scene`.
    _source: tuple[Any, Any, Any, Mapping[str, Any] | None]
    _scene: LabelledScene | None = None
    #: Whether this module trains.
    _fits = False
    #: What a checkpoint kept.
    _state: Mapping[str, Any] = MappingProxyType({})

    @property
    def labelled_scene(self) -> LabelledScene:
        """The scene, opened the first time that it is asked for."""
        if self._scene is None:
            self._scene = load_scene(*self._source)
        return self._scene

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.labelled_scene.class_names

    @property
    def class_colors(self) -> tuple[str, ...]:
        """Color of each class."""
        return self.labelled_scene.class_colors

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.labelled_scene.num_classes

    def _with_checkpoint(self, own: BoolArray) -> BoolArray:
        """Return what the network saw, of which *own* is what it sees here.

        Those pixels, or those of the training that a checkpoint comes from, or both if
        that goes on; none if it was on another scene.
        """
        loaded = load_pixels(self._state, self.labelled_scene)
        if loaded is None:
            return own
        return own | loaded if self._fits else loaded

    @property
    def _is_trained(self) -> bool:
        """Whether there was a training, here or in a checkpoint."""
        return self._fits or is_known(self._state)

    def _saved(self, pixels: BoolArray) -> dict[str, Any]:
        """Write down which pixels the network saw, for a checkpoint."""
        return save_pixels(pixels, self.labelled_scene)
