# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The fast adapter against three Conv3d with BatchNorm3d, run one by one."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import SpectralAdapter
from torchgeo_hsi.models.adapters import _adapter_kernels as kernels
from torchgeo_hsi.models.adapters import spectral_adapter as module

#: Names and shapes of the published checkpoints.
PUBLISHED = {
    f'{layer}.{name}': shape
    for conv, out, kernel in (
        (0, 32, (32, 1, 7, 1, 1)),
        (3, 64, (64, 32, 7, 1, 1)),
        (6, 128, (128, 64, 5, 1, 1)),
    )
    for layer, name, shape in (
        (conv, 'weight', kernel),
        (conv, 'bias', (out,)),
        (conv + 1, 'weight', (out,)),
        (conv + 1, 'bias', (out,)),
        (conv + 1, 'running_mean', (out,)),
        (conv + 1, 'running_var', (out,)),
        (conv + 1, 'num_batches_tracked', ()),
    )
}


class Reference(nn.Module):
    """The adapter as the paper's authors publish it, layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(1, 32, (7, 1, 1), stride=(5, 1, 1), padding=(1, 0, 0)),
            nn.BatchNorm3d(32),
            nn.ReLU(),
            nn.Conv3d(32, 64, (7, 1, 1), stride=(5, 1, 1), padding=(1, 0, 0)),
            nn.BatchNorm3d(64),
            nn.ReLU(),
            nn.Conv3d(64, 128, (5, 1, 1), stride=(3, 1, 1), padding=(1, 0, 0)),
            nn.BatchNorm3d(128),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d((1, None, None)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(1)).squeeze(2)


def cube(
    bands: int, size: tuple[int, int] = (9, 11), batch: int = 2, seed: int = 0
) -> Tensor:
    """Make spectra whose neighbouring bands are alike, as real ones are."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.randn(batch, 1, *size, generator=generator, dtype=torch.float64)
    shape = (batch, bands, *size)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return level + 0.3 + 0.5 * noise


@pytest.fixture
def pair() -> tuple[SpectralAdapter, Reference]:
    """Return an adapter and its reference, float64, with statistics that matter."""
    torch.manual_seed(0)
    reference = Reference().double()
    for layer in reference.layers:
        if isinstance(layer, nn.BatchNorm3d):
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.3)
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    adapter = SpectralAdapter().double()
    adapter.load_state_dict(reference.layers.state_dict())
    return adapter, reference


def run(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Run a model forth and back; collect everything that it computes or changes."""
    out = model(x)
    generator = torch.Generator().manual_seed(1)
    model.zero_grad()
    out.backward(torch.randn(out.shape, generator=generator).to(out))
    found = {'out': out.detach()}
    layers = getattr(model, 'layers', model)
    for name, parameter in layers.named_parameters():
        if parameter.grad is not None:
            found[f'grad {name}'] = parameter.grad.clone()
    for name, buffer in layers.named_buffers():
        found[name] = buffer.clone()
    return found


def assert_same(
    left: dict[str, Tensor], right: dict[str, Tensor], tolerance: float
) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        # a bias in front of batch statistics has a gradient of rounding errors
        scale = max(
            1.0, float(right['out'].abs().max()), float(right[name].abs().max())
        )
        torch.testing.assert_close(
            value, right[name], rtol=0, atol=tolerance * scale, msg=name
        )


def count_fused(monkeypatch: pytest.MonkeyPatch, name: str) -> list[None]:
    """Count the calls of a function of the module."""
    calls: list[None] = []
    original: Callable[..., object] = getattr(module, name)

    def wrapped(*args: object) -> object:
        calls.append(None)
        return original(*args)

    monkeypatch.setattr(module, name, wrapped)
    return calls


def test_published_layout() -> None:
    adapter = SpectralAdapter()
    shapes = {k: tuple(v.shape) for k, v in adapter.state_dict().items()}
    assert shapes == PUBLISHED
    assert list(shapes) == list(PUBLISHED)
    assert sum(p.numel() for p in adapter.parameters()) == 56_192


@pytest.mark.parametrize('bands', [75, 80, 150, 198, 202, 224, 235, 285])
@pytest.mark.parametrize('training', [True, False])
def test_equals_reference(
    pair: tuple[SpectralAdapter, Reference], bands: int, training: bool
) -> None:
    adapter, reference = (model.train(training) for model in pair)
    x = cube(bands)
    assert_same(run(adapter, x), run(reference, x), 1e-11)


@pytest.mark.parametrize('bands', [75, 202, 285])
def test_inference_equals_reference(
    pair: tuple[SpectralAdapter, Reference], bands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, reference = (model.eval() for model in pair)
    calls = count_fused(monkeypatch, 'infer')
    x = cube(bands)
    with torch.no_grad():
        torch.testing.assert_close(adapter(x), reference(x), rtol=0, atol=1e-12)
        x = x.float()
        out, expected = adapter.float()(x), reference.float()(x)
    with torch.inference_mode():
        assert torch.equal(adapter(x), out)
    assert len(calls) == 3
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)


def test_float32_is_as_exact_as_the_reference(
    pair: tuple[SpectralAdapter, Reference],
) -> None:
    x = cube(202, (32, 32))
    truth = run(pair[1].train(), x)
    adapter, reference = copy.deepcopy(pair[0]).float(), copy.deepcopy(pair[1]).float()
    # same start for all three: the first pass has moved the running statistics
    reference.layers.load_state_dict(adapter.state_dict())
    found, plain = run(adapter.train(), x.float()), run(reference.train(), x.float())
    scale = float(truth['out'].abs().max())
    torch.testing.assert_close(found['out'], plain['out'], rtol=0, atol=1e-6 * scale)
    for name, value in truth.items():
        error = float((found[name].double() - value).abs().max())
        limit = float((plain[name].double() - value).abs().max())
        size = float(value.abs().max())
        if not (
            name.startswith('grad') and name.endswith(('0.bias', '3.bias', '6.bias'))
        ):
            assert error <= max(2 * limit, 1e-6 * size), name


def test_pixels_come_in_chunks(
    pair: tuple[SpectralAdapter, Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 99 pixels in chunks of 8: twelve whole ones and a rest of three, in each image
    monkeypatch.setattr(kernels, 'CHUNK', 8)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    adapter, reference = pair
    x = cube(202)
    for training in (True, False):
        adapter.train(training)
        reference.train(training)
        assert_same(run(adapter, x), run(reference, x), 1e-11)
        with torch.no_grad():
            torch.testing.assert_close(adapter(x), reference(x), rtol=0, atol=1e-11)


def test_fused_form_is_used(
    pair: tuple[SpectralAdapter, Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpectralAdapter, '_convolve', None)
    monkeypatch.setattr(SpectralAdapter, '_layer_by_layer', None)
    for dtype in (torch.float32, torch.float64):
        adapter = pair[0].to(dtype)
        for training in (True, False):
            run(adapter.train(training), cube(80).to(dtype))


def test_saves_no_large_activation(pair: tuple[SpectralAdapter, Reference]) -> None:
    x = cube(202, (16, 16))
    saved = {}
    for name, model in (('fast', pair[0]), ('plain', pair[1])):
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.train()(x)
        saved[name] = sum(sizes)
    # per pixel: 202 bands, 8 x 64 and 2 x 128 values
    assert saved['fast'] <= 2 * 16 * 16 * (202 + 512 + 256)
    assert saved['fast'] < saved['plain'] / 4


def test_frozen_normalization_in_training(
    pair: tuple[SpectralAdapter, Reference],
) -> None:
    adapter, reference = (model.train() for model in pair)
    for layers in (adapter, reference.layers):
        layers[4].eval()
        layers[0].weight.requires_grad_(False)
    x = cube(202)
    assert_same(run(adapter, x), run(reference, x), 1e-11)


def test_training_without_gradients_moves_statistics(
    pair: tuple[SpectralAdapter, Reference],
) -> None:
    adapter, reference = (model.train() for model in pair)
    x = cube(202)
    with torch.no_grad():
        torch.testing.assert_close(adapter(x), reference(x), rtol=0, atol=1e-11)
    for name, buffer in reference.layers.named_buffers():
        torch.testing.assert_close(adapter.get_buffer(name), buffer, rtol=0, atol=1e-11)


@pytest.mark.parametrize('momentum', [None, 0.3])
def test_momentum_of_statistics(
    pair: tuple[SpectralAdapter, Reference], momentum: float | None
) -> None:
    adapter, reference = (model.train() for model in pair)
    for layers in (adapter, reference.layers):
        for i in (1, 4, 7):
            layers[i].momentum = momentum
    for seed in range(3):
        x = cube(80, seed=seed)
        assert_same(run(adapter, x), run(reference, x), 1e-11)


def test_no_running_statistics() -> None:
    adapter, reference = SpectralAdapter().double(), Reference().double()
    reference.layers.load_state_dict(adapter.state_dict())
    for layers in (adapter, reference.layers):
        for i in (1, 4, 7):
            layers[i].track_running_stats = False
            layers[i].running_mean = layers[i].running_var = None
    x = cube(80)
    assert_same(run(adapter.eval(), x), run(reference.eval(), x), 1e-11)


def test_gradient_of_the_input(pair: tuple[SpectralAdapter, Reference]) -> None:
    grads = []
    for model in pair:
        x = cube(202).requires_grad_()
        model.train()(x).square().sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('training', [True, False])
def test_two_dimensional_form(
    pair: tuple[SpectralAdapter, Reference], training: bool
) -> None:
    # what runs on other devices, under autocast, and in exported programs
    adapter, reference = (model.train(training) for model in pair)
    adapter.forward = adapter._convolve  # type: ignore[method-assign]
    x = cube(202)
    assert_same(run(adapter, x), run(reference, x), 1e-11)


def test_hooks_and_replaced_layers_are_respected(
    pair: tuple[SpectralAdapter, Reference],
) -> None:
    adapter, reference = (model.eval() for model in pair)
    x = cube(80)
    seen = []
    handle = adapter[2].register_forward_hook(lambda *args: seen.append(args[2].shape))
    with torch.no_grad():
        torch.testing.assert_close(adapter(x), reference(x), rtol=0, atol=1e-12)
        assert seen == [(2, 32, 16, 9, 11)]
        handle.remove()
        adapter[8] = nn.Softplus()
        reference.layers[8] = nn.Softplus()
        torch.testing.assert_close(adapter(x), reference(x), rtol=0, atol=1e-12)


def test_synchronized_normalization_is_called(
    pair: tuple[SpectralAdapter, Reference],
) -> None:
    adapter = nn.SyncBatchNorm.convert_sync_batchnorm(pair[0]).train()
    assert isinstance(adapter[1], nn.SyncBatchNorm)
    x = cube(80)
    # in one process it is an ordinary normalization
    assert_same(run(adapter, x), run(pair[1].train(), x), 1e-11)


def test_memory_layouts(pair: tuple[SpectralAdapter, Reference]) -> None:
    adapter, x = pair[0].eval(), cube(80)
    with torch.no_grad():
        expected = adapter(x)
        for same in (
            x.contiguous(memory_format=torch.channels_last),
            torch.cat([x, x], 1)[:, :80],
        ):
            torch.testing.assert_close(adapter(same), expected, rtol=0, atol=1e-12)


def test_bfloat16_autocast(pair: tuple[SpectralAdapter, Reference]) -> None:
    adapter, x = pair[0].float().eval(), cube(202).float()
    with torch.no_grad():
        expected = adapter(x)
        with torch.autocast('cpu', torch.bfloat16):
            out = adapter(x)
        assert out.dtype == torch.bfloat16
        torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
        assert adapter.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast('cpu', torch.bfloat16):
        adapter.float().train()(x).float().mean().backward()
    assert adapter[0].weight.grad.isfinite().all()


@pytest.mark.filterwarnings('ignore')
def test_trace_and_export(pair: tuple[SpectralAdapter, Reference]) -> None:
    adapter, x = pair[0].eval(), cube(80)
    with torch.no_grad():
        expected = adapter(x)
        traced = torch.jit.trace(adapter, x)
        exported = torch.export.export(adapter, (x,)).module()
        for program in (traced, exported):
            torch.testing.assert_close(program(x), expected, rtol=0, atol=1e-12)


def test_no_pixels_mix(pair: tuple[SpectralAdapter, Reference]) -> None:
    adapter, x = pair[0].eval(), cube(80)
    changed = x.clone()
    changed[0, :, 4, 5] = float('nan')
    with torch.no_grad():
        out, expected = adapter(changed), adapter(x)
    assert out[0, :, 4, 5].isnan().all()
    out[0, :, 4, 5] = expected[0, :, 4, 5]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


def test_too_few_bands() -> None:
    with pytest.raises(BandMismatchError, match='at least 75 bands, got 74'):
        SpectralAdapter()(torch.rand(1, 74, 4, 4))
    with pytest.raises(BandMismatchError, match='at least 75 bands, got 12'):
        SpectralAdapter(12)


def test_other_number_of_bands() -> None:
    adapter = SpectralAdapter(202)
    with pytest.raises(BandMismatchError, match=r'built for 202 bands, got 224.*=224'):
        adapter(torch.rand(1, 224, 4, 4))


@pytest.mark.parametrize('shape', [(202, 4, 4), (1, 1, 202, 4, 4), (202,)])
def test_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(BandMismatchError, match='batch, bands, height, width'):
        SpectralAdapter()(torch.rand(shape))


def test_one_pixel() -> None:
    x = torch.rand(1, 75, 1, 1)
    assert SpectralAdapter().eval()(x).shape == (1, 128, 1, 1)
    # as torch: one value has no variance
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        SpectralAdapter().train()(x)


def test_empty_batch() -> None:
    out = SpectralAdapter().eval()(torch.rand(0, 80, 4, 4))
    assert out.shape == (0, 128, 4, 4)
