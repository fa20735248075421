# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HSDT and both generations of MAN against numbers of the published networks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from models.numbers import check, check_slope, cube, filled
from torch import nn

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.models import HSDT, MAN, MANv1, get_model

DATA = Path(__file__).parents[2] / 'data' / 'restoration'
FINGERPRINTS = json.loads((DATA / 'fingerprints.json').read_text())
SMALL = ('hsdt_s', 'man_s', 'man_v1_s')


@pytest.mark.parametrize(
    'row', FINGERPRINTS, ids=lambda r: f'{r["model"]}-{r["in_shape"][2]}-{r["options"]}'
)
@pytest.mark.parametrize('grad', [False, True])
def test_fingerprint(row: dict[str, Any], grad: bool) -> None:
    model = filled(row['model'], **row['options'])
    assert len(model.state_dict()) == row['entries']
    assert sum(p.numel() for p in model.parameters()) == row['params']
    x = cube(*row['in_shape'])
    sigma = {'sigma': 255 * x[:, 1]} if x.shape[1] == 2 else {}
    # without gradients, networks take another way
    with torch.set_grad_enabled(grad):
        check(row, model(x[:, 0], **sigma))


def published_keys() -> dict[str, dict[str, tuple[int, ...]]]:
    models: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in (DATA / 'state_dict_keys.txt').read_text().splitlines():
        if line.startswith('['):
            keys = models.setdefault(line.strip('[]'), {})
            continue
        key, shape = line.split()
        keys[key] = () if shape == 'scalar' else tuple(map(int, shape.split('x')))
    return models


@pytest.mark.parametrize(('name', 'keys'), published_keys().items())
def test_keys(name: str, keys: dict[str, tuple[int, ...]]) -> None:
    state = get_model(name).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == keys


@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize(
    'shape', [(1, 1, 1, 1), (2, 5, 3, 9), (1, 31, 6, 5), (1, 102, 4, 8)]
)
def test_any_shape(name: str, shape: tuple[int, ...]) -> None:
    model = get_model(name).eval()
    x = cube(*shape, dtype=torch.float32)
    with torch.inference_mode():
        y = model(x)
    assert y.shape == shape
    assert y.isfinite().all()
    with torch.enable_grad():
        torch.testing.assert_close(model(x).detach(), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', SMALL)
def test_images_of_a_batch_are_independent(name: str) -> None:
    model = filled(name)
    x = cube(2, 31, 4, 8)
    with torch.inference_mode():
        together = model(x)
        alone = torch.cat([model(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('name', SMALL)
def test_padding_mirrors(name: str) -> None:
    model = filled(name)
    x = cube(1, 31, 10, 7)
    mirrored = nn.functional.pad(x, (0, 1, 0, 2), mode='reflect')
    with torch.inference_mode():
        torch.testing.assert_close(model(x), model(mirrored)[..., :10, :7])


@pytest.mark.parametrize('name', SMALL)
def test_gradients(name: str) -> None:
    model = filled(name).train()
    # the running statistics of the checks have to stay as they are
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.0
    # the published networks have a fusion that nothing uses, and that does not learn
    frozen = [key for key, p in model.named_parameters() if not p.requires_grad]
    assert bool(frozen) == (name != 'hsdt_s')
    assert all('decoder.fusions.0.' in key for key in frozen)
    check_slope(model, cube(1, 7, 4, 4), step=1e-6, rtol=2e-6)


def test_all_parameters_of_hsdt_get_gradients() -> None:
    model = get_model('hsdt_s').train()
    model(torch.rand(2, 31, 4, 4)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_training_takes_both_ways() -> None:
    torch.manual_seed(0)
    attention = get_model('hsdt_s').head.attn.attn
    nn.init.normal_(attention.attn_proj.weight)
    x = torch.randn(1, 31, 4, 4, 8)
    learned = attention.eval().attention(x)
    attention.flex = True
    guided = attention.attention(x)
    attention.train()
    found = [attention.attention(x) for _ in range(100)]
    ways = [torch.equal(a, guided) for a in found]
    assert all(
        torch.equal(a, guided if way else learned)
        for a, way in zip(found, ways, strict=True)
    )
    assert 30 < sum(ways) < 70


def test_hsdt_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 31, 16, 16)
    with torch.inference_mode():
        assert (get_model('hsdt_m').eval()(x) - x).abs().max() < 0.01


@pytest.mark.parametrize('name', ['hsdt_pnp', 'hsdt_s', 'man_s'])
def test_noise_map(name: str) -> None:
    options = {} if name == 'hsdt_pnp' else {'noise_map': True}
    model = filled(name, **options)
    x = cube(2, 31, 6, 4)
    sigma = torch.linspace(10, 70, 62, dtype=torch.float64).reshape(2, 31)
    full = sigma[..., None, None].expand_as(x)
    with torch.inference_mode():
        y = model(x, sigma)
        torch.testing.assert_close(y, model(x, full))
        torch.testing.assert_close(y[1:], model(x[1:], sigma[1]))
        torch.testing.assert_close(model(x, 30), model(x, torch.full_like(x, 30)))
        assert (y - model(x, 2 * sigma)).abs().max() > 1e-3


def test_sigma_is_needed() -> None:
    with pytest.raises(UnitError, match='give it sigma'):
        get_model('hsdt_pnp')(torch.rand(1, 31, 4, 4))


@pytest.mark.parametrize('shape', [(5,), (2, 31), (1, 31, 1, 3), (31, 4, 4, 1)])
def test_sigma_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(BandMismatchError, match='Expected sigma of shape'):
        get_model('hsdt_pnp')(torch.rand(1, 31, 4, 4), torch.ones(shape))


@pytest.mark.parametrize('name', SMALL)
def test_sigma_without_noise_map(name: str) -> None:
    with pytest.raises(UnitError, match='has no noise map'):
        get_model(name)(torch.rand(1, 31, 4, 4), 30.0)


@pytest.mark.parametrize('name', SMALL)
def test_bad_images(name: str) -> None:
    model = get_model(name)
    with pytest.raises(BandMismatchError, match='Add the batch axis'):
        model(torch.rand(31, 4, 4))
    with pytest.raises(UnitError, match='floating point'):
        model(torch.zeros(1, 31, 4, 4, dtype=torch.int16))
    with pytest.raises(EmptyDataError, match='are empty'):
        model(torch.zeros(1, 0, 4, 4))


def test_no_bands() -> None:
    with pytest.raises(BandMismatchError, match='at least one band'):
        get_model('hsdt_s', num_bands=0)


@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('train', [False, True])
def test_mixed_precision(name: str, train: bool) -> None:
    torch.manual_seed(0)
    model = get_model(name).train(train)
    x = cube(1, 31, 8, 8, dtype=torch.float32)
    with torch.set_grad_enabled(train):
        torch.manual_seed(1)
        exact = model(x)
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16):
            y = model(x)
    noise = exact - x
    assert (y - exact).abs().max() < 0.05 * noise.abs().max() + 0.01
    if train:
        y.float().square().mean().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(g.isfinite().all() and g.dtype == torch.float32 for g in grads)


def test_tiles_of_man_agree() -> None:
    model = filled('man_s').float()
    x = cube(1, 3, 24, 96, dtype=torch.float32)
    with torch.inference_mode():
        whole = model(x)
        parts = [model(x[..., :72])[..., :40], model(x[..., 8:])[..., 32:]]
    # but for the samples of the interpolation
    torch.testing.assert_close(torch.cat(parts, -1), whole, rtol=0, atol=5e-3)
    assert not model.needs_scene


@pytest.mark.parametrize('name', ['hsdt_s', 'man_v1_s'])
def test_settled_statistics_are_those_of_the_scene(name: str) -> None:
    model = filled(name)
    x = cube(1, 31, 8, 16)
    with torch.inference_mode():
        whole = model(x)
        model.observe(x)
        model.settle()
        assert model.is_settled
        settled = model(x)
        other = model(x[..., :8])
        model.forget()
        free = model(x[..., :8])
    torch.testing.assert_close(settled, whole, rtol=1e-5, atol=1e-5)
    assert (other - free).abs().max() > 1e-6


@pytest.mark.parametrize('name', SMALL)
def test_compiles_without_graph_breaks(name: str) -> None:
    kind = {'hsdt_s': HSDT, 'man_s': MAN, 'man_v1_s': MANv1}[name]
    model = kind(channels=4, num_layers=2, sampled=(1,)).eval()
    x = torch.rand(1, 31, 4, 4)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)


def test_compiled_gradients() -> None:
    torch.manual_seed(0)
    model = MAN(channels=4, num_layers=2, sampled=(1,))
    x = torch.rand(1, 5, 4, 4)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    weights = [p for n, p in model.named_parameters() if 'fusions.0' not in n]
    found = torch.autograd.grad(compiled(x).square().sum(), weights)
    wanted = torch.autograd.grad(model(x).square().sum(), weights)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_classes_behind_the_names() -> None:
    assert isinstance(get_model('hsdt_l'), HSDT)
    assert isinstance(get_model('man_l'), MAN)
    assert isinstance(get_model('man_v1_b'), MANv1)
    assert get_model('hsdt_l').divisor == 8
