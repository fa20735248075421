# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random forest."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..api import register_model
from ._estimator import EstimatorClassifier, Spatial, import_sklearn

#: Pixels that walk at once: their numbers stay in the caches of a processor.
_PIXELS = 1024


class RandomForest(EstimatorClassifier):
    """Random forest on the bands of each pixel, fitted by scikit-learn.

    A strong baseline for few labels, with next to nothing to choose:

    * https://doi.org/10.1023/A:1010933404324

    The nodes of the trees are kept as tensors with the weights, and walked down for
    many pixels and all trees at a time. ``forward`` returns logarithms of the mean
    over all trees of the share of each class in a leaf.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        spatial: ``'pixel'`` for the spectrum of the pixel, ``'mean'`` for this and the
            mean spectrum of its window.
        trees: Number of trees.
        max_depth: Most decisions of a tree; as many as it takes by default.
        min_leaf: Least training pixels of a leaf.
        max_pixels: Most training pixels that a tree is grown from; as many as there are,
            if there are less.
        balanced: Whether rare classes weigh as much as common ones.
        seed: Seed of the trees.

    Raises:
        BandMismatchError: If there are no bands.
        ValueError: If there are fewer than two classes, the window is even, or an
            option is out of range.

    Example:
        >>> import torch
        >>> windows, labels = torch.rand(40, 12, 1, 1), torch.arange(40) % 2
        >>> windows[labels == 1] += 1
        >>> model = RandomForest(in_channels=12, num_classes=2, trees=20)
        >>> model.fit_windows(windows, labels)
        >>> bool((model(windows).argmax(1) == labels).all())
        True
    """

    roots: Tensor
    below: Tensor
    feature: Tensor
    threshold: Tensor
    shares: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 1,
        spatial: Spatial = 'pixel',
        trees: int = 200,
        max_depth: int | None = None,
        min_leaf: int = 1,
        max_pixels: int = 5000,
        balanced: bool = False,
        seed: int = 0,
    ) -> None:
        """Initialize a new RandomForest instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window, spatial, seed)
        least = min(trees, min_leaf, max_pixels, 1 if max_depth is None else max_depth)
        if least < 1:
            raise ValueError(
                f'Expected positive numbers, got trees={trees}, min_leaf={min_leaf}, '
                f'max_pixels={max_pixels} and max_depth={max_depth}.'
            )
        self.trees, self.max_depth, self.min_leaf = trees, max_depth, min_leaf
        self.max_pixels, self.balanced = max_pixels, balanced
        for name in ('roots', 'feature'):
            self.keep(name, torch.zeros(0, dtype=torch.int64))
        self.keep('below', torch.zeros(0, 2, dtype=torch.int64))
        self.keep('threshold', torch.zeros(0))
        self.keep('shares', torch.zeros(0, 0))

    def fit_features(self, features: Tensor, targets: Tensor) -> None:
        """Fit the trees and keep their nodes.

        Args:
            features: Features of shape ``(N, num_features)``.
            targets: Classes of shape ``(N,)``, from 0 without gaps.

        Raises:
            ImportError: If scikit-learn is not installed.
        """
        forest = import_sklearn('ensemble').RandomForestClassifier(
            n_estimators=self.trees,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_leaf,
            max_samples=self.max_pixels if len(features) > self.max_pixels else None,
            class_weight='balanced' if self.balanced else None,
            random_state=self.seed,
            n_jobs=torch.get_num_threads(),
        )
        forest.fit(features.numpy(), targets.numpy())
        trees = [tree.tree_ for tree in forest.estimators_]
        sizes = [tree.node_count for tree in trees]
        starts = np.cumsum([0, *sizes[:-1]])
        self.keep('roots', torch.from_numpy(starts))
        self.keep('below', _children(trees, starts))
        # leaves have no feature; any will do, since both ways lead to themselves
        feature = np.concatenate([tree.feature for tree in trees]).clip(0)
        self.keep('feature', torch.from_numpy(feature.astype(np.int64)))
        threshold = np.concatenate([tree.threshold for tree in trees])
        self.keep('threshold', torch.from_numpy(_round_down(threshold)))
        shares = np.concatenate([tree.value[:, 0] for tree in trees])
        shares = shares / shares.sum(1, keepdims=True)
        self.keep('shares', torch.from_numpy(shares.astype(np.float32)))

    def probabilities(self, features: Tensor) -> Tensor:
        """Predict by all trees.

        Args:
            features: Features of shape ``(N, num_features)``.

        Returns:
            Probability of each class that was there in training, shape ``(N, K)``.
        """
        return torch.cat([self._walk(part) for part in torch.split(features, _PIXELS)])

    def _walk(self, features: Tensor) -> Tensor:
        """Walk down all trees."""
        count, width = features.shape
        flat, below = features.flatten(), self.below.flatten()
        nodes = self.roots.repeat(count)
        starts = torch.arange(0, count * width, width, device=features.device)
        starts = starts.repeat_interleave(len(self.roots))
        while True:
            values = flat.index_select(0, starts + self.feature.index_select(0, nodes))
            above = values > self.threshold.index_select(0, nodes)
            after = below.index_select(0, 2 * nodes + above)
            if torch.equal(after, nodes):
                break
            nodes = after
        leaves = nodes.view(count, -1)
        return F.embedding_bag(leaves, self.shares, mode='mean')


def _children(trees: list[Any], starts: NDArray[Any]) -> Tensor:
    """List the nodes below each node of all trees; leaves lead to themselves."""
    found = []
    for tree, start in zip(trees, starts, strict=True):
        both = np.stack([tree.children_left, tree.children_right], axis=1)
        own = np.arange(len(both))[:, np.newaxis]
        found.append(np.where(both < 0, own, both) + start)
    return torch.from_numpy(np.concatenate(found).astype(np.int64))


def _round_down(values: NDArray[Any]) -> NDArray[np.float32]:
    """Round to float32 so that the same numbers in float32 are not larger."""
    rounded = values.astype(np.float32)
    return np.where(
        rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded
    )


@register_model
def random_forest(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 1,
    spatial: Spatial = 'pixel',
    trees: int = 200,
    max_depth: int | None = None,
    min_leaf: int = 1,
    max_pixels: int = 5000,
    balanced: bool = False,
    seed: int = 0,
) -> RandomForest:
    """Build a :class:`RandomForest`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        spatial: ``'pixel'`` or ``'mean'``.
        trees: Number of trees.
        max_depth: Most decisions of a tree; as many as it takes by default.
        min_leaf: Least training pixels of a leaf.
        max_pixels: Most training pixels that a tree is grown from; as many as there are,
            if there are less.
        balanced: Whether rare classes weigh as much as common ones.
        seed: Seed of the trees.

    Returns:
        The model.
    """
    return RandomForest(
        in_channels,
        num_classes,
        window,
        spatial,
        trees,
        max_depth,
        min_leaf,
        max_pixels,
        balanced,
        seed,
    )
