# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The deep image prior: a network that is fitted to one cube and its PAN."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...._precision import optimizing
from ....physics.resampling import mtf_decimate
from ._hourglass import WIDTH, Double, Hourglass, build_on, conv_block, fit, make_noise

#: Steps as published, and the one from which on they are small.
PRIOR_STEPS = 1500
_DROP = 1300 / 1500

_SLOPE = 0.02
_RATE = 1e-3
_NOISE_CHANNELS = 32

#: Weight of the PAN in what is minimized.
_SPATIAL = 0.6


class _PanPredictor(nn.Module):
    """Weights of the bands in the PAN, from the mean spectrum."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        hidden = max(bands // 2, 1)
        self.conv1 = nn.Conv2d(bands, hidden, 1)
        self.conv2 = nn.Conv2d(hidden, bands, 1)

    def forward(self, image: Tensor) -> Tensor:
        mean = image.mean((-2, -1), keepdim=True)
        weights = self.conv2(self.conv1(mean).relu()).softmax(1)
        pan: Tensor = (image * weights).sum(1, keepdim=True)
        return pan


def deep_image_prior(
    cube: Tensor,
    pan: Tensor,
    *,
    gain: float = 0.3,
    steps: int = PRIOR_STEPS,
    seed: int = 0,
) -> Tensor:
    """Make a cube with fine pixels by fitting a network to a coarse one and its PAN.

    A network makes an image from noise, and is trained until the blurred and decimated
    image is the cube and a weighted sum of its bands is the PAN; the weights are learned
    at the same time. That is the prior of DIP-HyperKite, as the toolbox of the review has
    it (https://doi.org/10.48550/arXiv.2407.01355), with two changes: the image is decimated
    by the blur of the sensor instead of a Lanczos filter, whose samples lie half a pixel
    off the grid, and images of other sizes are cut from larger ones.

    It is an optimization for each image: on a processor, seconds per step for an image of
    1,000 x 1,000 pixels.

    Args:
        cube: Cubes of shape ``(B, C, h, w)`` with values about 0 to 1.
        pan: PAN of shape ``(B, 1, H, W)``, on the same scale.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        steps: Steps for each cube; the last 13 % of them are a tenth as large.
        seed: Seed of the noise and of the first weights.

    Returns:
        Cubes of shape ``(B, C, H, W)``, not negative, without gradients.

    Raises:
        ValueError: If *steps* is not positive.

    Example:
        >>> import torch
        >>> cube, pan = torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)
        >>> deep_image_prior(cube, pan, steps=1).shape
        torch.Size([1, 5, 48, 48])
    """
    if steps < 1:
        raise ValueError(f'Expected at least one step, got {steps}.')
    with optimizing(cube.device):
        images = [
            _fit_image(
                image[None].detach().float().clone(),
                fine[None].detach().float().clone(),
                gain,
                steps,
                seed,
            )
            for image, fine in zip(cube, pan, strict=True)
        ]
    return torch.cat(images).clamp_min(0).to(cube.dtype)


def _build(bands: int) -> Hourglass:
    def down(channels: int) -> nn.Module:
        return nn.Sequential(
            *conv_block(channels, _SLOPE, stride=2), *conv_block(WIDTH, _SLOPE)
        )

    def up(channels: int) -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm2d(channels),
            *conv_block(channels, _SLOPE),
            *conv_block(WIDTH, _SLOPE),
            Double(),
            nn.Conv2d(WIDTH, WIDTH, 1),
            nn.BatchNorm2d(WIDTH),
            nn.LeakyReLU(_SLOPE),
        )

    return Hourglass(nn.Identity(), down, up, bands, _SLOPE, _NOISE_CHANNELS)


def _fit_image(cube: Tensor, pan: Tensor, gain: float, steps: int, seed: int) -> Tensor:
    bands, ratio = cube.shape[1], pan.shape[-1] // cube.shape[-1]
    height, width = pan.shape[-2:]

    def builder() -> nn.Module:
        return nn.ModuleList([_build(bands), _PanPredictor(bands)])

    networks, rng = build_on(cube.device, seed, builder)
    image_network, predictor = networks.children()
    noise = make_noise(_NOISE_CHANNELS, (height, width), rng, cube.device)

    def loss() -> Tensor:
        made = image_network(noise)[..., :height, :width]
        spectral = F.l1_loss(mtf_decimate(made, gain, ratio), cube)
        return spectral + _SPATIAL * F.l1_loss(predictor(made), pan)

    fit(networks, _RATE, steps, loss, drop=round(_DROP * steps))
    with torch.no_grad():
        made: Tensor = image_network(noise)[..., :height, :width]
    return made
