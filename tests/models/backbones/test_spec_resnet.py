# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""SpecResNet: published layout, timm's interface, decoders of smp."""

import re
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import SpecResNet, SpectralAdapter, get_model


@pytest.fixture(scope='module')
def model() -> SpecResNet:
    torch.manual_seed(0)
    model = SpecResNet(in_chans=80, num_classes=5).eval()
    for layer in model.modules():
        # blocks start as the identity; here they shall do something
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1)
    return model


def images(size: int = 32, bands: int = 80) -> torch.Tensor:
    return torch.rand(1, bands, size, size, generator=torch.Generator().manual_seed(0))


def test_published_layout() -> None:
    with torch.device('meta'):
        model = timm.create_model('spec_resnet50')
        standard = timm.create_model('resnet50').state_dict()
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == 24_202_624
    assert len(state) == 333
    stages = {k: v for k, v in state.items() if not k.startswith('spectral_adapter.')}
    # everything but the first block is timm's resnet50
    own = {k: v for k, v in stages.items() if not k.startswith('layer1.0.')}
    same = {k for k in standard if re.match(r'layer[1-4]\.', k)}
    assert own.keys() == {k for k in same if not k.startswith('layer1.0.')}
    assert all(value.shape == standard[key].shape for key, value in own.items())
    first = {k: v for k, v in stages.items() if k.startswith('layer1.0.')}
    assert first.keys() == {k for k in same if k.startswith('layer1.0.')}
    assert first['layer1.0.conv1.weight'].shape == (256, 128, 1, 1)
    assert first['layer1.0.conv2.weight'].shape == (256, 256, 3, 3)
    assert first['layer1.0.conv3.weight'].shape == (256, 256, 1, 1)
    assert first['layer1.0.downsample.0.weight'].shape == (256, 128, 1, 1)


def test_forward_is_the_chain_of_its_parts(model: SpecResNet) -> None:
    x = images()
    with torch.no_grad():
        maps = model.forward_features(x)
        assert maps.shape == (1, 2048, 2, 2)
        pooled = maps.mean((2, 3))
        torch.testing.assert_close(model.forward_head(maps, pre_logits=True), pooled)
        torch.testing.assert_close(model(x), model.fc(pooled))
        block = model.layer1[0]
        # the first block, written out
        y = model.spectral_adapter(x)
        z = block.bn1(block.conv1(y)).relu()
        z = block.bn2(nn.functional.conv2d(z, block.conv2.weight, None, 2, 1)).relu()
        z = block.bn3(block.conv3(z)) + block.downsample[1](
            nn.functional.conv2d(y, block.downsample[0].weight, None, 2)
        )
        torch.testing.assert_close(block(y), z.relu())


@pytest.mark.parametrize('output_stride', [1, 2, 4, 8])
def test_dilation_keeps_the_receptive_field(
    model: SpecResNet, output_stride: int
) -> None:
    dense = SpecResNet(in_chans=80, num_classes=5, output_stride=output_stride).eval()
    dense.load_state_dict(model.state_dict())
    x, step = images(48), 16 // output_stride
    with torch.no_grad():
        expected, found = model.forward_features(x), dense.forward_features(x)
    assert found.shape == (1, 2048, 48 // output_stride, 48 // output_stride)
    # every step-th pixel is a pixel of the strided network
    torch.testing.assert_close(
        found[..., ::step, ::step], expected, rtol=1e-4, atol=1e-3
    )


def test_dilations_of_the_dense_mode() -> None:
    with torch.device('meta'):
        model = SpecResNet(output_stride=1, dilations=(1, 2, 4, 8))
    for stage, dilation in zip(range(1, 5), (1, 2, 4, 8), strict=True):
        for block in getattr(model, f'layer{stage}'):
            assert block.conv2.stride == (1, 1)
            assert block.conv2.dilation == (dilation, dilation)


@pytest.mark.parametrize(
    ('args', 'match'),
    [
        ({'output_stride': 3}, 'output stride of 1, 2, 4, 8, 16 or 32'),
        ({'output_stride': 1, 'dilations': (1, 2)}, 'four dilations'),
    ],
)
def test_wrong_strides(args: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SpecResNet(**args)


@pytest.mark.parametrize(
    ('args', 'strides'),
    [
        ({}, [2, 4, 8, 16]),
        ({'out_indices': (0, 1, 2, 3, 4)}, [2, 4, 8, 16, 32]),
        ({'out_indices': (1, 3)}, [4, 16]),
        ({'output_stride': 16, 'out_indices': (2, 3, 4)}, [8, 16, 16]),
        ({'output_stride': 8, 'out_indices': (2, 3, 4)}, [8, 8, 8]),
        ({'feature_cls': 'getter'}, [2, 4, 8, 16]),
        ({'feature_cls': 'getter', 'out_indices': (0, 4)}, [2, 32]),
    ],
)
def test_features_only(args: dict[str, object], strides: list[int]) -> None:
    model = timm.create_model('spec_resnet50', in_chans=80, features_only=True, **args)
    maps = model.eval()(images(64))
    assert model.feature_info.reduction() == strides
    assert [64 // m.shape[-1] for m in maps] == strides
    assert [m.shape[1] for m in maps] == model.feature_info.channels()


def test_forward_intermediates(model: SpecResNet) -> None:
    x = images(64)
    with torch.no_grad():
        final, maps = model.forward_intermediates(x)
        assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]
        assert torch.equal(final, maps[-1])
        last = model.forward_intermediates(x, 2, intermediates_only=True)
        assert all(torch.equal(a, b) for a, b in zip(last, maps[2:], strict=True))
        early, few = model.forward_intermediates(x, [1], stop_early=True)
        assert torch.equal(early, maps[1])
        assert torch.equal(few[0], maps[1])
        (pooled,) = model.forward_intermediates(x, [-1], intermediates_only=True)
        assert pooled.shape == (1, 2048, 2, 2)
        # a maximum over 3 x 3, in steps of 2
        expected = maps[3][:, :, :2, :2].amax((2, 3))
        torch.testing.assert_close(pooled[:, :, 0, 0], expected)
    for wrong in ([5], [-6], []):
        with pytest.raises(ValueError, match='levels from 0 to 4'):
            model.forward_intermediates(x, wrong)
    with pytest.raises(ValueError, match='NCHW'):
        model.forward_intermediates(x, output_fmt='NLC')


def test_head() -> None:
    model = SpecResNet(in_chans=80, drop_rate=0.5).eval()
    assert isinstance(model.get_classifier(), nn.Identity)
    assert model(images()).shape == (1, 2048)
    model.double().reset_classifier(7)
    assert model.num_classes == 7
    assert model.get_classifier().weight.dtype == torch.float64
    assert model(images().double()).shape == (1, 7)
    model.reset_classifier(3, 'catavgmax')
    assert model(images().double()).shape == (1, 3)
    model.reset_classifier(0, '')
    assert model(images().double()).shape == (1, 2048, 2, 2)
    # dropout acts in training only
    model.reset_classifier(0, 'avg')
    x = images().double()
    assert torch.equal(model(x), model(x))
    features = model.forward_features(x)
    model.train()
    dropped = model.forward_head(features)
    assert (dropped == 0).any()


def test_create_model() -> None:
    model = timm.create_model('spec_resnet50', in_chans=224, num_classes=5).eval()
    assert model(images(bands=224)).shape == (1, 5)
    assert model.pretrained_cfg['input_size'] == (202, 128, 128)
    assert get_model('spec_resnet50', in_chans=None).in_chans == 202
    with pytest.raises(BandMismatchError, match='built for 224 bands, got 80'):
        model(images())
    with pytest.raises(BandMismatchError, match='at least 75'):
        timm.create_model('spec_resnet50', in_chans=3)


def test_pretrained_tells_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r'browser.*spec_rn50_moco\.pth'):
        timm.create_model('spec_resnet50', pretrained=True)


def test_gradient_checkpointing_changes_nothing() -> None:
    torch.manual_seed(0)
    model = SpecResNet(in_chans=80).train()
    grads = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(torch.cat([images(), images().flip(1)])).square().mean().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for plain, checkpointed in zip(*grads, strict=True):
        torch.testing.assert_close(checkpointed, plain)


def test_layer_decay() -> None:
    model = SpecResNet(in_chans=80, num_classes=2)
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale = {id(p): g['lr_scale'] for g in groups for p in g['params']}
    order = [model.spectral_adapter[0], model.layer1[0].conv1, model.layer4[2].conv3]
    scales = [scale[id(m.weight)] for m in [*order, model.fc]]
    assert scales == sorted(scales)
    assert scales[0] == 0.5**17
    assert scales[-1] == 1


def test_stochastic_depth_grows() -> None:
    with torch.device('meta'):
        model = SpecResNet(drop_path_rate=0.3)
    rates = [
        block.drop_path.drop_prob if block.drop_path else 0.0
        for stage in (model.layer1, model.layer2, model.layer3, model.layer4)
        for block in stage
    ]
    torch.testing.assert_close(rates, [0.3 * i / 15 for i in range(16)])


def test_export_and_autocast(model: SpecResNet) -> None:
    x = images()
    with torch.no_grad():
        program = torch.export.export(model, (x,)).module()
        torch.testing.assert_close(program(x), model(x))
        with torch.autocast('cpu', torch.bfloat16):
            half = model(x)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), model(x), rtol=0.1, atol=0.2)


@pytest.mark.parametrize(
    'decoder',
    [
        smp.Unet,
        smp.UnetPlusPlus,
        smp.UPerNet,
        smp.DeepLabV3,
        smp.DeepLabV3Plus,
        smp.FPN,
        smp.Segformer,
    ],
)
def test_decoders(decoder: type[nn.Module]) -> None:
    model = decoder(
        encoder_name='tu-spec_resnet50', encoder_weights=None, in_channels=80, classes=3
    ).eval()
    with torch.no_grad():
        assert model(images(64)).shape == (1, 3, 64, 64)
    assert isinstance(model.encoder.model['spectral_adapter'], SpectralAdapter)


@pytest.mark.parametrize('output_stride', [8, 16])
def test_output_stride_reaches_the_network(output_stride: int) -> None:
    model = smp.DeepLabV3Plus(
        encoder_name='tu-spec_resnet50',
        encoder_weights=None,
        encoder_output_stride=output_stride,
        in_channels=80,
        classes=3,
    ).eval()
    features = model.encoder(images(64))
    assert 64 // features[-1].shape[-1] == output_stride
    assert model(images(64)).shape == (1, 3, 64, 64)
