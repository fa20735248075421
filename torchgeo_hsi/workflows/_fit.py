# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fit a method to labelled pixels of a scene."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..errors import BandMismatchError, EmptyDataError
from .fitted import FittedMethod
from .methods import DEFAULT_METHOD, Recipe, adapt_recipe, find_recipe


class Fitter:
    """Fits a method to labelled pixels of a scene, as often as asked.

    What does not depend on labels is done once.

    Args:
        scene: The scene.
        method: Name of the method.
        recipe: How it is fitted.
        seed: Seed of pixels that are drawn, weights and training.
        device: Device of networks; a GPU by default, if there is one.
    """

    def __init__(
        self,
        scene: LabelledScene,
        method: str,
        recipe: Recipe,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        """Initialize a new Fitter instance; see the class for the arguments."""
        self.scene = scene
        self.method = method
        self.recipe = adapt_recipe(method, recipe, len(scene.image))
        self.seed = seed
        self.device = device
        self._graph: Any = None
        self._left_out = False

    @property
    def mode(self) -> str:
        """Whether pixels of the test are seen in training, without their labels."""
        return 'transductive' if self.recipe.model == 'graph' else 'inductive'

    def fit(self, pixels: NDArray[np.bool_]) -> FittedMethod:
        """Fit the method.

        Args:
            pixels: Labelled pixels to fit to, bool of shape ``(H, W)``.

        Returns:
            The fitted method.

        Raises:
            EmptyDataError: If the pixels have fewer than two classes.
        """
        most = self.recipe.labels_per_class
        used = _draw(self.scene, pixels, most, self.seed)
        self._left_out |= bool((used != pixels).any())
        words = self.scene, used, self.method, self.recipe, self.seed, self.device
        if self.recipe.model != 'graph':
            from ._pixel_training import fit_pixels

            return fit_pixels(*words)
        if self._graph is None:
            from ._graph_method import SceneEmbedding

            self._graph = SceneEmbedding(
                self.scene, self.recipe, self.seed, self.device
            )
        fitted: FittedMethod = self._graph.fit(used, self.method)
        return fitted

    def notes(self) -> list[str]:
        """Say what scores do not tell about the method."""
        notes = []
        if self._left_out:
            notes.append(
                f'fitted to {self.recipe.labels_per_class} pixels of a class at most, '
                'drawn at random (option labels_per_class)'
            )
        if self.mode == 'transductive':
            notes.append(
                'transductive: the graph spans the whole scene, so pixels of the test '
                'were seen in training, without their labels'
            )
        return notes


def fit_method(
    scene: LabelledScene,
    method: str = DEFAULT_METHOD,
    *,
    window: int | None = None,
    pixels: ArrayLike | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    device: str | None = None,
) -> FittedMethod:
    """Fit a method to labelled pixels of a scene.

    Args:
        scene: The scene.
        method: Name of a method, see :data:`~torchgeo_hsi.workflows.METHODS`.
        window: Rows and columns around a pixel that it looks at; those of its recipe by
            default.
        pixels: Which pixels to fit to, bool of shape ``(H, W)``; all labelled ones by
            default. Pixels without a label do not count.
        seed: Seed of pixels that are drawn, weights and training.
        options: Changes of the recipe and arguments of the model.
        device: Device of networks; a GPU by default, if there is one.

    Returns:
        The fitted method.

    Raises:
        BandMismatchError: If *pixels* have another shape than the scene.
        EmptyDataError: If the pixels have fewer than two classes.
        UnknownNameError: If there is no such method.
        ValueError: If an option is not understood.
    """
    labelled = scene.labels != UNLABELLED
    chosen = labelled if pixels is None else np.asarray(pixels, dtype=bool)
    if chosen.shape != labelled.shape:
        raise BandMismatchError(
            f'Expected pixels of shape {labelled.shape}, got {chosen.shape}.'
        )
    recipe = find_recipe(method, window, options)
    return Fitter(scene, method, recipe, seed, device).fit(chosen & labelled)


def known_classes(scene: LabelledScene, pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which classes some pixels have.

    Args:
        scene: The scene.
        pixels: Labelled pixels, bool of shape ``(H, W)``.

    Returns:
        Truth values of shape ``(K,)``.
    """
    counts = np.bincount(scene.labels[pixels], minlength=scene.num_classes)
    return np.asarray(counts > 0)


def list_names(names: Iterable[str]) -> str:
    """Join names.

    Args:
        names: The names.

    Returns:
        The names with commas.
    """
    return ', '.join(names)


def _draw(
    scene: LabelledScene, pixels: NDArray[np.bool_], most: int, seed: int
) -> NDArray[np.bool_]:
    """Draw some pixels of each class, if there are too many."""
    there = known_classes(scene, pixels)
    if there.sum() < 2:
        names = list_names(np.asarray(scene.class_names, dtype=object)[there]) or 'none'
        raise EmptyDataError(
            f'Expected labelled pixels of at least two classes, got {names}. Label '
            'another class, or choose another split.'
        )
    if not most:
        return pixels
    rng = np.random.default_rng(seed)
    flat = np.where(pixels, scene.labels, UNLABELLED).ravel()
    used = np.zeros(flat.shape, dtype=bool)
    for k in np.flatnonzero(there):
        used[rng.permutation(np.flatnonzero(flat == k))[:most]] = True
    return used.reshape(pixels.shape)
