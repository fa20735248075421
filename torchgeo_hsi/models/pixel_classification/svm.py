# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Support vector machine."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..api import register_model
from ._estimator import EstimatorClassifier, Spatial
from ._svm_search import Choice, choose, couple, make_machine

#: Values of the kernel that are computed at once: they stay in the caches of a
#: processor.
_NUMBERS = 2**20


class SVM(EstimatorClassifier):
    """Support vector machine with a radial kernel on principal components.

    The baseline of the field, and hard to beat with few labels:

    * https://doi.org/10.1109/TGRS.2004.831865

    Principal components are those of the training pixels. *whiten* sets how far their
    variances are made equal: brightness should not drown what tells materials apart,
    nor should noise.

    There is one machine for each pair of classes. Its decision *f* is turned into the
    probability of the first one of the pair, the logistic function of *slope* times
    *f*; the probability of a class is the product over its pairs, normalized. The
    class is the one with the largest probability, which is also the one with most votes
    of the pairs unless votes are nearly tied.

    *penalty* and *gamma*, where they are not given, and *slope* are those that make the
    left out pixels of a five-fold cross-validation inside of the training pixels most
    likely (at most 50 pixels of each class take part in it). If a class has fewer than
    five training pixels, they are 10, 1 and 2. :attr:`chosen` has what was taken.

    Support vectors are kept as tensors with the weights.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components, less if there are fewer training
            pixels or features.
        spatial: ``'pixel'`` for the spectrum of the pixel, ``'mean'`` for this and the
            mean spectrum of its window.
        whiten: Standard deviations are divided by themselves to the power of this: 0
            leaves components as they are, 1 gives all the same variance.
        penalty: Price *C* of a training pixel on the wrong side; chosen by default.
        gamma: Inverse squared width of the kernel, of features whose variances add up
            to 1; chosen by default.
        balanced: Whether rare classes weigh as much as common ones.
        seed: Seed of the folds of the cross-validation.

    Raises:
        BandMismatchError: If there are no bands.
        ValueError: If there are fewer than two classes, the window is even, or an
            option is out of range.

    Example:
        >>> import torch
        >>> windows, labels = torch.rand(40, 12, 1, 1), torch.arange(40) % 2
        >>> windows[labels == 1] += 1
        >>> model = SVM(in_channels=12, num_classes=2)
        >>> model.fit_windows(windows, labels)
        >>> bool((model(windows).argmax(1) == labels).all())
        True
    """

    mean: Tensor
    axes: Tensor
    vectors: Tensor
    weights: Tensor
    offsets: Tensor
    options: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 1,
        components: int = 30,
        spatial: Spatial = 'pixel',
        whiten: float = 0.5,
        penalty: float | None = None,
        gamma: float | None = None,
        balanced: bool = False,
        seed: int = 0,
    ) -> None:
        """Initialize a new SVM instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window, spatial, seed)
        if components < 1:
            raise ValueError(f'Expected at least one component, got {components}.')
        if not 0 <= whiten <= 1:
            raise ValueError(f'Expected whiten from 0 to 1, got {whiten}.')
        for name, value in (('penalty', penalty), ('gamma', gamma)):
            if value is not None and value <= 0:
                raise ValueError(f'Expected a positive {name}, got {value}.')
        self.components, self.whiten, self.balanced = components, whiten, balanced
        self.penalty, self.gamma = penalty, gamma
        for name in ('mean', 'offsets', 'options'):
            self.keep(name, torch.zeros(0))
        for name in ('axes', 'vectors', 'weights'):
            self.keep(name, torch.zeros(0, 0))

    @property
    def chosen(self) -> dict[str, float]:
        """``penalty``, ``gamma`` and ``slope`` of the fit; empty without one."""
        return dict(zip(Choice._fields, self.options.tolist(), strict=False))

    def fit_features(self, features: Tensor, targets: Tensor) -> None:
        """Find principal components, choose options and fit.

        Args:
            features: Features of shape ``(N, num_features)``.
            targets: Classes of shape ``(N,)``, from 0 without gaps.

        Raises:
            ImportError: If scikit-learn is not installed.
        """
        mean, axes = _principal_axes(features.double(), self.components, self.whiten)
        x, y = ((features - mean) @ axes).numpy(), targets.numpy()
        choice = choose(x, y, self.penalty, self.gamma, self.balanced, self.seed)
        machine = make_machine(choice.penalty, choice.gamma, self.balanced).fit(x, y)
        weights, offsets = _pair_weights(machine)
        # the width of the kernel becomes 1
        scale = choice.gamma**0.5
        fitted = {
            'mean': mean,
            'axes': axes * scale,
            'vectors': torch.from_numpy(machine.support_vectors_) * scale,
            'weights': torch.from_numpy(weights),
            'offsets': torch.from_numpy(offsets),
            'options': torch.tensor(choice),
        }
        for name, values in fitted.items():
            self.keep(name, values.float())

    def decide(self, features: Tensor) -> Tensor:
        """Compute the decisions of all pairs of classes.

        Args:
            features: Features of shape ``(N, num_features)``.

        Returns:
            Decisions of shape ``(N, P)`` of the pairs (0, 1), (0, 2), ..., (1, 2), ...
            of those classes that were there in training, positive for the first one.
        """
        x = (features - self.mean) @ self.axes
        step = max(16, _NUMBERS // len(self.vectors))
        return torch.cat([self._decide(part) for part in torch.split(x, step)])

    def _decide(self, x: Tensor) -> Tensor:
        """Decide about principal components."""
        # minus the squared distances to all support vectors
        squares = torch.addmm(-self.vectors.square().sum(1), x, self.vectors.T, alpha=2)
        squares -= x.square().sum(1, keepdim=True)
        kernel = squares.clamp_(max=0).exp_()
        return torch.addmm(self.offsets, kernel, self.weights)

    def probabilities(self, features: Tensor) -> Tensor:
        """Predict by all pairs.

        Args:
            features: Features of shape ``(N, num_features)``.

        Returns:
            Probability of each class that was there in training, shape ``(N, K)``.
        """
        decisions = self.options[2] * self.decide(features)
        return couple(decisions, len(self.classes)).softmax(1)


def _principal_axes(
    features: Tensor, components: int, whiten: float
) -> tuple[Tensor, Tensor]:
    """Find what turns features into components whose variances add up to 1.

    Args:
        features: Features of shape ``(N, F)``.
        components: Most components.
        whiten: Power of their standard deviations that these are divided by.

    Returns:
        Mean of shape ``(F,)`` and axes of shape ``(F, components)``.
    """
    mean = features.mean(0)
    _, scale, axes = torch.linalg.svd(features - mean, full_matrices=False)
    scale = scale / len(features) ** 0.5
    # pixels have one component less than there are of them, and copies none
    real = scale > scale[0] * 1e-6
    scale, axes = scale[real][:components], axes[real][:components]
    if not len(scale):
        # all pixels are the same: nothing to see, but no reason to stop
        return mean, features.new_zeros(features.shape[1], 1)
    powers = scale**-whiten
    total = (scale * powers).square().sum().sqrt()
    return mean, (axes * (powers / total)[:, None]).T


def _pair_weights(machine: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the weight of each support vector in the decision of each pair."""
    counts = machine.n_support_
    ends = np.cumsum(counts)
    own = [slice(end - size, end) for end, size in zip(ends, counts, strict=True)]
    pairs = list(combinations(range(len(counts)), 2))
    weights = np.zeros((int(ends[-1]), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        weights[own[i], column] = machine.dual_coef_[j - 1, own[i]]
        weights[own[j], column] = machine.dual_coef_[i, own[j]]
    # with two classes, scikit-learn turns the signs around
    sign = -1.0 if len(counts) == 2 else 1.0
    return sign * weights, sign * machine.intercept_


@register_model
def svm(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 1,
    components: int = 30,
    spatial: Spatial = 'pixel',
    whiten: float = 0.5,
    penalty: float | None = None,
    gamma: float | None = None,
    balanced: bool = False,
    seed: int = 0,
) -> SVM:
    """Build an :class:`SVM`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components.
        spatial: ``'pixel'`` or ``'mean'``.
        whiten: How far the variances of components are made equal, 0 to 1.
        penalty: Price of a training pixel on the wrong side; chosen by default.
        gamma: Inverse squared width of the kernel; chosen by default.
        balanced: Whether rare classes weigh as much as common ones.
        seed: Seed of the folds of the cross-validation.

    Returns:
        The model.
    """
    return SVM(
        in_channels,
        num_classes,
        window,
        components,
        spatial,
        whiten,
        penalty,
        gamma,
        balanced,
        seed,
    )
