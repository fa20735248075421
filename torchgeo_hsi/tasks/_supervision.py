# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs to learn denoising from where nobody knows the clean image."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..errors import EmptyDataError
from ..physics.noise import SIGMA_SCALE
from ..physics.subspace import estimate_noise

#: Last weight of the second term of Neighbor2Neighbor, as published.
_GAMMA = 2.0


def estimate_sigma(image: Tensor, valid: Tensor) -> Tensor:
    """Estimate the noise of each band, the same for all images of a batch.

    Patches of one scene have the same noise, and many pixels make a better estimate.

    Args:
        image: Images of shape ``(B, C, H, W)``, values about 0 to 1.
        valid: Valid pixels of shape ``(B, H, W)``.

    Returns:
        Standard deviations of shape ``(C,)``, on the scale of 0 to 255; 0 without a
        valid pixel.
    """
    if not valid.any():
        return image.new_zeros(image.shape[1], dtype=torch.float32)
    # all images below each other are one
    noise = estimate_noise(
        image.detach().transpose(0, 1).flatten(1, 2), valid.flatten(0, 1)
    )
    return (SIGMA_SCALE * noise).float()


def recorrupted_loss(
    network: Callable[..., Tensor],
    criterion: Callable[..., Tensor],
    image: Tensor,
    valid: Tensor,
    sigma: Tensor,
    inputs: Mapping[str, Tensor],
    alpha: float = 0.5,
) -> Tensor:
    r"""Compute the loss of Recorrupted-to-Recorrupted.

    From a noisy image *y* and more noise *z* of the same strength, it makes
    :math:`y + \alpha z` and :math:`y - z / \alpha`. For Gaussian noise that of the two is
    independent, so to predict the second from the first is, but for a constant, to
    predict the clean image.

    * https://doi.org/10.1109/CVPR46437.2021.00208

    Args:
        network: Takes images and *inputs*.
        criterion: Takes a prediction, a target and valid pixels.
        image: Noisy images of shape ``(B, C, H, W)``.
        valid: Valid pixels of shape ``(B, H, W)``.
        sigma: Standard deviation of the noise on the scale of 0 to 255, shape ``(B, C)``
            or ``(B, C, H, W)``.
        inputs: More arguments of the network.
        alpha: Noise that is added to what the network sees, relative to what is there.

    Returns:
        The loss.
    """
    level = sigma if sigma.ndim == 4 else sigma[..., None, None]
    noise = torch.randn_like(image) * (level / SIGMA_SCALE).to(image)
    noise = noise.masked_fill(~valid.unsqueeze(1), 0)
    inputs = dict(inputs)
    if 'sigma' in inputs:
        inputs['sigma'] = sigma * math.sqrt(1 + alpha**2)
    denoised = network(image + alpha * noise, **inputs)
    return criterion(denoised, image - noise / alpha, valid)


def neighbor_loss(
    network: Callable[..., Tensor],
    criterion: Callable[..., Tensor],
    image: Tensor,
    valid: Tensor,
    inputs: Mapping[str, Tensor],
    share: float,
) -> Tensor:
    """Compute the loss of Neighbor2Neighbor.

    Two neighbors out of each square of 2 x 2 pixels make two images of half the size,
    whose noise is independent; one is predicted from the other. A second term accounts
    for their different places.

    * https://doi.org/10.1109/CVPR46437.2021.01454

    Args:
        network: Takes images and *inputs*.
        criterion: Takes a prediction, a target and valid pixels.
        image: Noisy images of shape ``(B, C, H, W)``.
        valid: Valid pixels of shape ``(B, H, W)``.
        inputs: More arguments of the network.
        share: Share of the training that is done. The weight of the second term grows
            with it: what it takes from a network that knows nothing yet is the noise.

    Returns:
        The loss.

    Raises:
        EmptyDataError: If the images are smaller than a square.
    """
    if min(image.shape[-2:]) < 2:
        raise EmptyDataError(
            'Expected images of at least 2 x 2 pixels to learn from neighbors, got '
            f'{tuple(image.shape)}.'
        )
    with torch.no_grad():
        whole = network(image, **inputs).float()
    choice = draw_neighbors(valid)
    first, second = take_neighbors(image, *choice)
    smooth_first, smooth_second = take_neighbors(whole, *choice)
    known, too = take_neighbors(valid.unsqueeze(1), *choice)
    both = (known & too).squeeze(1)
    inputs = {
        name: take_neighbors(value, *choice)[0] if value.ndim == 4 else value
        for name, value in inputs.items()
    }
    if 'valid' in inputs:
        inputs['valid'] = both
    predicted = network(first, **inputs)
    # what the two differ by because of their places is not noise
    shifted = second + smooth_first - smooth_second
    loss = criterion(predicted, second, both)
    return loss + _GAMMA * share * criterion(predicted, shifted, both)


def draw_neighbors(valid: Tensor) -> tuple[Tensor, Tensor]:
    """Draw two neighboring pixels from each square of 2 x 2 pixels.

    They are neighbors in a row, so that stripes along the columns, which all sensors
    with a line of detectors have, differ between the two.

    Args:
        valid: Tensor of shape ``(B, H, W)``, for the number of squares.

    Returns:
        For each square the row of both, and the column of the first, 0 or 1, shape
        ``(B, H // 2, W // 2)``.
    """
    shape = (len(valid), valid.shape[1] // 2, valid.shape[2] // 2)
    row = torch.randint(0, 2, shape, device=valid.device)
    return row, torch.randint(0, 2, shape, device=valid.device)


def take_neighbors(values: Tensor, row: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
    """Take the pixels that :func:`draw_neighbors` has drawn.

    Args:
        values: Values of shape ``(B, C, H, W)``.
        row: Row in each square, shape ``(B, H // 2, W // 2)``.
        col: Column of the first pixel in each square, same shape.

    Returns:
        Two images of shape ``(B, C, H // 2, W // 2)``.
    """
    height, width = 2 * row.shape[1], 2 * row.shape[2]
    values = values[..., :height, :width]
    upper, lower = values[..., ::2, :], values[..., 1::2, :]
    is_upper = row[:, None] == 0
    left = torch.where(is_upper, upper[..., ::2], lower[..., ::2])
    right = torch.where(is_upper, upper[..., 1::2], lower[..., 1::2])
    is_left = col[:, None] == 0
    return torch.where(is_left, left, right), torch.where(is_left, right, left)
