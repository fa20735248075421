# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Local correlation against published numbers and plain loops."""

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics.local_windows import box_sums, local_correlation


def _window_sums(image: np.ndarray, half: int) -> np.ndarray:
    padded = np.pad(image, ((half - 1, half),) * 2)
    size = 2 * half
    return np.array(
        [
            [padded[i : i + size, j : j + size].sum() for j in range(image.shape[1])]
            for i in range(image.shape[0])
        ]
    )


@pytest.mark.parametrize('half', [1, 2, 3, 5, 18])
def test_box_sums_are_loops(half: int) -> None:
    image = torch.rand(
        2, 21, 17, generator=torch.Generator().manual_seed(half)
    ).double()
    expected = np.stack([_window_sums(x, half) for x in image.numpy()])
    np.testing.assert_allclose(box_sums(image, half), expected, atol=1e-12)


def test_correlation_is_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 19, 23, generator=generator).double()
    centered = [
        x[0] - _window_sums(x[0], 3) / 36 for x in (first.numpy(), second.numpy())
    ]
    product = _window_sums(centered[0] * centered[1], 3)
    squares = [_window_sums(x**2, 3) for x in centered]
    expected = product / np.sqrt(squares[0] * squares[1])
    np.testing.assert_allclose(
        local_correlation(first, second, 2.5)[0], expected, atol=1e-12
    )


def test_published_numbers() -> None:
    scene = golden_scene(32)
    rho = local_correlation(scene.batch('ms')[:, :1], scene.batch('pan'), 3)[0, 0]
    assert rho.shape == (192, 192)
    assert float(rho[0, 0]) == pytest.approx(0.9981071132, abs=1e-9)
    assert float(rho[100, 100]) == pytest.approx(0.6711631120, abs=1e-9)
    assert float(rho[191, 191]) == pytest.approx(0.9987146251, abs=1e-9)
    assert float(rho.mean()) == pytest.approx(0.4590387663, abs=1e-9)
    # and in the precision of training
    single = local_correlation(
        scene.batch('ms')[:, :1].float(), scene.batch('pan').float(), 3
    )
    assert float(single.mean()) == pytest.approx(0.4590387663, abs=1e-4)


def test_constant_image_has_no_correlation() -> None:
    image = torch.rand(1, 9, 9).double()
    inner = local_correlation(image, torch.ones_like(image), 2)[0, 4:5, 4:5]
    assert float(inner.abs().max()) < 1e-3


def test_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 8, 8, generator=generator).double()
    first.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: local_correlation(x, second, 2), (first,))


def test_shapes_must_fit() -> None:
    with pytest.raises(BandMismatchError, match='same size'):
        local_correlation(torch.rand(2, 8, 8), torch.rand(2, 8, 9), 3)
    with pytest.raises(ValueError, match='half a window'):
        box_sums(torch.rand(1, 8, 8), 0)
