# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The deep hyperspectral prior: a network that is fitted to one cube."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...._precision import optimizing
from ....physics.resampling import mtf_decimate
from ._fusion_network import reflected_conv
from ._hourglass import WIDTH, Double, Hourglass, build_on, conv_block, fit, make_noise

#: Steps as published.
PRIOR_STEPS = 10_000

_SLOPE = 0.01
_RATE = 1e-2

#: Samples of the published blur; it loses more than a third of the light.
_SHORT_BLUR = 9
_BLUR = 41


class _Lanczos(nn.Module):
    """Halve rows and columns after a Lanczos filter of 9 x 9 samples."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, image: Tensor) -> Tensor:
        place = torch.arange(-4, 5, dtype=image.dtype, device=image.device) / 2
        line = torch.sinc(place) * torch.sinc(place / 2)
        line = line / line.sum()
        # a dense filter with the same weights everywhere sums all channels first
        flat = (
            image.sum(1, keepdim=True) if self.dense else image.flatten(0, 1)[:, None]
        )
        padded = F.pad(flat, (4, 4, 4, 4), mode='replicate')
        low = F.conv2d(padded, line[None, None, :, None], stride=(2, 1))
        low = F.conv2d(low, line[None, None, None], stride=(1, 2))
        return low.reshape(len(image), -1, *low.shape[-2:]).expand(
            -1, image.shape[1], -1, -1
        )


def deep_hyperspectral_prior(
    cube: Tensor,
    ratio: int,
    *,
    gain: float = 0.3,
    steps: int = PRIOR_STEPS,
    as_published: bool = False,
    seed: int = 0,
) -> Tensor:
    """Make a cube with fine pixels by fitting a network to the coarse one.

    A network makes an image from noise, and is trained until the blurred and decimated
    image is the cube. The PAN plays no part. That is the prior of DHP-DARN, as the toolbox
    of the review has it (https://doi.org/10.48550/arXiv.2407.01355).

    It is an optimization for each image: on a processor, seconds per step for an image of
    1,000 x 1,000 pixels.

    Args:
        cube: Cubes of shape ``(B, C, h, w)`` with values about 0 to 1.
        ratio: Pixel size of the cube over that of the PAN.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        steps: Steps for each cube.
        as_published: Whether to have the flaws with which the published network was
            trained: filters that sum all channels, and a blur of 9 samples that makes the
            result about 1.6 times too bright, then cut at 1.
        seed: Seed of the noise and of the first weights.

    Returns:
        Cubes of shape ``(B, C, ratio * h, ratio * w)``, not negative, without gradients.

    Raises:
        ValueError: If *steps* is not positive.

    Example:
        >>> import torch
        >>> cube = torch.rand(1, 5, 8, 8)
        >>> deep_hyperspectral_prior(cube, ratio=6, steps=1).shape
        torch.Size([1, 5, 48, 48])
    """
    if steps < 1:
        raise ValueError(f'Expected at least one step, got {steps}.')
    with optimizing(cube.device):
        images = [
            _fit_image(
                image[None].detach().float().clone(),
                ratio,
                gain,
                steps,
                as_published,
                seed,
            )
            for image in cube
        ]
    top = 1.0 if as_published else None
    return torch.cat(images).clamp(0, top).to(cube.dtype)


def _build(bands: int, dense: bool) -> Hourglass:
    def down(channels: int) -> nn.Module:
        return nn.Sequential(
            _Lanczos(dense),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(_SLOPE),
            *conv_block(channels, _SLOPE),
        )

    def up(channels: int) -> nn.Module:
        return nn.Sequential(
            *conv_block(channels, _SLOPE), *conv_block(WIDTH, _SLOPE), Double()
        )

    return Hourglass(reflected_conv(bands, WIDTH, 3), down, up, bands, _SLOPE)


def _fit_image(
    cube: Tensor, ratio: int, gain: float, steps: int, as_published: bool, seed: int
) -> Tensor:
    bands, height, width = cube.shape[1], ratio * cube.shape[2], ratio * cube.shape[3]
    network, rng = build_on(cube.device, seed, lambda: _build(bands, as_published))
    noise = make_noise(bands, (height, width), rng, cube.device)
    size = _SHORT_BLUR if as_published else _BLUR

    def loss() -> Tensor:
        made = network(noise)[..., :height, :width]
        return F.l1_loss(mtf_decimate(made, gain, ratio, size), cube)

    fit(network, _RATE, steps, loss)
    with torch.no_grad():
        made: Tensor = network(noise)[..., :height, :width]
    return made
