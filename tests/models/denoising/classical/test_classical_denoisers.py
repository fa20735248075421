# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all methods without training share, on an image of known truth."""

import sys

import pytest
import torch
from models.denoising.classical.painted_fields import (
    NAMES,
    SIGMA,
    gain,
    gaussian,
    truth,
)

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.models import (
    BM3D,
    BM4D,
    CollaborativeFilter,
    LowRankTV,
    RobustSubspaceDenoiser,
    SubspaceDenoiser,
    WaveletShrinkage,
    get_model,
)
from torchgeo_hsi.models.denoising.classical._spectral_scene import SpectralSceneModel


@pytest.mark.parametrize(
    ('name', 'least'),
    [
        ('svd', 9.5),
        ('hyres', 13.0),
        ('fasthyde', 16.0),
        ('lrtv', 13.0),
        ('robust_subspace', 15.0),
    ],
)
def test_noise_goes(name: str, least: float) -> None:
    clean = truth()
    noisy = gaussian(clean)
    assert gain(get_model(name)(noisy), noisy, clean) > least


def test_projection_leaves_the_noise_of_the_subspace() -> None:
    # independent of this code: of 40 dimensions of noise, 3 are left
    clean = truth()
    noisy = gaussian(clean)
    expected = 10 * torch.tensor(40 / 3).log10()
    assert abs(gain(get_model('svd', rank=3)(noisy), noisy, clean) - expected) < 0.5


@pytest.mark.parametrize('name', ['svd', 'fasthyde', 'robust_subspace'])
def test_bands_of_different_noise(name: str) -> None:
    clean = truth()
    sigma = torch.linspace(5, 80, 40)
    noisy = gaussian(clean, sigma[:, None, None])
    denoised = get_model(name)(noisy)
    assert gain(denoised, noisy, clean) > 12
    # the weak bands must not pay for the strong ones
    assert gain(denoised[:, :4], noisy[:, :4], clean[:, :4]) > 2


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (3, 2), (9, 20)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    image = torch.rand(2, 12, *size, generator=torch.Generator().manual_seed(0))
    denoised = get_model(name)(image)
    assert denoised.shape == image.shape
    assert denoised.isfinite().all()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('bands', [1, 3])
def test_few_bands(name: str, bands: int) -> None:
    """What other bands do not explain is no noise where there are none."""
    clean = truth(bands, 24)
    noisy = gaussian(clean)
    with pytest.raises(BandMismatchError, match='at least 4 are needed'):
        get_model(name)(noisy)
    denoised = get_model(name)(noisy, sigma=SIGMA)
    assert gain(denoised, noisy, clean) > -0.5


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('kind', ['copy', 'mean', 'zero'])
def test_bands_without_noise_of_their_own(name: str, kind: str) -> None:
    """One band that seems to be free of noise does not count more than all others."""
    clean = truth()
    noisy = gaussian(clean)
    usual = gain(get_model(name)(noisy), noisy, clean)
    odd = noisy.clone()
    odd[:, 5] = {
        'copy': noisy[:, 6],
        'mean': (noisy[:, 4] + noisy[:, 6]) / 2,
        'zero': torch.zeros_like(noisy[:, 5]),
    }[kind]
    rest = [band for band in range(noisy.shape[1]) if band not in (4, 5, 6)]
    denoised = get_model(name)(odd)
    # of two copies the robust method takes some of the noise for a direction
    loss = 10 if (name, kind) == ('robust_subspace', 'copy') else 2.5
    assert gain(denoised[:, rest], noisy[:, rest], clean[:, rest]) > usual - loss


@pytest.mark.parametrize('name', NAMES)
def test_numbers_that_are_none(name: str) -> None:
    noisy = gaussian(truth(8, 24))
    with pytest.raises(UnitError, match=r'image\.float'):
        get_model(name)((1000 * noisy).long())
    noisy[0, 5, 3, 4] = torch.nan
    with pytest.raises(UnitError, match='NaN or infinite'):
        get_model(name)(noisy)
    valid = torch.ones(1, 24, 24, dtype=torch.bool)
    valid[0, 3, 4] = False
    denoised = get_model(name)(noisy, valid=valid)
    assert denoised.movedim(1, -1)[valid].isfinite().all()


@pytest.mark.parametrize('name', NAMES)
def test_gradients_of_the_input(name: str) -> None:
    noisy = gaussian(truth(8, 24)).requires_grad_()
    get_model(name)(noisy).sum().backward()
    assert noisy.grad is not None
    assert noisy.grad.isfinite().all()


@pytest.mark.parametrize('name', NAMES)
def test_images_of_a_batch_do_not_meet(name: str) -> None:
    pair = torch.cat([gaussian(truth(20, 24)), gaussian(truth(20, 24, 5), 60)])
    # the dimension of a subspace is that of the batch
    model = get_model(name, rank=3)
    alone = torch.cat([model(image[None]) for image in pair])
    torch.testing.assert_close(model(pair), alone, atol=2e-4, rtol=0)


@pytest.mark.parametrize('name', NAMES)
def test_nodata_stays_and_changes_nothing(name: str) -> None:
    image = gaussian(truth(20, 24))
    valid = torch.ones(1, 24, 24, dtype=torch.bool)
    valid[:, :6, :6] = False
    results = []
    for fill in (-5.0, 9.0):
        filled = torch.where(valid[:, None], image, fill)
        results.append(get_model(name)(filled, valid=valid))
        assert (results[-1][:, :, :6, :6] == fill).all()
    seen = valid[:, None].expand_as(image)
    assert torch.equal(results[0][seen], results[1][seen])


@pytest.mark.parametrize('name', NAMES)
def test_given_noise(name: str) -> None:
    clean = truth(20, 24)
    noisy = gaussian(clean)
    model = get_model(name)
    one = model(noisy, SIGMA)
    torch.testing.assert_close(model(noisy, torch.full((20,), SIGMA)), one)
    torch.testing.assert_close(model(noisy, torch.full((1, 20), SIGMA)), one)
    assert gain(one, noisy, clean) > 8
    # a band that is said to be all noise is made from the others
    level = torch.full((20,), SIGMA)
    level[4] = 510
    rng = torch.Generator().manual_seed(3)
    noisy[:, 4] += 2 * torch.randn(24, 24, generator=rng)
    assert (model(noisy, level) - clean)[:, 4].square().mean().sqrt() < 0.2


@pytest.mark.parametrize('name', NAMES)
def test_mistakes(name: str) -> None:
    model = get_model(name)
    image = torch.rand(1, 10, 16, 16)
    with pytest.raises(BandMismatchError, match=r'image\[None\]'):
        model(image[0])
    with pytest.raises(EmptyDataError, match='are empty'):
        model(image[..., :0])
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        model(image, valid=torch.zeros(1, 16, 16, dtype=torch.bool))
    with pytest.raises(BandMismatchError, match='Expected valid of shape'):
        model(image, valid=torch.ones(1, 8, 16, dtype=torch.bool))
    with pytest.raises(BandMismatchError, match='each of 10 bands'):
        model(image, torch.ones(3))
    with pytest.raises(UnitError, match='positive sigma'):
        model(image, 0)


@pytest.mark.parametrize('name', NAMES)
def test_half_precision_and_double_come_back(name: str) -> None:
    image = gaussian(truth(12, 16))
    single = get_model(name)(image)
    double = get_model(name)(image.double())
    half = get_model(name)(image.bfloat16())
    assert (double.dtype, half.dtype) == (torch.float64, torch.bfloat16)
    torch.testing.assert_close(double.float(), single, atol=1e-2, rtol=0)
    assert half.isfinite().all()


@pytest.mark.parametrize('name', NAMES)
def test_nothing_is_kept_in_the_state(name: str) -> None:
    model = get_model(name)
    model.observe(gaussian(truth(12, 16)))
    model.settle()
    assert not model.state_dict()
    assert not list(model.parameters())


def test_numbers_of_methods() -> None:
    with pytest.raises(ValueError, match='positive rank and number of passes'):
        RobustSubspaceDenoiser(rank=0)
    with pytest.raises(ValueError, match='at least 1 level, got 0'):
        WaveletShrinkage(0)
    with pytest.raises(ValueError, match='positive rank, smoothness'):
        LowRankTV(smoothness=0)
    with pytest.raises(ValueError, match='power of two'):
        CollaborativeFilter(group_size=12)
    with pytest.raises(ValueError, match='step from 1 to block_size=3'):
        CollaborativeFilter(step=4)
    with pytest.raises(ValueError, match='positive block_size'):
        CollaborativeFilter(radius=0)


@pytest.mark.parametrize('package', ['bm3d', 'bm4d'])
def test_package_that_is_not_there(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    method = BM3D if package == 'bm3d' else BM4D
    with pytest.raises(ImportError, match=f'pip install {package}'):
        method()


def test_bm3d() -> None:
    pytest.importorskip('bm3d')
    clean = truth(30, 20)
    noisy = gaussian(clean)
    model = get_model('fasthyde', denoiser='bm3d')
    assert gain(model(noisy), noisy, clean) > 10
    tiny = torch.rand(1, 3, 7, 9)
    assert torch.equal(model.denoiser(tiny, 30), tiny)


def test_bm4d() -> None:
    pytest.importorskip('bm4d')
    clean = truth(6, 12)
    noisy = gaussian(clean)
    valid = torch.ones(1, 12, 12, dtype=torch.bool)
    valid[:, 0, 0] = False
    denoised = get_model('bm4d')(noisy, SIGMA, valid)
    assert gain(denoised, noisy, clean) > 4
    assert torch.equal(denoised[..., 0, 0], noisy[..., 0, 0])


def test_methods_are_scene_models() -> None:
    assert isinstance(get_model('svd'), SpectralSceneModel)
    assert isinstance(get_model('svd'), SubspaceDenoiser)
