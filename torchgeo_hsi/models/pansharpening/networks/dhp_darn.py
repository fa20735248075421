# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DHP-DARN: attention over bands and pixels, on top of a prior image."""

from typing import Literal

import torch
from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import CorruptFileError
from ...api import register_model
from ..pair import Pair
from ._checkpoints import file_digest
from ._fusion_network import FusionNetwork, build, check_prior
from .deep_hyperspectral_prior import PRIOR_STEPS, deep_hyperspectral_prior

#: SHA-256 of the file of the toolbox, which has been trained with swapped inputs.
_PUBLISHED = '65a68142fe4f5cc91b47dcffc81fb9aad816f738aad1d83cd8755124ea82675c'

#: Channels inside, and by how much fewer the gates have.
_WIDTH = 64
_REDUCTION = 16


class _Attention(nn.Module):
    """Features weighted by channel and by pixel, added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.conv3 = nn.Conv2d(_WIDTH, _WIDTH // _REDUCTION, 1)
        self.conv4 = nn.Conv2d(_WIDTH // _REDUCTION, _WIDTH, 1)
        self.conv5 = nn.Conv2d(_WIDTH, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        found = self.conv2(self.conv1(image).relu())
        mean = found.mean((-2, -1), keepdim=True)
        channels = self.conv4(self.conv3(mean).relu()).sigmoid()
        pixels = self.conv5(found).sigmoid()
        result: Tensor = image + found * (channels + pixels)
        return result


class DHPDARN(FusionNetwork):
    """DARN: residual blocks with attention over channels and over pixels.

    The network adds details to a *prior* image that already has the fine pixels. As
    published it is the result of an optimization for each image, the deep hyperspectral
    prior (:func:`deep_hyperspectral_prior`), which takes minutes to hours. By default it
    is the interpolated cube. Train and apply the network with the same kind of prior.
    As in the toolbox of the review, whose names the tensors have:

    * https://doi.org/10.48550/arXiv.2407.01355

    The toolbox passes the PAN where the network expects the prior, and the prior where it
    expects the PAN, in training too: the details are added to the PAN. Its checkpoint only
    makes sense with ``as_published=True``, which swaps them, and takes the prior as it was
    then.

    Example:
        >>> import torch
        >>> model = DHPDARN(in_channels=20).eval()
        >>> model(torch.rand(1, 20, 16, 16), torch.rand(1, 1, 96, 96)).shape
        torch.Size([1, 20, 96, 96])
    """

    def __init__(
        self,
        in_channels: int,
        scale: float = 65536.0,
        as_published: bool = False,
        prior: Literal['deep', 'interpolated'] = 'interpolated',
        prior_steps: int = PRIOR_STEPS,
        gain: float = 0.3,
    ) -> None:
        """Initialize a new DHPDARN instance.

        Args:
            in_channels: Bands of the cube.
            scale: Images are divided by it, and the result is multiplied by it.
            as_published: Whether the PAN and the prior change places, for the checkpoint
                of the toolbox. The deep prior then has its dense filters and its short
                blur, which make it about 1.6 times too bright.
            prior: ``'interpolated'``, or ``'deep'``: optimized for each image, also in
                training.
            prior_steps: Steps of that optimization.
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
            ValueError: If another argument is out of its range.
        """
        super().__init__(in_channels, scale, gain)
        self.as_published = as_published
        self.prior = check_prior(prior)
        self.prior_steps = prior_steps
        self.FEN = nn.Conv2d(in_channels + 1, _WIDTH, 3, padding=1)
        for number in range(1, 5):
            self.add_module(f'CSA{number}', _Attention())
        self.RRN = nn.Conv2d(_WIDTH, in_channels, 3, padding=1)

    def fuse(self, up: Tensor, pan: Tensor, cube: Tensor) -> Tensor:
        """Sharpen images that have been divided by the scale.

        Args:
            up: Prior of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            cube: Not used.

        Returns:
            Sharpened cube of shape ``(B, C, H, W)``.
        """
        first, second = (pan, up) if self.as_published else (up, pan)
        features = self.FEN(torch.cat([first, second], 1))
        for number in range(1, 5):
            features = self.get_submodule(f'CSA{number}')(features)
        fused: Tensor = self.RRN(features) + first
        return fused

    def prepare(self, pair: Pair) -> Tensor:
        """Make the prior.

        Args:
            pair: Cube and PAN.

        Returns:
            Prior of shape ``(B, C, H, W)``, divided by the scale.
        """
        if self.prior == 'interpolated':
            return super().prepare(pair)
        return deep_hyperspectral_prior(
            pair.cube / self.scale,
            pair.ratio,
            gain=pair.gain,
            steps=self.prior_steps,
            as_published=self.as_published,
        )


@register_model
def dhp_darn(
    in_channels: int,
    scale: float = 65536.0,
    as_published: bool = False,
    prior: Literal['deep', 'interpolated'] = 'interpolated',
    prior_steps: int = PRIOR_STEPS,
    gain: float = 0.3,
    weights: PathLike | None = None,
) -> DHPDARN:
    """Build :class:`DHPDARN`, 0.48 million parameters for 159 bands.

    Args:
        in_channels: Bands of the cube.
        scale: Images are divided by it, and the result is multiplied by it: 65536 for
            digital numbers of PRISMA, 10000 for reflectance times 10,000.
        as_published: Whether the PAN and the prior change places, for the checkpoint of
            the toolbox.
        prior: ``'interpolated'``, or ``'deep'``: optimized for each image.
        prior_steps: Steps of that optimization.
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        weights: Path of a checkpoint; random weights by default. The file of the toolbox
            is for 159 bands of PRISMA as digital numbers and needs ``as_published=True``.

    Returns:
        The model.

    Raises:
        BandMismatchError: If the checkpoint is for another number of bands.
        CorruptFileError: If the checkpoint is damaged, that of something else, or that of
            the toolbox without ``as_published=True``.

    Example:
        >>> dhp_darn(in_channels=159).FEN.weight.shape
        torch.Size([64, 160, 3, 3])
    """
    model = DHPDARN(in_channels, scale, as_published, prior, prior_steps, gain=gain)
    build(model, weights)
    if weights is not None and not as_published and file_digest(weights) == _PUBLISHED:
        raise CorruptFileError(
            f'{weights} is the checkpoint of the toolbox, which was trained with the PAN '
            'and the prior in swapped places. Pass as_published=True, or train a network.'
        )
    return model
