# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methods that are fitted: what they say about the pixels of a scene."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._typing import Sample
from ..datasets.labelled_scenes.scene import LabelledScene
from ..errors import BandMismatchError, NotFiniteError
from ..models import use_bands
from ..models.pixel_classification.base import PixelClassifier
from ..transforms import NormalizeValid

#: Windows that are classified at a time.
_CHUNK = 1024

#: Rows and columns of the tiles that hold pixels to be tested.
_TILE = 64


class FittedMethod(ABC):
    """A method that is fitted to the labels of a scene.

    Made by :func:`~torchgeo_hsi.workflows.fit_method`.

    Args:
        method: Name of the method.
        class_names: Name of each class.
        window: Rows and columns around a pixel that it looks at.
        used: Labelled pixels that it was fitted to, bool of shape ``(H, W)``.
    """

    #: ``'transductive'`` for methods that see the pixels of the test in training.
    mode: str = 'inductive'

    def __init__(
        self,
        method: str,
        class_names: tuple[str, ...],
        window: int,
        used: NDArray[np.bool_],
    ) -> None:
        """Initialize a new FittedMethod instance; see the class for the arguments."""
        self.method = method
        self.class_names = class_names
        self.window = window
        self.used = used

    @abstractmethod
    def rows(self, scene: LabelledScene, start: int, stop: int) -> NDArray[np.float32]:
        """Classify some rows of a scene.

        Args:
            scene: The scene.
            start: First row.
            stop: Row after the last one.

        Returns:
            Probabilities of shape ``(K, stop - start, W)``, those that come out for the
            whole scene at once; anything where there is no data.

        Raises:
            BandMismatchError: If the scene is another one than the method can work on.
        """

    @abstractmethod
    def pixels(
        self, scene: LabelledScene, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Classify single pixels of a scene.

        Args:
            scene: The scene.
            rows: Rows of N pixels.
            columns: Their columns.

        Returns:
            Probabilities of shape ``(N, K)``.

        Raises:
            BandMismatchError: If the scene is another one than the method can work on.
        """


class FittedClassifier(FittedMethod):
    """A classifier of pixels, with the normalization of its training.

    Args:
        method: Name of the method.
        class_names: Name of each class.
        used: Labelled pixels that it was fitted to, bool of shape ``(H, W)``.
        model: The classifier.
        normalize: Turns the numbers of the scene into those of the classifier.
        device: Device of the classifier.
    """

    def __init__(
        self,
        method: str,
        class_names: tuple[str, ...],
        used: NDArray[np.bool_],
        model: PixelClassifier,
        normalize: NormalizeValid,
        device: str | torch.device = 'cpu',
    ) -> None:
        """Initialize a new FittedClassifier instance; see the class for arguments."""
        super().__init__(method, class_names, model.window, used)
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)
        self.normalize = normalize

    def rows(self, scene: LabelledScene, start: int, stop: int) -> NDArray[np.float32]:
        """Classify some rows of a scene; see :meth:`FittedMethod.rows`."""
        return self._area(scene, slice(start, stop), slice(0, scene.shape[2]))

    def pixels(
        self, scene: LabelledScene, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Classify single pixels of a scene; see :meth:`FittedMethod.pixels`."""
        self._check(scene)
        out = np.empty((len(rows), len(self.class_names)), dtype=np.float32)
        if not self._prefers_areas:
            for first in range(0, len(rows), _CHUNK):
                part = slice(first, first + _CHUNK)
                out[part] = self._windows(scene, rows[part], columns[part])
            return out
        tiles = rows // _TILE * (scene.shape[2] // _TILE + 1) + columns // _TILE
        for tile in np.unique(tiles):
            mine = np.flatnonzero(tiles == tile)
            r, c = rows[mine], columns[mine]
            top, left = int(r.min()), int(c.min())
            area = slice(top, int(r.max()) + 1), slice(left, int(c.max()) + 1)
            out[mine] = self._area(scene, *area)[:, r - top, c - left].T
        return out

    @property
    def _prefers_areas(self) -> bool:
        """Whether areas cost less than the windows of all of their pixels."""
        own = type(self.model).classify_dense is not PixelClassifier.classify_dense
        return own and self.window > 1

    def _area(
        self, scene: LabelledScene, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Classify an area, with what lies around it."""
        self._check(scene)
        edge, (_, height, width) = self.window // 2, scene.shape
        around, inner = [], []
        for part, size in ((rows, height), (columns, width)):
            first = max(part.start - edge, 0)
            around.append(slice(first, min(part.stop + edge, size)))
            inner.append(slice(part.start - first, part.stop - first))
        image = self._input(scene.image[:, *around], scene.valid[tuple(around)])
        with torch.inference_mode(), use_bands(self.model, _axis(scene)):
            found = self.model.dense(image[None])[0][:, *inner].softmax(0)
        return self._finite(found)

    def _windows(
        self, scene: LabelledScene, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Classify the windows around some pixels."""
        edge, (_, height, width) = self.window // 2, scene.shape
        around = np.arange(-edge, edge + 1)
        r = (rows[:, None] + around)[:, :, None]
        c = (columns[:, None] + around)[:, None, :]
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        r, c = r.clip(0, height - 1), c.clip(0, width - 1)
        valid = inside & scene.valid[r, c]
        windows = self._input(scene.image[:, r, c], valid).transpose(0, 1)
        with torch.inference_mode(), use_bands(self.model, _axis(scene)):
            found = self.model(windows.contiguous()).softmax(1)
        return self._finite(found)

    def _input(self, image: NDArray[np.generic], valid: NDArray[np.bool_]) -> Tensor:
        """Normalize values of shape ``(C, ...)``; 0 stands for no data."""
        values = torch.from_numpy(np.asarray(image, dtype=np.float32))
        flat = values.reshape(1, len(values), 1, -1)
        mask = torch.from_numpy(valid.reshape(1, 1, -1))
        found: Tensor = self.normalize({'image': flat, 'valid': mask})['image']
        return found.reshape(values.shape).to(self.device)

    def _finite(self, found: Tensor) -> NDArray[np.float32]:
        if not found.isfinite().all():
            raise NotFiniteError(
                f'{self.method} gave probabilities that are NaN or infinite. Use fewer '
                'steps or a smaller learning rate (options steps and lr).'
            )
        probabilities: NDArray[np.float32] = found.float().cpu().numpy()
        return probabilities

    def _check(self, scene: LabelledScene) -> None:
        if scene.shape[0] != self.model.in_channels:
            raise BandMismatchError(
                f'{self.method} was fitted to {self.model.in_channels} bands, got a '
                f'scene with {scene.shape[0]}.'
            )


def _axis(scene: LabelledScene) -> Sample:
    """Return what is known about the bands, for networks that look at wavelengths."""
    values = {key: getattr(scene.bands, key, None) for key in ('wavelength', 'fwhm')}
    return {
        key: torch.tensor(np.asarray(value), dtype=torch.float32)
        for key, value in values.items()
        if value is not None
    }
