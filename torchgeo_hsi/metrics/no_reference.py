# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Quality of sharpened cubes without a truth: products of two indices."""

from torch import Tensor

from ._blocks import check_block
from ._full_resolution import FullResolutionMetric, Scene, SensedQ2nMetric
from ._images import Scores
from .d_lambda import score_d_lambda
from .d_lambda_k import score_d_lambda_k
from .d_s import score_d_s
from .d_s_regression import score_d_s_regression


def _product(spectral: Scores, spatial: Scores) -> Scores:
    """Multiply what two distortions leave."""
    values = (1 - spectral.values) * (1 - spatial.values)
    return Scores(values, spectral.known & spatial.known)


class QNR(FullResolutionMetric):
    """Quality with no reference, mean over images.

    ``(1 - D_lambda) (1 - D_S)``, of :func:`d_lambda` in blocks and :func:`d_s` in sliding
    windows. 1 is best.

    * Alparone et al. (2008), https://doi.org/10.14358/PERS.74.2.193

    Example:
        >>> import torch
        >>> metric = QNR()
        >>> pan = torch.rand(1, 1, 96, 96)
        >>> metric.update(pan.expand(1, 3, 96, 96), torch.rand(1, 3, 16, 16), pan)
        >>> bool(metric.compute() < 0.5)
        True
    """

    higher_is_better = True
    needs_pan = True

    def __init__(self, window: int = 32) -> None:
        """Initialize a new QNR instance.

        Args:
            window: Pixels along a side of a window of the sharpened cube.

        Raises:
            ValueError: If the window has fewer than 2 pixels along a side.
        """
        super().__init__()
        check_block(window, 'window')
        self.window = window

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        spectral = score_d_lambda(scene, self.window, sliding=False)
        return _product(spectral, score_d_s(scene, self.window, sliding=True))


class HQNR(SensedQ2nMetric):
    """Hybrid quality with no reference, mean over images.

    ``(1 - D_lambda^K) (1 - D_S)``, of :func:`d_lambda_k` and :func:`d_s`. 1 is best.

    * Aiazzi et al. (2014), https://doi.org/10.1117/12.2067770

    Example:
        >>> import torch
        >>> metric = HQNR()
        >>> pan = torch.rand(1, 1, 96, 96)
        >>> metric.update(pan.expand(1, 3, 96, 96), torch.rand(1, 3, 16, 16), pan)
        >>> bool(metric.compute() < 0.5)
        True
    """

    higher_is_better = True
    needs_pan = True

    def __init__(
        self,
        gain: float | Tensor = 0.3,
        block: int = 32,
        rounded: bool = False,
        window: int = 32,
    ) -> None:
        """Initialize a new HQNR instance.

        Args:
            gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
                each band.
            block: Pixels of the cube along a side of a block of Q2n.
            rounded: Whether to round values to integers for Q2n.
            window: Pixels along a side of a window of the sharpened cube, for D_S.

        Raises:
            ValueError: If a block or window has fewer than 2 pixels along a side.
        """
        super().__init__(gain, block, rounded)
        check_block(window, 'window')
        self.window = window

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        spectral = score_d_lambda_k(scene, self.gain, self.block, self.rounded)
        return _product(spectral, score_d_s(scene, self.window, sliding=True))


class RQNR(SensedQ2nMetric):
    """Quality with no reference by regression, mean over images.

    ``(1 - D_lambda^K) (1 - D_S^R)``, of :func:`d_lambda_k` and :func:`d_s_regression`. 1
    is best. The toolbox on hyperspectral pansharpening calls it QNR.

    * Alparone et al. (2018), https://doi.org/10.1109/IGARSS.2018.8518869

    Example:
        >>> import torch
        >>> metric = RQNR()
        >>> pan = torch.rand(1, 1, 96, 96)
        >>> metric.update(pan.expand(1, 3, 96, 96), torch.rand(1, 3, 16, 16), pan)
        >>> bool(metric.compute() < 0.5)
        True
    """

    higher_is_better = True
    needs_pan = True

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        spectral = score_d_lambda_k(scene, self.gain, self.block, self.rounded)
        return _product(spectral, score_d_s_regression(scene))
