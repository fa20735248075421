# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Dead columns in some of the bands."""

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import COLUMNS, add_deadlines, draw_bands
from ...physics.noise.columns import check_columns, check_value
from ...physics.noise.draw import Source, check_share
from .base import NoiseTransform


class DeadlineNoise(NoiseTransform):
    """Set random columns of random bands to 0, as if their detectors were dead.

    The dead lines of QRNN3D (https://doi.org/10.1109/TNNLS.2020.2978756), which adds
    them to :class:`BandGaussianNoise`: ``get_noise('deadline')``.

    Example:
        >>> import torch
        >>> noise = DeadlineNoise(generator=torch.Generator().manual_seed(0))
        >>> pair = noise({'image': torch.ones(6, 40, 40)})
        >>> (pair['image'] == 0).all(1).sum(1).tolist()  # dead columns of each band
        [0, 0, 4, 0, 2, 0]
    """

    def __init__(
        self,
        bands: float = 1 / 3,
        columns: tuple[float, float] = COLUMNS,
        value: float = 0.0,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new DeadlineNoise instance.

        Args:
            bands: Share of the bands with dead columns; their number is rounded down.
            columns: Smallest and largest share of the columns of such a band.
            value: Value of dead pixels.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If *bands* or *columns* are no shares, *value* is not finite, or
                *peak* not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_share(bands)
        check_columns(columns)
        check_value(value)
        self.bands = bands
        self.columns = columns
        self.value = value

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, None]:
        """See :meth:`NoiseTransform.draw`."""
        bands, *_ = draw_bands(image.shape[:2], self.bands, image, self.generator)
        return (
            add_deadlines(image, bands, self.columns, self.value, self.generator),
            None,
        )
