# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Published networks for pansharpening: layout, order of channels, checkpoints."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models.pansharpening.networks import (
    DHPDARN,
    RPNN,
    DIPHyperKite,
    HSpeNet,
    HyperDSNet,
    HyperPNN,
    dhp_darn,
    dip_hyperkite,
    hspenet,
    hyper_dsnet,
    hyperpnn,
    pca_z_pnn,
    r_pnn,
)
from torchgeo_hsi.models.pansharpening.networks import dhp_darn as darn_module
from torchgeo_hsi.models.pansharpening.networks._edge_filters import EdgeFilters
from torchgeo_hsi.models.pansharpening.pair import Margins

#: Bands of the published checkpoints.
B = 159

BUILDERS: list[Callable[..., nn.Module]] = [
    hyperpnn,
    hspenet,
    hyper_dsnet,
    dhp_darn,
    dip_hyperkite,
    r_pnn,
    pca_z_pnn,
]


def images(bands: int = 5, size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return a cube and a PAN."""
    rng = torch.Generator().manual_seed(seed)
    cube = 2000 + 5000 * torch.rand(2, bands, size, size, generator=rng)
    return cube, 2000 + 5000 * torch.rand(2, 1, 6 * size, 6 * size, generator=rng)


def zero(model: nn.Module) -> nn.Module:
    """Set all trainable parameters of convolutions to 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    return model.eval()


def keep(model: nn.Module, name: str, out: int | slice, source: int) -> None:
    """Let a convolution pass one channel on as it is."""
    weight = model.get_submodule(name).weight
    with torch.no_grad():
        weight[out, source, weight.shape[2] // 2, weight.shape[3] // 2] = 1


@pytest.mark.parametrize('builder', BUILDERS, ids=lambda builder: builder.__name__)
def test_gradients_reach_all_parameters_and_the_scale_is_taken_out(
    builder: Callable[..., nn.Module],
) -> None:
    cube, pan = images(size=4)
    torch.manual_seed(0)
    model = builder(5).train()
    fused = model(cube, pan)
    assert fused.shape == (2, 5, 24, 24)
    fused.square().mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    # the network sees values of 0 to 1, whatever the unit
    other = builder(5, scale=1.0).train()
    other.load_state_dict(model.state_dict())
    small = other(cube / 65536, pan / 65536)
    torch.testing.assert_close(small * 65536, fused, rtol=1e-3, atol=1.0)


def test_hyperpnn_takes_the_pan_first_and_adds_no_cube() -> None:
    cube, pan = images()
    model = zero(HyperPNN(5))
    assert not model(cube, pan).any()
    for name in ('conv3', 'conv4', 'conv5', 'conv6'):
        keep(model, name, 0, 0)
    keep(model, 'conv7', slice(None), 0)
    torch.testing.assert_close(model(cube, pan), pan.expand(-1, 5, -1, -1))


def test_hspenet_takes_what_it_finds_from_the_pan() -> None:
    cube, pan = images()
    model = zero(HSpeNet(5))
    up = model(cube, pan)
    # the cube is interpolated, and its samples stay
    torch.testing.assert_close(up[..., 3::6, 3::6], cube)
    keep(model, 'conv8', slice(None), 0)
    torch.testing.assert_close(model(cube, pan), up + pan)
    keep(model, 'conv1_2', 0, 0)
    keep(model, 'conv2_2', 0, 0)
    torch.testing.assert_close(model(cube, pan), up)


def test_hyper_dsnet_gates_what_it_adds() -> None:
    cube, pan = images()
    model = zero(HyperDSNet(5, scale=1.0))
    up = model(cube, pan)
    with torch.no_grad():
        model.convlast.bias.fill_(100.0)
    torch.testing.assert_close(model(cube, pan), up + 50)
    # the strongest band opens its gate, by its mean
    keep(model, 'CA.conv_du.0', 0, 2)
    with torch.no_grad():
        model.CA.conv_du[2].weight[2] = 1.0
    added = (model(cube, pan) - up).mean((0, 2, 3))
    torch.testing.assert_close(
        added, torch.tensor([50.0, 50, 100, 50, 50]), rtol=0, atol=1e-2
    )


def test_darn_adds_details_to_the_prior_or_as_published_to_the_pan() -> None:
    cube, pan = images()
    model = zero(DHPDARN(5))
    up = model(cube, pan)
    torch.testing.assert_close(up[..., 3::6, 3::6], cube)
    keep(model, 'FEN', 0, 0)
    keep(model, 'RRN', slice(None), 0)
    torch.testing.assert_close(model(cube, pan), up + up[:, :1])
    model.as_published = True
    torch.testing.assert_close(model(cube, pan), (2 * pan).expand(-1, 5, -1, -1))


def test_darn_weighs_channels_and_pixels() -> None:
    cube, pan = images()
    model = zero(DHPDARN(5))
    up = model(cube, pan)
    for name in ('FEN', 'CSA1.conv1', 'CSA1.conv2'):
        keep(model, name, 0, 0)
    keep(model, 'RRN', slice(None), 0)
    # both gates are half open: x + u / 2 + u / 2
    torch.testing.assert_close(model(cube, pan), up + 2 * up[:, :1])


def test_hyperkite_takes_the_pan_first_and_shallow_features_last() -> None:
    cube, pan = images(size=4)
    model = zero(DIPHyperKite(5))
    up = model(cube, pan)
    torch.testing.assert_close(up[..., 3::6, 3::6], cube)
    keep(model, 'encoder1', 0, 0)
    keep(model, 'decoder3', slice(None), 32)
    for band in range(5):
        keep(model, 'final_conv', band, band)
    torch.testing.assert_close(model(cube, pan), up + pan, rtol=1e-4, atol=1.0)


@pytest.mark.parametrize(('size', 'tile'), [((18, 21), 10), ((7, 3), 2), ((2, 2), 1)])
def test_hyperkite_tiles_make_no_difference(size: tuple[int, int], tile: int) -> None:
    torch.manual_seed(0)
    model = DIPHyperKite(3, tile_size=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.1, 0.5)
    model.double().eval()
    up = torch.rand(1, 3, *size, dtype=torch.float64)
    pan = torch.rand(1, 1, *size, dtype=torch.float64)
    whole = model.fuse(up, pan, up)
    assert whole.shape == up.shape
    assert (whole - up).std() > 1e-2
    model.tile_size = tile
    torch.testing.assert_close(model.fuse(up, pan, up), whole)


def reference_edges(pan: np.ndarray) -> np.ndarray:
    """Compute the images that Hyper-DSNet makes of a PAN, pixel by pixel."""
    rows, cols = pan.shape

    def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        around = np.pad(image, 1, mode='reflect')
        return np.array(
            [
                [(around[i : i + 3, j : j + 3] * kernel).sum() for j in range(cols)]
                for i in range(rows)
            ]
        )

    def magnitude(image: np.ndarray, kernel: list[list[int]]) -> np.ndarray:
        found = np.abs(correlate(image, np.array(kernel)))
        return np.round(np.minimum(found, 255))

    smooth = correlate(pan, np.outer([1, 2, 1], [1, 2, 1]) / 16)
    factor = 255 / smooth.max()
    image = smooth / smooth.max() * 255
    whole = np.floor(image)
    sobel = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    sobel_t = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    prewitt = [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]
    prewitt_t = [[-1, 0, 1]] * 3
    roberts = [[-1, 0, 0], [0, 1, 0], [0, 0, 0]]
    roberts_t = [[0, -1, 0], [1, 0, 0], [0, 0, 0]]
    down, right = np.zeros_like(pan), np.zeros_like(pan)
    down[1:], right[:, 1:] = pan[1:] - pan[:-1], pan[:, 1:] - pan[:, :-1]
    pairs = [
        (whole, roberts, roberts_t),
        (whole, prewitt, prewitt_t),
        (image, sobel, sobel_t),
    ]
    edges = [
        np.round(0.5 * magnitude(x, a) + 0.5 * magnitude(x, b)) / factor
        for x, a, b in pairs
    ]
    laplace = magnitude(whole, [[2, 0, 2], [0, -8, 0], [2, 0, 2]]) / factor
    return np.stack([pan, down, right, *edges, laplace])


def test_fixed_filters_find_the_edges_of_8_bit_images() -> None:
    rng = np.random.default_rng(0)
    pan = rng.random((2, 1, 13, 11)) * np.array([0.1, 0.7])[:, None, None, None]
    edges = EdgeFilters().double()(torch.from_numpy(pan))
    expected = np.stack([reference_edges(image[0]) for image in pan])
    # steps of 8 bits are 1e-3 here, so a wrong one would show
    torch.testing.assert_close(edges, torch.from_numpy(expected), rtol=0, atol=1e-9)
    assert not EdgeFilters()(torch.zeros(1, 1, 8, 8)).any()


@pytest.mark.parametrize('builder', BUILDERS, ids=lambda builder: builder.__name__)
def test_checkpoints_load(builder: Callable[..., nn.Module], tmp_path: Path) -> None:
    model = builder(5)
    path = tmp_path / 'plain.tar'
    torch.save(model.state_dict(), path)
    # as Lightning saves a task
    state = {f'model.{key}': value for key, value in model.state_dict().items()}
    torch.save({'state_dict': state, 'epoch': 3}, tmp_path / 'task.ckpt')
    for file in (path, tmp_path / 'task.ckpt'):
        loaded = builder(5, weights=file).state_dict()
        for key, value in model.state_dict().items():
            assert torch.equal(loaded[key], value)


@pytest.mark.parametrize('builder', BUILDERS[:5], ids=lambda b: b.__name__)
def test_checkpoints_for_other_bands_are_refused(
    builder: Callable[..., nn.Module], tmp_path: Path
) -> None:
    path = tmp_path / 'PRISMA.tar'
    torch.save(builder(7).state_dict(), path)
    with pytest.raises(BandMismatchError, match=r'7 bands.*has 5.*159 bands of PRISMA'):
        builder(5, weights=path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'PRISMA.tar'
    with pytest.raises(FileNotFoundError, match='hyperspectral_pansharpening_toolbox'):
        hyperpnn(5, weights=path)
    torch.save(HSpeNet(7).state_dict(), path)
    with pytest.raises(CorruptFileError, match=r'HSpeNet for 7 bands.*HyperPNN for 5'):
        hyperpnn(5, weights=path)
    torch.save({'head.weight': torch.zeros(3)}, path)
    with pytest.raises(
        CorruptFileError, match=r'14 missing.*1 unknown \(head.weight\)'
    ):
        hyperpnn(5, weights=path)
    # another network with the same names, such as rho-PNN
    state = RPNN(5).state_dict() | {'conv2.weight': torch.zeros(32, 48, 7, 7)}
    torch.save(state, path)
    with pytest.raises(
        CorruptFileError, match=r'conv2.weight \(32, 48, 7, 7\) instead'
    ):
        r_pnn(5, weights=path)
    path.write_bytes(b'no weights')
    with pytest.raises(CorruptFileError):
        r_pnn(5, weights=path)


def test_the_published_darn_needs_its_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_hsi.models.pansharpening.networks._checkpoints import file_digest

    path = tmp_path / 'PRISMA.tar'
    torch.save(DHPDARN(5).state_dict(), path)
    dhp_darn(5, weights=path)
    module = __import__(darn_module.__module__, fromlist=['_PUBLISHED'])
    monkeypatch.setattr(module, '_PUBLISHED', file_digest(path))
    with pytest.raises(CorruptFileError, match='as_published=True'):
        dhp_darn(5, weights=path)
    assert dhp_darn(5, as_published=True, weights=path).as_published


@pytest.mark.parametrize('builder', BUILDERS, ids=lambda builder: builder.__name__)
def test_other_bands_and_scales_are_refused(builder: Callable[..., nn.Module]) -> None:
    cube, pan = images(bands=6)
    with pytest.raises(BandMismatchError, match=r'5 bands.*got 6.*in_channels=6'):
        builder(5).eval()(cube, pan)
    with pytest.raises(BandMismatchError, match='at least one band'):
        builder(0)
    with pytest.raises(ValueError, match='positive scale'):
        builder(5, scale=0)


def test_names_of_priors_and_sizes_of_tiles_are_checked() -> None:
    with pytest.raises(ValueError, match='interpolated or deep'):
        DHPDARN(5, prior='shallow')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='tiles'):
        DIPHyperKite(5, tile_size=0)


@pytest.mark.parametrize('builder', BUILDERS[:4], ids=lambda b: b.__name__)
def test_tiles_with_margins_are_parts_of_the_scene(
    builder: Callable[..., nn.Module],
) -> None:
    cube, pan = (image[:1].double() for image in images(bands=3, size=14))
    torch.manual_seed(0)
    model = builder(3).double().eval()
    if builder in (dhp_darn, hyper_dsnet):
        # gates follow from means of the whole image, and edges from its maximum
        cube = cube.mean((2, 3), keepdim=True).expand_as(cube)
        pan[..., ::6, ::6] = pan[..., 1::6, ::6] = 7000.0
    whole = model(cube, pan)
    rtol = 1e-9 if builder in (hyperpnn, hspenet) else 2e-3
    for margins in (Margins(5, 4, 3, 5), Margins(0, 4, 0, 0)):
        rows, cols = margins.slices(6)
        tile = model(cube, pan, margins=margins)
        torch.testing.assert_close(tile, whole[..., rows, cols], rtol=rtol, atol=1e-4)


@pytest.mark.parametrize('builder', [r_pnn, pca_z_pnn])
def test_margins_of_fitted_tiles_are_cut(builder: Callable[..., nn.Module]) -> None:
    cube, pan = (image[:1] for image in images(bands=2, size=14))
    torch.manual_seed(0)
    model = builder(2, steps=1).eval()
    tile = model(cube, pan, margins=Margins(1, 2, 3, 4))
    torch.testing.assert_close(tile, model(cube, pan)[..., 6:-12, 18:-24])
    model.adapt = False
    assert model(cube, pan, margins=Margins(1, 2, 3, 4)).shape == (1, 2, 66, 42)
