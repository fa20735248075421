# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks that are fitted to the image they sharpen, and priors that are."""

import copy

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor, nn
from torch.nn import functional as F

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models.pansharpening.networks import (
    DHPDARN,
    PCAZPNN,
    RPNN,
    DIPHyperKite,
    deep_hyperspectral_prior,
    deep_image_prior,
)
from torchgeo_hsi.models.pansharpening.networks import _adaptation as adaptation
from torchgeo_hsi.models.pansharpening.networks import _hourglass as hourglass
from torchgeo_hsi.models.pansharpening.networks.deep_hyperspectral_prior import (
    _build as build_hyperspectral,
)
from torchgeo_hsi.models.pansharpening.networks.deep_hyperspectral_prior import _Lanczos
from torchgeo_hsi.models.pansharpening.networks.deep_image_prior import (
    _build as build_image,
)
from torchgeo_hsi.models.pansharpening.networks.deep_image_prior import _PanPredictor
from torchgeo_hsi.models.pansharpening.pair import Pair
from torchgeo_hsi.physics.resampling import mtf_decimate

GAIN, RATIO = 0.3, 6


def pair_of(bands: int = 2, size: int = 16) -> tuple[Tensor, Tensor]:
    """Return a part of the scene."""
    scene = golden_scene(32)
    cube = scene.batch('lr')[:, ::15][:, :bands, :size, :size].float()
    return cube, scene.batch('pan')[..., : 6 * size, : 6 * size].float()


def prisma_wavelengths() -> np.ndarray:
    """Return the nominal wavelengths of the bands that the toolbox keeps, in um."""
    planes = np.concatenate([np.linspace(400, 1010, 66), np.linspace(920, 2505, 173)])
    ranges = [(7, 62), (71, 85), (89, 106), (120, 149), (176, 215)]
    return np.concatenate([planes[a : b + 1] for a, b in ranges]) / 1000


def test_spectral_loss_is_the_published_one() -> None:
    scene = golden_scene(32)
    cube = scene.batch('lr') / 65536
    for band, up, truth in (
        (0, 0.00166593876, 0.00016267308),
        (31, 0.00191404251, 0.00019416882),
    ):
        part = cube[:, band : band + 1]
        for name, expected in (('ms', up), ('gt', truth)):
            image = scene.batch(name)[:, band : band + 1] / 65536
            loss = adaptation.spectral_loss(image, part, GAIN, RATIO)
            assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_small_images_have_a_spectral_loss() -> None:
    cube, _ = pair_of(size=8)
    image = torch.full((1, 2, 48, 48), 7000.0, requires_grad=True)
    loss = adaptation.spectral_loss(image, cube, GAIN, RATIO)
    # replicated, the blur of something uniform is uniform
    expected = (7000 * 0.9987691697378 - cube).abs().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert image.grad is not None
    assert image.grad.any()


def local_means(image: np.ndarray, half: int) -> np.ndarray:
    """Average the window of 2 * half rows and columns, with zeros outside."""
    rows, cols = image.shape
    padded = np.pad(image, half)
    means = np.zeros_like(image)
    for i in range(rows):
        for j in range(cols):
            window = padded[i + 1 : i + 1 + 2 * half, j + 1 : j + 1 + 2 * half]
            means[i, j] = window.sum() / (4 * half**2)
    return means


def correlation(first: np.ndarray, second: np.ndarray, half: int) -> np.ndarray:
    first, second = (x - local_means(x, half) for x in (first, second))
    parts = (first * second, first * first, second * second)
    product, a, b = (local_means(x, half) for x in parts)
    return product / np.sqrt(a * b)


def test_structural_loss_counts_what_is_less_alike_than_before() -> None:
    rng = np.random.default_rng(0)
    image, pan = rng.random((2, 24, 30))
    image += pan / 2
    bound = rng.random((24, 30))
    unlike = 1 - np.maximum(correlation(image, pan, 3), 0)
    expected = np.where(unlike > bound, unlike, 0).mean()
    tensors = [torch.from_numpy(x)[None, None] for x in (image, pan, bound)]
    loss = adaptation.structural_loss(*tensors, RATIO)
    assert float(loss) == pytest.approx(expected, rel=1e-9)


def test_bound_of_the_structure_is_the_published_one() -> None:
    scene = golden_scene(32)
    for band, expected in ((0, 0.0119928880), (31, 0.0220714479)):
        up = scene.batch('ms')[:, band : band + 1]
        bound = adaptation.structure_bound(up, scene.batch('pan'), GAIN, RATIO)
        assert float(bound.mean()) == pytest.approx(expected, rel=1e-5)


def test_steps_follow_the_wavelengths() -> None:
    model = RPNN(159, wavelength=prisma_wavelengths())
    steps = np.array(model.steps)
    # band 56 lies 15.8 nm before the one before it, and gets its steps nevertheless
    assert steps[0] == 20
    assert steps[56] == 30
    others = np.delete(steps, [0, 56])
    assert {int(n): int((others == n).sum()) for n in np.unique(others)} == {
        15: 154,
        60: 1,
        80: 2,
    }
    assert RPNN(4).steps == [20, 15, 15, 15]
    assert RPNN(3, wavelength=(0.5, 0.51, 0.9), max_steps=40).steps == [20, 30, 40]


def test_wavelengths_are_checked() -> None:
    for kind in (RPNN, PCAZPNN):
        with pytest.raises(BandMismatchError, match='each of 3 bands, got 2'):
            kind(3, wavelength=(0.5, 0.6))
        with pytest.raises(UnitError, match='micrometers'):
            kind(2, wavelength=(500, 600))
        with pytest.raises(ValueError, match='steps'):
            kind(3, steps=-1)


def total_loss(image: Tensor, band: Tensor, up: Tensor, pan: Tensor) -> float:
    bound = adaptation.structure_bound(up, pan, GAIN, RATIO)
    spectral = adaptation.spectral_loss(image, band, GAIN, RATIO)
    return float(spectral + 0.5 * adaptation.structural_loss(image, pan, bound, RATIO))


def test_r_pnn_is_fitted_under_inference_mode_and_stays_as_it_is() -> None:
    cube, pan = pair_of()
    torch.manual_seed(0)
    model = RPNN(2, first_steps=4, steps=4, lr=1e-3).eval()
    before = copy.deepcopy(model.state_dict())
    with torch.inference_mode():
        fitted = model(cube, pan)
        again = model(cube, pan)
        model.adapt = False
        plain = model(cube, pan)
    assert torch.equal(fitted, again)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    up = Pair(cube, pan).up / 65536
    cube, pan, fitted, plain = (x / 65536 for x in (cube, pan, fitted, plain))
    losses = [
        [total_loss(x[:, b : b + 1], cube[:, b : b + 1], up[:, b : b + 1], pan)]
        for x in (plain, fitted)
        for b in range(2)
    ]
    assert losses[2] < losses[0]
    assert losses[3] < losses[1]


def test_r_pnn_goes_from_band_to_band() -> None:
    cube, pan = pair_of()
    torch.manual_seed(0)
    model = RPNN(2, first_steps=3, steps=0, lr=1e-3).eval()
    twice = model(cube[:, :1].expand(-1, 2, -1, -1), pan)
    # without steps, the second band has the best weights of the first
    torch.testing.assert_close(twice[:, 0], twice[:, 1])
    alone = model(cube[:, [1, 0]], pan)
    assert not torch.allclose(alone[:, 1], model(cube, pan)[:, 0])


def test_images_of_a_batch_are_fitted_one_by_one() -> None:
    cube, pan = pair_of(size=12)
    cubes, pans = torch.cat([cube, cube.flip(2)]), torch.cat([pan, pan.flip(2)])
    torch.manual_seed(0)
    for model in (RPNN(2, first_steps=2, steps=2, lr=1e-3), PCAZPNN(2, steps=2)):
        model.eval()
        both = model(cubes, pans)
        torch.testing.assert_close(both[1:], model(cubes[1:], pans[1:]))
        assert both.dtype == cubes.dtype
        assert not both.requires_grad


def test_r_pnn_refines_each_band_by_itself_in_training() -> None:
    cube, pan = pair_of(bands=3, size=8)
    torch.manual_seed(0)
    model = RPNN(3).train()
    together = model(cube, pan)
    for band in range(3):
        part = slice(band, band + 1)
        alone = RPNN(1).train()
        alone.load_state_dict(model.state_dict())
        torch.testing.assert_close(
            alone(cube[:, part], pan), together[:, part], rtol=1e-5, atol=0.1
        )
    with torch.no_grad():
        torch.testing.assert_close(model(cube, pan), together, rtol=1e-5, atol=0.1)


@pytest.mark.parametrize('size', [(5, 4), (7, 20), (1, 1)])
def test_r_pnn_mirrors_images_of_any_size(size: tuple[int, int]) -> None:
    model = RPNN(1)
    for conv in (model.conv1, model.conv2, model.conv3):
        for parameter in conv.parameters():
            nn.init.zeros_(parameter)
    with torch.no_grad():
        # the PAN, six pixels to the left and above
        model.conv1.weight[0, 1, 0, 0] = 1
        model.conv2.weight[0, 0, 0, 0] = 1
        model.conv3.weight[0, 0, 0, 0] = 1
    pan = torch.rand(1, 1, *size)
    fused = model.fuse(torch.zeros_like(pan), pan, pan)[0, 0]
    # numpy mirrors as often as it takes
    mirrored = np.pad(pan[0, 0].numpy(), 6, mode='reflect')[: size[0], : size[1]]
    torch.testing.assert_close(fused.detach(), torch.from_numpy(mirrored))


def test_pca_z_pnn_splits_at_770_nm() -> None:
    model = PCAZPNN(159, wavelength=prisma_wavelengths())
    assert model.parts == ((0, 34), (33, 159))
    assert PCAZPNN(5).parts == ((0, 5),)
    assert PCAZPNN(2, wavelength=(0.8, 0.9)).parts == ((0, 2),)
    # a block of two bands has two components
    assert PCAZPNN(3, wavelength=(0.5, 0.8, 0.9)).blocks[0].conv3.weight.shape[0] == 2


def test_pca_z_pnn_without_details_is_the_interpolated_cube() -> None:
    scene = golden_scene(32)
    cube = scene.batch('lr')[..., :12, :12]
    pan = scene.batch('pan')[..., :72, :72]
    model = PCAZPNN(32, wavelength=np.linspace(0.5, 1.0, 32), adapt=False).double()
    for block in model.blocks:
        for parameter in block.conv3.parameters():
            nn.init.zeros_(parameter)
    torch.testing.assert_close(model.eval()(cube, pan), Pair(cube, pan).up)
    # a change of the first component alone changes the bands along its axis
    with torch.no_grad():
        model.blocks[1].conv3.bias[0] = 0.01
    start = model.parts[1][0]
    change = (model(cube, pan) - Pair(cube, pan).up)[0, :, 0, 0].detach().numpy()
    flat = cube[0, start:].flatten(1).numpy()
    axis = np.linalg.svd(flat - flat.mean(1, keepdims=True))[0][:, 0]
    size = 0.01 * 65536 * np.sqrt(32 - start)
    np.testing.assert_allclose(np.abs(change[start:]), size * np.abs(axis), rtol=1e-6)
    np.testing.assert_allclose(change[:start], 0, atol=1e-6)


def test_components_follow_the_pan_whatever_the_sign() -> None:
    cube, pan = (image.double() for image in pair_of(bands=2, size=12))
    model = PCAZPNN(2)
    for sign in (1, -1):
        pair = Pair(8000 + sign * (cube - 8000), pan)
        axes, low, high = model._components(0, pair.up, pair.pan, pair.cube)
        dark = pan - pan.mean()
        assert ((high * dark).sum((2, 3)) > 0).all()
        # components of the cube and of the interpolated one have the same sign
        torch.testing.assert_close(high[..., 3::6, 3::6], low)
        torch.testing.assert_close(axes[0].mT @ axes[0], torch.eye(2).double())


def test_pca_z_pnn_is_fitted_under_inference_mode_and_stays_as_it_is() -> None:
    cube, pan = pair_of()
    torch.manual_seed(0)
    model = PCAZPNN(2, steps=8, lr=1e-3).eval()
    before = copy.deepcopy(model.state_dict())
    with torch.inference_mode():
        fitted = model(cube, pan)
        model.adapt = False
        plain = model(cube, pan)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    errors = [
        float((mtf_decimate(x, GAIN, RATIO) - cube).abs().mean())
        for x in (plain, fitted)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_lanczos_filter_is_the_published_one() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 9, 12, generator=rng, dtype=torch.float64)
    place = np.arange(-4, 5) / 2
    line = np.sinc(place) * np.sinc(place / 2)
    kernel = torch.from_numpy(np.outer(line, line) / line.sum() ** 2)
    padded = F.pad(image, (4,) * 4, mode='replicate')
    dense = F.conv2d(padded, kernel.expand(3, 3, 9, 9), stride=2)
    torch.testing.assert_close(_Lanczos(dense=True)(image), dense)
    single = F.conv2d(padded, kernel.expand(3, 1, 9, 9), stride=2, groups=3)
    torch.testing.assert_close(_Lanczos(dense=False)(image), single)


def test_networks_of_the_priors_have_the_published_size() -> None:
    def count(model: nn.Module) -> int:
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(build_hyperspectral(159, dense=True)) == 2_448_347
    assert count(build_image(159)) == 2_977_539
    assert count(_PanPredictor(159)) == 25_360


def test_priors_fit_the_cube_and_leave_random_numbers_alone() -> None:
    cube, pan = pair_of(size=7)
    cube, pan = cube / 65536, pan / 65536
    state = torch.get_rng_state()
    for prior in (
        lambda steps: deep_hyperspectral_prior(cube, RATIO, steps=steps),
        lambda steps: deep_image_prior(cube, pan, steps=steps),
    ):
        with torch.inference_mode():
            short, again, long = (prior(steps) for steps in (2, 2, 12))
        assert torch.equal(short, again)
        assert long.shape == (1, 2, 42, 42)
        assert (long >= 0).all()
        errors = [
            float((mtf_decimate(x, GAIN, RATIO) - cube).abs().mean())
            for x in (short, long)
        ]
        assert errors[1] < 0.5 * errors[0]
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match='at least one step'):
        deep_image_prior(cube, pan, steps=0)
    with pytest.raises(ValueError, match='at least one step'):
        deep_hyperspectral_prior(cube, RATIO, steps=0)


def test_published_prior_is_too_bright() -> None:
    cube, _ = pair_of(size=7)
    prior = deep_hyperspectral_prior(cube / 65536, RATIO, steps=40, as_published=True)
    # its blur of nine samples keeps 0.636 of the light
    factor = float(prior.mean() / (cube.mean() / 65536))
    assert factor == pytest.approx(1 / 0.6363, rel=0.15)


def test_networks_take_the_deep_prior() -> None:
    cube, pan = pair_of(size=7)
    darn = DHPDARN(2, prior='deep', prior_steps=2).eval()
    kite = DIPHyperKite(2, prior='deep', prior_steps=2).eval()
    for parameter in (*darn.RRN.parameters(), *kite.final_conv.parameters()):
        nn.init.zeros_(parameter)
    with torch.inference_mode():
        # without details, the prior is the result
        torch.testing.assert_close(
            darn(cube, pan),
            65536 * deep_hyperspectral_prior(cube / 65536, RATIO, steps=2),
        )
        torch.testing.assert_close(
            kite(cube, pan),
            65536 * deep_image_prior(cube / 65536, pan / 65536, steps=2),
        )


def test_noise_has_whole_steps_for_any_size() -> None:
    rng = torch.Generator().manual_seed(0)
    noise = hourglass.make_noise(3, (65, 10), rng, torch.device('cpu'))
    assert noise.shape == (1, 3, 96, 64)
    assert 0 <= float(noise.min()) < 0.01
    assert 0.09 < float(noise.max()) <= 0.1
