# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the variational methods of pansharpening share, and what holds for all."""

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import rmse
from models.pansharpening.variational_cases import draw, scene
from torch.nn import functional as F

from torchgeo_hsi.models import Pansharpener, get_model
from torchgeo_hsi.models.pansharpening.variational import (
    HySURE,
    SparseDetails,
    TotalVariation,
)
from torchgeo_hsi.models.pansharpening.variational._admm import Blur
from torchgeo_hsi.models.pansharpening.variational._differences import (
    differences,
    differences_adjoint,
)
from torchgeo_hsi.models.pansharpening.variational.total_variation import (
    bilinear_down,
    bilinear_down_adjoint,
)
from torchgeo_hsi.physics.resampling import interpolate

METHODS: dict[str, type[Pansharpener]] = {
    'tv': TotalVariation,
    'sr_d': SparseDetails,
    'hysure': HySURE,
}


def build(name: str) -> Pansharpener:
    """Build a method that is fast."""
    steps = {'tv': {'iterations': 8}, 'hysure': {'iterations': 15, 'endmembers': 3}}
    return get_model(name, **steps.get(name, {}))


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize('circular', [False, True])
def test_differences(circular: bool) -> None:
    image = draw(2, 3, 5, 4)
    across, down = differences(image, circular=circular)
    after = np.roll(image.numpy(), -1, 3) - image.numpy()
    below = np.roll(image.numpy(), -1, 2) - image.numpy()
    if not circular:
        after[..., -1] = below[..., -1, :] = 0
    np.testing.assert_allclose(across, after)
    np.testing.assert_allclose(down, below)
    first, second = draw(2, 3, 5, 4, seed=1), draw(2, 3, 5, 4, seed=2)
    left = (across * first + down * second).sum()
    right = image * differences_adjoint(first, second, circular=circular)
    torch.testing.assert_close(left, right.sum())


@pytest.mark.parametrize('ratio', [2, 3, 6])
def test_bilinear_decimation_and_its_adjoint(ratio: int) -> None:
    fine, coarse = draw(2, 3, 5 * ratio, 4 * ratio), draw(2, 3, 5, 4, seed=1)
    small = bilinear_down(fine, ratio)
    wanted = F.interpolate(fine, size=(5, 4), mode='bilinear', antialias=True)
    torch.testing.assert_close(small, wanted)
    back = bilinear_down_adjoint(coarse, ratio)
    torch.testing.assert_close((small * coarse).sum(), (fine * back).sum())


@pytest.mark.parametrize(('size', 'ratio'), [(4, 2), (5, 3), (10, 6), (30, 2)])
def test_blur_and_its_adjoint(size: int, ratio: int) -> None:
    kernel, offset = draw(2, size, size), ratio // 2
    blur = Blur(kernel, ratio, offset, (5, 4))
    height, width = 5 * ratio + 2, 4 * ratio + ratio
    fine, coarse = draw(2, 3, height, width, seed=1), draw(2, 3, 5, 4, seed=2)
    seen = blur.down(fine)
    for batch, band, row, col in ((0, 0, 0, 0), (1, 2, 4, 3), (0, 1, 2, 1)):
        total = 0.0
        for i in range(size):
            for j in range(size):
                y = (row * ratio + offset + i - size // 2) % height
                x = (col * ratio + offset + j - size // 2) % width
                total += float(kernel[batch, i, j] * fine[batch, band, y, x])
        assert float(seen[batch, band, row, col]) == pytest.approx(total)
    back = blur.back(coarse, (height, width))
    torch.testing.assert_close((seen * coarse).sum(), (fine * back).sum())
    # without decimation, the transfer function is that of the kernel
    every = Blur(kernel, 1, 0, (height, width)).down(fine)
    spectrum = torch.fft.rfft2(fine) * blur.transfer((height, width)).conj()
    torch.testing.assert_close(every, torch.fft.irfft2(spectrum, s=(height, width)))


# ---------------------------------------------------------------- all three


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize('ratio', [2, 3, 6])
def test_better_than_interpolated(name: str, ratio: int) -> None:
    fine, cube, pan = scene(8, 17, 15, ratio)
    model = get_model(name)
    assert isinstance(model, METHODS[name])
    found = model(cube, pan)
    assert found.shape == fine.shape
    assert rmse(found, fine) < 0.8 * rmse(interpolate(cube, ratio), fine)


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize('bands', [1, 2, 12])
@pytest.mark.parametrize(('height', 'width'), [(5, 9), (8, 3)])
def test_any_size(name: str, bands: int, height: int, width: int) -> None:
    _, cube, pan = scene(bands, height, width, 3)
    found = build(name)(cube.float(), pan.float())
    assert found.shape == (1, bands, 3 * height, 3 * width)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize('name', METHODS)
def test_nothing_but_constants(name: str) -> None:
    cube = torch.tensor([0.0, 300.0, 20.0]).double()[:, None, None]
    cube = cube.expand(1, 3, 8, 8).clone()
    for value in (0.0, 40.0):
        found = build(name)(cube, torch.full((1, 1, 24, 24), value).double())
        assert found.isfinite().all()
        if name == 'sr_d':
            torch.testing.assert_close(found[..., ::3, ::3], cube)


@pytest.mark.parametrize('name', METHODS)
def test_images_of_a_batch_do_not_mix(name: str) -> None:
    _, cube, pan = scene(4, 16, 16, 3)
    cubes = torch.cat([cube[..., :8, :8], 3 * cube[..., 8:, 8:] + 90])
    pans = torch.cat([pan[..., :24, :24], 3 * pan[..., 24:, 24:] + 90])
    together = build(name)(cubes, pans)
    for number in range(2):
        some = slice(number, number + 1)
        alone = build(name)(cubes[some], pans[some])
        # the steps of one may be longer, and random numbers are drawn one by one
        torch.testing.assert_close(together[some], alone, rtol=2e-2, atol=0)


@pytest.mark.parametrize('name', ['sr_d', 'hysure'])
def test_scale_of_numbers_does_not_matter(name: str) -> None:
    _, cube, pan = scene(5, 9, 9, 3)
    first = build(name)(cube, pan)
    second = build(name)(cube / 1e4, pan / 1e4)
    torch.testing.assert_close(1e4 * second, first, rtol=1e-6, atol=0)


@pytest.mark.parametrize('name', METHODS)
def test_gaps(name: str) -> None:
    _, cube, pan = scene(4, 9, 9, 3)
    cube[..., 2:4, 3] = torch.nan
    pan_valid = torch.ones(1, 27, 27, dtype=torch.bool)
    pan_valid[:, 20, 5:9] = False
    found = build(name)(cube, pan, pan_valid=pan_valid)
    assert found.isfinite().all()
    other = build(name)(
        cube, pan.masked_fill(~pan_valid[:, None], 1e5), pan_valid=pan_valid
    )
    torch.testing.assert_close(found, other)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('tv', {'alpha': 0.0}, 'alpha > 0'),
        ('tv', {'damping': 4.0}, 'damping >= 8'),
        ('tv', {'blur': 'box'}, 'bilinear or mtf'),
        ('sr_d', {'overlap': 7}, 'an overlap that is smaller'),
        ('sr_d', {'atoms': 0}, '1 to 49 atoms'),
        ('hysure', {'endmembers': 0}, 'at least one endmember'),
        ('hysure', {'step': 0.0}, 'a step > 0'),
        ('hysure', {'basis': 'pca'}, 'vca or svd'),
    ],
)
def test_options_are_checked(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS[name](**options)
