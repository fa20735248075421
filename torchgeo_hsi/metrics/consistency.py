# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whether a sharpened cube, seen by the sensor of the cube, is the cube."""

from torch import Tensor

from ._full_resolution import FullResolutionMetric, Scene, SensedQ2nMetric, sensed
from ._images import Scores
from .ergas import score_ergas
from .q2n import score_q2n
from .spectral_angle import AngleUnit, check_unit, score_angle


class RQ2n(SensedQ2nMetric):
    """Hypercomplex quality index of reprojection, mean over images.

    :func:`q2n` between the sharpened cube, as the sensor of the cube would see it, and
    the cube; one less :func:`d_lambda_k`. 1 is best.

    * Scarpa and Ciotola (2022), https://doi.org/10.3390/rs14081808

    Example:
        >>> import torch
        >>> metric = RQ2n(rounded=True)
        >>> metric.update(torch.ones(1, 3, 96, 96), torch.ones(1, 3, 16, 16))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_q2n(sensed(scene, self.gain), self.block, self.rounded)


class RERGAS(FullResolutionMetric):
    """ERGAS of reprojection, mean over images, in percent.

    :func:`ergas` between the sharpened cube, as the sensor of the cube would see it, and
    the cube, with the ratio of the pixel sizes. 0 is best.

    * Scarpa and Ciotola (2022), https://doi.org/10.3390/rs14081808

    Example:
        >>> import torch
        >>> metric = RERGAS()
        >>> metric.update(torch.ones(1, 3, 96, 96), torch.ones(1, 3, 16, 16))
        >>> metric.compute()  # the kernel of the sensor sums to 0.9972
        tensor(0.0469)
    """

    higher_is_better = False

    def __init__(self, gain: float | Tensor = 0.3) -> None:
        """Initialize a new RERGAS instance.

        Args:
            gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
                each band.
        """
        super().__init__()
        self.gain = gain

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_ergas(sensed(scene, self.gain), scene.ratio)


class RSAM(FullResolutionMetric):
    """Spectral angle of reprojection, mean over pixels and images, in degrees.

    :func:`mean_spectral_angle` between the sharpened cube, as the sensor of the cube
    would see it, and the cube. 0 is best.

    * Scarpa and Ciotola (2022), https://doi.org/10.3390/rs14081808

    Example:
        >>> import torch
        >>> metric = RSAM()
        >>> metric.update(torch.ones(1, 3, 96, 96), 2 * torch.ones(1, 3, 16, 16))
        >>> bool(metric.compute() < 0.01)
        True
    """

    higher_is_better = False

    def __init__(self, gain: float | Tensor = 0.3, unit: AngleUnit = 'degrees') -> None:
        """Initialize a new RSAM instance.

        Args:
            gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
                each band.
            unit: ``'degrees'`` or ``'radians'``.

        Raises:
            ValueError: If there is no such unit.
        """
        super().__init__()
        check_unit(unit)
        self.gain = gain
        self.unit = unit

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_angle(sensed(scene, self.gain), self.unit)
