# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""R-PNN: one small network that goes from band to band."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...._precision import optimizing
from ...._typing import PathLike
from ...api import register_model
from ..pair import Pair
from ._adaptation import Adaptation, check_wavelength, steps_of_bands
from ._fusion_network import FusionNetwork, build

#: Pixels that the convolutions take from each side.
_MARGIN = 6

#: Wavelength in micrometers from which on the PAN counts half, and both weights.
_FAR = 0.7
_WEIGHTS = (0.5, 0.25)


def _refine(convs: Sequence[nn.Module], up: Tensor, pan: Tensor) -> Tensor:
    """Refine single bands of shape (N, 1, H, W)."""
    stack = _mirror(torch.cat([up, pan], 1))
    first, second, last = convs
    details: Tensor = last(second(first(stack).relu()).relu())
    return details + up


def _mirror(image: Tensor) -> Tensor:
    if min(image.shape[-2:]) > _MARGIN:
        return F.pad(image, (_MARGIN,) * 4, mode='reflect')
    # the mirror of a small image is mirrored itself
    for axis in (-2, -1):
        length = image.shape[axis]
        place = torch.arange(-_MARGIN, length + _MARGIN, device=image.device).abs()
        place = place % max(2 * length - 2, 1)
        place = torch.minimum(place, 2 * length - 2 - place)
        image = image.index_select(axis, place.abs())
    return image


class _Convolutions(nn.ModuleList):
    """The three convolutions as a network, to be fitted."""

    def forward(self, up: Tensor, pan: Tensor) -> Tensor:
        return _refine(list(self), up, pan)


class RPNN(FusionNetwork):
    """R-PNN: three convolutions of one band and the PAN, fitted on the way.

    The network sees one band at a time, so one network is for any number of bands, and
    for any sensor. Before it refines a band it is fitted to it, without any reference:
    the result, blurred and decimated, has to be the band, and has to follow the PAN where
    band and PAN are alike at the resolution of the cube. It begins where the band before
    ended. From:

    * https://doi.org/10.48550/arXiv.2311.06510

    In training nothing is fitted: bands go through the network together, and gradients
    flow. The weights of the module never change in evaluation; each image begins with
    them.

    Example:
        >>> import torch
        >>> model = RPNN(in_channels=3, steps=1).eval()
        >>> with torch.inference_mode():
        ...     model(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 3, 96, 96])
    """

    def __init__(
        self,
        in_channels: int,
        scale: float = 65536.0,
        wavelength: Sequence[float] | None = None,
        adapt: bool = True,
        first_steps: int = 20,
        steps: int = 15,
        max_steps: int = 80,
        lr: float = 1e-5,
        gain: float = 0.3,
    ) -> None:
        """Initialize a new RPNN instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.
            wavelength: Center of each band in micrometers. By it, bands behind a gap get
                more steps, and the PAN counts half from the first band beyond 0.7 on; by
                default all bands are alike.
            adapt: Whether the network is fitted to each band in evaluation.
            first_steps: Steps of the first band.
            steps: Steps of the others, and once more for each 10 nm to the band before.
            max_steps: Most steps of a band but the first.
            lr: Learning rate of Adam.
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.

        Raises:
            BandMismatchError: If *in_channels* is not positive, or there is another number
                of wavelengths.
            UnitError: If wavelengths are no micrometers.
            ValueError: If another argument is out of its range.
        """
        super().__init__(in_channels, scale, gain)
        if min(first_steps, steps, max_steps) < 0 or lr <= 0:
            raise ValueError(
                'Expected no negative number of steps and a positive lr, got '
                f'{first_steps}, {steps}, {max_steps} and {lr}.'
            )
        self.wavelength = check_wavelength(wavelength, in_channels)
        self.adapt = adapt
        self.steps = steps_of_bands(
            self.wavelength, in_channels, first_steps, steps, max_steps
        )
        self.lr = lr
        self.conv1 = nn.Conv2d(2, 48, 7)
        self.conv2 = nn.Conv2d(48, 32, 5)
        self.conv3 = nn.Conv2d(32, 1, 3)
        # without weights of a checkpoint, the fit begins with the interpolated band
        nn.init.zeros_(self.conv3.weight)
        nn.init.zeros_(self.conv3.bias)  # type: ignore[arg-type]

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale, without fitting.

        Args:
            up: Interpolated cube of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Not used.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        convs = self._convolutions()
        if not torch.is_grad_enabled():
            # no graph needs all bands, so there is no reason to hold them
            return torch.cat(
                [_refine(convs, band, pan) for band in torch.split(up, 1, 1)], 1
            )
        batch, channels = up.shape[:2]
        pans = pan.expand(-1, channels, -1, -1).reshape(-1, 1, *pan.shape[-2:])
        bands = up.reshape(batch * channels, 1, *up.shape[-2:])
        return _refine(convs, bands, pans).reshape(up.shape)

    def sharpen(self, pair: Pair) -> Tensor:
        """Sharpen a cube; in evaluation, fit the network to it first.

        Args:
            pair: Cube and PAN.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        if self.training or not self.adapt or not any(self.steps):
            return super().sharpen(pair)
        # the margins of a tile are part of what the weights are fitted to
        whole = pair.whole
        up, pan, cube = self.inputs(whole)
        with optimizing(up.device):
            images = [
                self._fit(whole, *(part[None].detach().clone() for part in parts))
                for parts in zip(up, pan, cube, strict=True)
            ]
        return pair.crop(self.output(torch.cat(images), whole))

    def _convolutions(self) -> list[nn.Module]:
        return [self.conv1, self.conv2, self.conv3]

    def _fit(self, pair: Pair, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        network = _Convolutions(copy.deepcopy(self._convolutions()))
        adaptation = Adaptation(network, pan, self.lr, pair.gain, pair.ratio)
        far = False
        bands = []
        for band, steps in enumerate(self.steps):
            far = far or (self.wavelength is not None and self.wavelength[band] > _FAR)
            part = slice(band, band + 1)
            bands.append(
                adaptation.run(up[:, part], cube[:, part], steps, _WEIGHTS[far])
            )
        return torch.cat(bands, 1)


@register_model
def r_pnn(
    in_channels: int,
    scale: float = 65536.0,
    wavelength: Sequence[float] | None = None,
    adapt: bool = True,
    first_steps: int = 20,
    steps: int = 15,
    max_steps: int = 80,
    gain: float = 0.3,
    weights: PathLike | None = None,
) -> RPNN:
    """Build :class:`RPNN`, 43,473 parameters for any number of bands.

    Args:
        in_channels: Bands of the cube.
        scale: Images are divided by it, and the result is multiplied by it: 65536 for
            digital numbers of PRISMA, 10000 for reflectance times 10,000.
        wavelength: Center of each band in micrometers.
        adapt: Whether the network is fitted to each band in evaluation.
        first_steps: Steps of the first band.
        steps: Steps of the others, and once more for each 10 nm to the band before.
        max_steps: Most steps of a band but the first.
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        weights: Path of a checkpoint; without one, the fit begins with the
            interpolated band, from which far more steps are needed. The file of the toolbox has been trained on one band of
            PRISMA as digital numbers.

    Returns:
        The model.

    Raises:
        BandMismatchError: If there is another number of wavelengths than of bands.
        CorruptFileError: If the checkpoint is damaged, or that of something else.

    Example:
        >>> r_pnn(in_channels=159).conv1.weight.shape
        torch.Size([48, 2, 7, 7])
    """
    model = RPNN(
        in_channels, scale, wavelength, adapt, first_steps, steps, max_steps, gain=gain
    )
    return build(model, weights)
