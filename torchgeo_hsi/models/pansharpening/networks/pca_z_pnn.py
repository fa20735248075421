# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""PCA-Z-PNN: principal components, sharpened without any training."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...._precision import optimizing
from ...._typing import PathLike
from ...api import register_model
from ..pair import Pair
from ._adaptation import Adaptation, check_wavelength
from ._fusion_network import FusionNetwork, build, reflected_conv

#: Wavelength in micrometers at which the bands are split; the PAN ends before it.
_SPLIT = 0.77

#: Components that are refined in each block, and the weight of the PAN in each.
_COMPONENTS = 4
_WEIGHTS = (0.5, 0.25)


class _ComponentNetwork(nn.Module):
    """Refine the strongest components of a block with the PAN."""

    def __init__(self, components: int) -> None:
        super().__init__()
        self.conv1 = reflected_conv(components + 1, 48, 7)
        self.conv2 = reflected_conv(48, 32, 5)
        self.conv3 = reflected_conv(32, components, 3)

    def forward(self, up: Tensor, pan: Tensor) -> Tensor:
        features = self.conv1(torch.cat([up, pan], 1)).relu()
        details: Tensor = self.conv3(self.conv2(features).relu())
        return details + up


class PCAZPNN(FusionNetwork):
    """PCA-Z-PNN: networks for a few principal components, fitted to each image.

    The bands are split at 770 nm into two blocks. Of each block, the first four principal
    components are refined by a small network that is fitted to them from scratch: the
    result, blurred and decimated, has to be the components of the cube, and the first one
    has to follow the PAN. The other components stay interpolated. So there is no data
    set, any sensor will do, and two networks are fitted instead of hundreds. As in the
    toolbox of the review:

    * https://doi.org/10.48550/arXiv.2407.01355

    There, the sign of the components is left to the linear algebra library; here it is
    such that each is correlated with the PAN, without which the loss may have no
    gradient.

    In training nothing is fitted: components go through the networks, and gradients
    flow. The weights of the module never change in evaluation; each image begins with
    them.

    Example:
        >>> import torch
        >>> model = PCAZPNN(in_channels=6, steps=1).eval()
        >>> with torch.inference_mode():
        ...     model(torch.rand(1, 6, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 6, 96, 96])
    """

    def __init__(
        self,
        in_channels: int,
        scale: float = 65536.0,
        wavelength: Sequence[float] | None = None,
        adapt: bool = True,
        steps: int = 1000,
        lr: float = 5e-5,
        gain: float = 0.3,
    ) -> None:
        """Initialize a new PCAZPNN instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.
            wavelength: Center of each band in micrometers, by which the bands are split;
                one block by default.
            adapt: Whether the networks are fitted to each image in evaluation.
            steps: Steps for each block.
            lr: Learning rate of Adam.
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.

        Raises:
            BandMismatchError: If *in_channels* is not positive, or there is another number
                of wavelengths.
            UnitError: If wavelengths are no micrometers.
            ValueError: If another argument is out of its range.
        """
        super().__init__(in_channels, scale, gain)
        if steps < 0 or lr <= 0:
            raise ValueError(
                f'Expected no negative number of steps and a positive lr, got {steps} '
                f'and {lr}.'
            )
        self.wavelength = check_wavelength(wavelength, in_channels)
        self.adapt = adapt
        self.steps = steps
        self.lr = lr
        self.parts = _split(self.wavelength, in_channels)
        self.blocks = nn.ModuleList(
            _ComponentNetwork(min(_COMPONENTS, stop - start))
            for start, stop in self.parts
        )

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale, without fitting.

        Args:
            up: Interpolated cube of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Cube of shape ``(B, C, h, w)``.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        fused = []
        for number, network in enumerate(self.blocks):
            axes, _, high = self._components(number, up, pan, cube)
            fused.append(self._add(number, up, axes, network(high, pan) - high))
        return self._join(fused)

    def sharpen(self, pair: Pair) -> Tensor:
        """Sharpen a cube; in evaluation, fit the networks to it first.

        Args:
            pair: Cube and PAN.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        if self.training or not self.adapt or not self.steps:
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

    def _fit(self, pair: Pair, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        fused = []
        for number, network in enumerate(self.blocks):
            axes, low, high = self._components(number, up, pan, cube)
            adaptation = Adaptation(
                copy.deepcopy(network), pan, self.lr, pair.gain, pair.ratio
            )
            refined = adaptation.run(high, low, self.steps, _WEIGHTS[number])
            fused.append(self._add(number, up, axes, refined - high))
        return self._join(fused)

    @torch.no_grad()
    def _components(
        self, number: int, up: Tensor, pan: Tensor, cube: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the axes of a block, and the components of the cube and of *up*."""
        start, stop = self.parts[number]
        coarse, fine = cube[:, start:stop], up[:, start:stop]
        mean = coarse.mean((-2, -1), keepdim=True)
        flat = (coarse - mean).flatten(2).double()
        # strongest last; components divided by the root of the number of bands
        axes = torch.linalg.eigh(flat @ flat.mT).eigenvectors.flip(2).to(up.dtype)
        axes = axes[..., :_COMPONENTS]
        high = _project(fine - mean, axes)
        other = pan - pan.mean((-2, -1), keepdim=True)
        sign = ((high * other).sum((-2, -1)) >= 0).to(axes.dtype) * 2 - 1
        axes = axes * sign[:, None]
        return axes, _project(coarse - mean, axes), high * sign[..., None, None]

    def _add(self, number: int, up: Tensor, axes: Tensor, change: Tensor) -> Tensor:
        """Add what has changed in the components to the bands of a block."""
        start, stop = self.parts[number]
        details = torch.einsum('bck,bkhw->bchw', axes, change)
        return up[:, start:stop] + details * math.sqrt(stop - start)

    def _join(self, fused: list[Tensor]) -> Tensor:
        # the band that both blocks have is that of the second
        *others, last = fused
        return torch.cat([*(part[:, :-1] for part in others), last], 1)


def _project(image: Tensor, axes: Tensor) -> Tensor:
    return torch.einsum('bck,bchw->bkhw', axes, image) / math.sqrt(image.shape[1])


def _split(
    wavelength: Sequence[float] | None, bands: int
) -> tuple[tuple[int, int], ...]:
    """Return the bands of each block, first and behind the last."""
    far = next((i for i, x in enumerate(wavelength or ()) if x >= _SPLIT), 0)
    return ((0, far + 1), (far, bands)) if far else ((0, bands),)


@register_model
def pca_z_pnn(
    in_channels: int,
    scale: float = 65536.0,
    wavelength: Sequence[float] | None = None,
    adapt: bool = True,
    steps: int = 1000,
    gain: float = 0.3,
    weights: PathLike | None = None,
) -> PCAZPNN:
    """Build :class:`PCAZPNN`, 51,396 parameters for each block.

    Args:
        in_channels: Bands of the cube.
        scale: Images are divided by it, and the result is multiplied by it: 65536 for
            digital numbers of PRISMA, 10000 for reflectance times 10,000.
        wavelength: Center of each band in micrometers, by which the bands are split;
            one block by default.
        adapt: Whether the networks are fitted to each image in evaluation.
        steps: Steps for each block.
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        weights: Path of a checkpoint to begin with; random weights by default, as
            published.

    Returns:
        The model.

    Raises:
        BandMismatchError: If there is another number of wavelengths than of bands.
        CorruptFileError: If the checkpoint is damaged, or that of something else.

    Example:
        >>> pca_z_pnn(in_channels=159).blocks[0].conv1.weight.shape
        torch.Size([48, 5, 7, 7])
    """
    model = PCAZPNN(in_channels, scale, wavelength, adapt, steps, gain=gain)
    return build(model, weights)
