# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the classifiers of scikit-learn need to be classifiers of pixels."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Self

import torch
from torch import Tensor

from ..._precision import full_precision
from ...errors import BandMismatchError, EmptyDataError
from ._dense import map_pixels, middle, window_means
from .base import PixelClassifier

#: What of a window an estimator gets.
Spatial = Literal['pixel', 'mean']

#: Probability that no class goes below, so that its logarithm is a number.
_FLOOR = 1e-6
_PIXELS = 4096


class EstimatorClassifier(PixelClassifier):
    """Base class: a classifier that scikit-learn fits at once.

    What was fitted is kept as plain tensors with the weights: a checkpoint has no
    pickled objects, predicts the same with any version of scikit-learn or without it,
    and on any device.

    Subclasses implement :meth:`fit_features`, which fills their buffers by :meth:`keep`,
    and :meth:`probabilities`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        spatial: ``'pixel'`` for the spectrum of the pixel, ``'mean'`` for this and the
            mean spectrum of its window.
        seed: Seed of whatever is drawn.

    Raises:
        BandMismatchError: If there are no bands.
        ValueError: If there are fewer than two classes, the window is even, or there
            is no such *spatial*.
    """

    learns_by_gradient = False

    classes: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 1,
        spatial: Spatial = 'pixel',
        seed: int = 0,
    ) -> None:
        """Initialize a new EstimatorClassifier instance."""
        super().__init__(in_channels, num_classes, window)
        if spatial not in ('pixel', 'mean'):
            raise ValueError(f"Expected spatial 'pixel' or 'mean', got {spatial!r}.")
        self.spatial = spatial
        self.seed = seed
        self.keep('classes', torch.zeros(0, dtype=torch.int64))

    @property
    def num_features(self) -> int:
        """Numbers that the estimator gets for each pixel."""
        return self.in_channels * (2 if self.spatial == 'mean' else 1)

    @property
    def is_fitted(self) -> bool:
        """Whether :meth:`fit_windows` has been called, or what it made was loaded."""
        return bool(len(self.classes))

    def keep(self, name: str, values: Tensor) -> None:
        """Keep what was fitted as a buffer.

        Args:
            name: Name of the buffer.
            values: Its values.
        """
        old = self._buffers.get(name)
        device = values.device if old is None else old.device
        self.register_buffer(name, values.to(device))

    def features(self, x: Tensor) -> Tensor:
        """Compute what the estimator gets.

        Args:
            x: Images or windows of shape ``(B, in_channels, H, W)``.

        Returns:
            Features of shape ``(B, num_features, H - window + 1, W - window + 1)``.
        """
        center = middle(x, self.window)
        if self.spatial == 'pixel':
            return center
        return torch.cat((center, window_means(x, self.window)), dim=1)

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: Windows of shape ``(B, in_channels, window, window)``.

        Returns:
            Logarithms of probabilities, shape ``(B, num_classes)``.

        Raises:
            RuntimeError: If nothing has been fitted.
        """
        return self._logits(self.features(x).flatten(1))

    def classify_dense(self, x: Tensor, chunk: int = _PIXELS) -> Tensor:
        """Classify each pixel whose window lies inside of images, without windows.

        Args:
            x: Images of shape ``(B, in_channels, H, W)``.
            chunk: Pixels at a time.

        Returns:
            Logarithms of probabilities, shape ``(B, num_classes, H - window + 1,
            W - window + 1)``.

        Raises:
            RuntimeError: If nothing has been fitted.
        """
        return map_pixels(self._logits, self.features(x), chunk)

    @torch.no_grad()
    def fit_windows(self, windows: Tensor, labels: Tensor) -> None:
        """Fit the estimator, again if it was fitted before.

        Args:
            windows: Normalized windows of shape ``(N, in_channels, window, window)``.
            labels: Classes of shape ``(N,)``; not all classes have to be there.

        Raises:
            BandMismatchError: If shapes do not fit the model or each other.
            EmptyDataError: If the labels have fewer than two classes.
            ImportError: If scikit-learn is not installed.
            ValueError: If a label is no class.
        """
        expected = (self.in_channels, self.window, self.window)
        if tuple(windows.shape[1:]) != expected or labels.shape != windows.shape[:1]:
            raise BandMismatchError(
                f'Expected windows of shape (N, {", ".join(map(str, expected))}) and N '
                f'labels, got {tuple(windows.shape)} and {tuple(labels.shape)}.'
            )
        classes, targets = torch.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise EmptyDataError(
                f'Expected labels of at least two classes, got {len(classes)}. Give '
                'more labels, or split the scene in another way.'
            )
        if classes[0] < 0 or classes[-1] >= self.num_classes:
            raise ValueError(
                f'Expected classes from 0 to {self.num_classes - 1}, got '
                f'{int(classes[0])} to {int(classes[-1])}. Leave out pixels without a '
                'label.'
            )
        features = self.features(windows).flatten(1).float().cpu()
        self.fit_features(features, targets.cpu())
        self.keep('classes', classes)

    @abstractmethod
    def fit_features(self, features: Tensor, targets: Tensor) -> None:
        """Fit the estimator and keep what was fitted.

        Args:
            features: Features of shape ``(N, num_features)``.
            targets: Classes of shape ``(N,)``, from 0 without gaps.
        """

    @abstractmethod
    def probabilities(self, features: Tensor) -> Tensor:
        """Predict.

        Args:
            features: Features of shape ``(N, num_features)``.

        Returns:
            Probability of each class that was there in training.
        """

    def _logits(self, features: Tensor) -> Tensor:
        """Turn features into logarithms of the probabilities of all classes."""
        if not self.is_fitted:
            raise RuntimeError(
                f'{type(self).__name__} has not been fitted. Call fit_windows, train '
                'it with torchgeo_hsi.tasks.HSIPixelClassification, or load a '
                'checkpoint.'
            )
        # distances between spectra are small differences of large numbers
        with full_precision(features.device):
            found = self.probabilities(features.float()).to(features.dtype)
        every = found.new_zeros(len(found), self.num_classes)
        every[:, self.classes] = found
        # classes without labels have no probability, but a loss of them is finite
        return torch.log((1 - _FLOOR * self.num_classes) * every + _FLOOR)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make room for what another fit left, whatever its size."""
        for name, old in self._buffers.items():
            new = state_dict.get(prefix + name)
            if isinstance(new, Tensor) and old is not None:
                self._buffers[name] = torch.empty_like(new, device=old.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move what was fitted, but never round it to half precision."""
        before = {k: v for k, v in self._buffers.items() if v is not None}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, old in before.items():
            new = self._buffers[name]
            assert new is not None
            if new.element_size() < old.element_size():
                self._buffers[name] = old.to(new.device)
        return self


def import_sklearn(name: str) -> Any:
    """Import a module of scikit-learn.

    Args:
        name: Name of the module, e.g. ``'svm'``.

    Returns:
        The module.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    from importlib import import_module

    try:
        return import_module(f'sklearn.{name}')
    except ImportError as error:
        raise ImportError(
            'scikit-learn is needed to fit this classifier. Install it with '
            "pip install 'torchgeo-hsi[baselines]'."
        ) from error
