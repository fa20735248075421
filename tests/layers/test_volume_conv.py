# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.layers import VolumeConv, VolumeConvTranspose, VolumeUpsample
from torchgeo_hsi.layers import volume_conv as module


def volume(channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    shape = (2, 5, 6, 8, channels)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def gradients(y: Tensor, x: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return torch.autograd.grad((y * weight).sum(), [x, *module.parameters()])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ('size', 'stride', 'inputs', 'outputs'),
    [
        ((1, 1, 1), (1, 1, 1), 8, 16),
        ((1, 3, 3), (1, 1, 1), 8, 16),
        ((1, 3, 3), (1, 1, 1), 1, 8),
        ((3, 1, 1), (1, 1, 1), 8, 16),
        ((3, 1, 1), (1, 1, 1), 1, 8),
        ((3, 3, 3), (1, 1, 1), 8, 8),
        ((3, 3, 3), (1, 1, 1), 1, 8),
        ((3, 3, 3), (1, 1, 1), 2, 8),
        ((3, 3, 3), (1, 1, 1), 8, 1),
        ((3, 3, 3), (1, 2, 2), 8, 16),
    ],
)
def test_like_conv3d(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    inputs: int,
    outputs: int,
    dtype: torch.dtype,
) -> None:
    padding = tuple(n // 2 for n in size)
    conv = VolumeConv(inputs, outputs, size, stride, padding).to(dtype)
    x = volume(inputs, dtype)
    y = conv(x)
    channels_first = x.movedim(-1, 1).contiguous()
    expected = nn.Conv3d.forward(conv, channels_first).movedim(1, -1)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=2e-6)
    found, wanted = gradients(y, x, conv), gradients(expected, x, conv)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(('inputs', 'outputs'), [(8, 4), (8, 1)])
def test_like_conv_transpose3d(inputs: int, outputs: int) -> None:
    conv = VolumeConvTranspose(inputs, outputs, 3, padding=1).double()
    x = volume(inputs)
    y = conv(x)
    expected = nn.ConvTranspose3d.forward(conv, x.movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(gradients(y, x, conv), gradients(expected, x, conv))


def test_like_trilinear_interpolation() -> None:
    x = volume(8)
    y = VolumeUpsample()(x)
    expected = nn.functional.interpolate(
        x.movedim(-1, 1), scale_factor=(1, 2, 2), mode='trilinear', align_corners=True
    )
    torch.testing.assert_close(y, expected.movedim(1, -1))


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('bands', [1, 4, 5, 31])
@pytest.mark.parametrize(
    ('inputs', 'outputs', 'stride', 'up'),
    [(8, 8, 1, False), (8, 16, 2, False), (16, 8, 1, True), (1, 8, 1, False)],
)
def test_streams_like_conv3d(
    inputs: int,
    outputs: int,
    stride: int,
    up: bool,
    bands: int,
    reverse: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # several chunks
    monkeypatch.setattr(module, '_CHUNK', 2000)
    generator = torch.Generator().manual_seed(bands)
    x = torch.randn(bands, 4, 6, inputs, generator=generator, dtype=torch.float64)
    conv = VolumeConv(inputs, outputs, 3, (1, stride, stride), 1).double()
    with torch.no_grad():
        parts = list(conv.stream(x, up=up, reverse=reverse))
        volume = VolumeUpsample()(x) if up else x
        expected = nn.Conv3d.forward(conv, volume.movedim(-1, 0)).movedim(0, -1)
    places = [place.start for place, _ in parts]
    assert places == sorted(places, reverse=reverse)
    y = torch.cat([part for _, part in (reversed(parts) if reverse else parts)])
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


def test_transposed_streams_like_itself() -> None:
    conv = VolumeConvTranspose(8, 4, 3, padding=1).double()
    x = volume(8).detach()[0]
    with torch.no_grad():
        y = torch.cat([part for _, part in conv.stream(x)])
        torch.testing.assert_close(y, conv(x[None])[0], rtol=1e-12, atol=1e-12)


def test_rounding_of_the_streams() -> None:
    # minimal filtering rounds more than the plain sum does, and not much more
    torch.manual_seed(0)
    conv = VolumeConv(32, 32, 3, padding=1)
    x = torch.randn(31, 8, 8, 32)
    with torch.no_grad():
        y = torch.cat([part for _, part in conv.stream(x)])
        exact = conv.double()(x.double()[None])[0]
    assert (y - exact).abs().max() < 2e-5 * exact.abs().max()


def test_where_it_streams() -> None:
    x = torch.zeros(1, 1, 1, 1, 1)
    assert not module.can_stream(x)
    with torch.no_grad():
        assert module.can_stream(x)
        assert not module.can_stream(x.half())
        with torch.autocast('cpu', torch.bfloat16):
            assert not module.can_stream(x)
