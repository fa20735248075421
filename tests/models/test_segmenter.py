# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of segmentation networks and their heads."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import (
    ConvHead,
    FeaturePyramid,
    Segmenter,
    UPerNetHead,
    get_model,
)
from torchgeo_hsi.models.backbones._features import blocks_of, levels_of, make_backbone

#: Dense mode of the published ResNet.
DENSE = {'output_stride': 1, 'dilations': (1, 2, 4, 8)}
TINY = {'depth': 3}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ('backbone', 'head', 'kwargs', 'parameters'),
    [
        ('spec_vit_small', 'conv', None, 458_894),
        ('spec_vit_base', 'conv', None, 901_262),
        ('spec_vit_large', 'conv', None, 1_196_174),
        ('spec_vit_huge', 'conv', None, 1_491_086),
        ('spec_vit_giant', 'conv', None, 1_785_998),
        ('spec_resnet50', 'fcn', DENSE, 4_722_702),
        # by hand: 384 x 14 weights and 14 biases
        ('spec_vit_small', 'linear', None, 5_390),
    ],
)
def test_published_heads(
    backbone: str, head: Any, kwargs: dict[str, Any] | None, parameters: int
) -> None:
    with torch.device('meta'):
        model = Segmenter(backbone, head, 202, 14, kwargs)
    assert count(model.head) == parameters


@pytest.mark.parametrize('size', [(16, 16), (21, 13), (33, 18), (1, 1)])
@pytest.mark.parametrize('head', ['linear', 'conv', 'fcn', 'upernet'])
@pytest.mark.parametrize(
    ('backbone', 'kwargs'),
    [('spec_vit_tiny', TINY), ('spec_resnet18', {}), ('spec_efficientnet_b0', {})],
)
def test_any_size(
    backbone: str, kwargs: dict[str, Any], head: Any, size: tuple[int, int]
) -> None:
    # shapes need no numbers
    with torch.device('meta'), torch.no_grad():
        model = Segmenter(backbone, head, 80, 3, kwargs).eval()
        assert model(torch.empty(2, 80, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize(
    ('backbone', 'kwargs'),
    [
        ('spec_vit_tiny', TINY),
        ('spec_resnet50', {}),
        ('spec_resnet50', DENSE),
        ('spec_resnet18', {}),
        ('spec_convnext_tiny', {}),
        ('spec_efficientnet_b0', {}),
        ('spec_swin_tiny_patch4_window7_224', {}),
        ('resnet18', {}),
    ],
)
def test_every_parameter_learns(backbone: str, kwargs: dict[str, Any]) -> None:
    # distributed training refuses parameters without a gradient
    for head in ('linear', 'upernet'):
        with torch.device('meta'):
            model = Segmenter(backbone, head, 80, 2, kwargs)
            model(torch.empty(2, 80, 16, 16)).sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_patches_that_are_not_full_do_not_move_the_rest() -> None:
    torch.manual_seed(0)
    model = Segmenter('spec_vit_tiny', 'conv', 80, 2, {'depth': 1}).eval()
    x = torch.randn(1, 80, 16, 14)
    filled = torch.cat([x, x[..., -1:], x[..., -1:]], dim=-1)
    with torch.no_grad():
        assert torch.equal(model(x), model(filled)[..., :14])


def test_levels() -> None:
    with torch.device('meta'):
        base = make_backbone('spec_vit_tiny', 202, None)
        large = make_backbone('spec_vit_large', 202, None)
        resnet = make_backbone('spec_resnet50', 202, None)
    # those of the published UPerNet on vision transformers
    assert levels_of(base, 4) == [3, 5, 7, 11]
    assert levels_of(large, 4) == [7, 11, 15, 23]
    assert levels_of(base, 1) == [11]
    assert levels_of(resnet, 4) == [0, 1, 2, 3]
    assert levels_of(resnet, 1) == [3]
    assert [len(blocks_of(b)) for b in (base, large, resnet)] == [12, 24, 4]


def test_conv_head_follows_the_stride() -> None:
    for stride, widths in ((1, [3]), (4, [128, 3]), (14, [128, 64, 32, 3])):
        head = ConvHead(8, 3, stride)
        convs = [m for m in head.layers if isinstance(m, nn.Conv2d)]
        assert [conv.out_channels for conv in convs] == widths
    assert ConvHead(8, 3, 4).eval()([torch.randn(1, 8, 5, 6)]).shape[-2:] == (20, 24)
    assert ConvHead(8, 3, 1).eval()([torch.randn(1, 8, 5, 6)]).shape[-2:] == (5, 6)


@pytest.mark.parametrize('stride', [4, 8, 16])
def test_pyramid_strides(stride: int) -> None:
    pyramid = FeaturePyramid([6] * 4, stride)
    maps = pyramid([torch.randn(1, 6, 64 // stride, 64 // stride)] * 4)
    assert [m.shape[-1] for m in maps] == [16, 8, 4, 2]


def test_upernet_sees_the_whole_image() -> None:
    torch.manual_seed(0)
    head = UPerNetHead([4, 4, 4, 4], 2, features=8).eval()
    maps = [torch.randn(1, 4, 16 >> i, 16 >> i) for i in range(4)]
    moved = [m.clone() for m in maps]
    moved[3][..., -1, -1] += 5

    def corner(maps: list[Tensor]) -> Tensor:
        with torch.no_grad():
            return head(maps)[..., 0, 0]

    # far away in the coarsest map, but inside of what is pooled
    assert not torch.equal(corner(maps), corner(moved))
    assert head(maps).shape == (1, 2, 16, 16)


def test_one_image_trains() -> None:
    # its coarsest map is one pixel
    model = Segmenter('spec_vit_tiny', 'upernet', 80, 2, TINY)
    model(torch.randn(1, 80, 16, 16)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_by_name() -> None:
    model = get_model(
        'segmenter',
        backbone='spec_vit_tiny',
        head='upernet',
        in_channels=80,
        num_classes=4,
        backbone_kwargs=TINY,
        head_kwargs={'features': 16},
    )
    assert isinstance(model, Segmenter)
    assert model.head.layer.in_channels == 16


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='linear, conv, fcn, upernet'):
        Segmenter('spec_vit_tiny', 'unet')  # type: ignore[arg-type]
    with pytest.raises(BandMismatchError):
        Segmenter('spec_vit_tiny', 'conv', in_channels=12)
    with pytest.raises(ValueError, match='feature maps'):
        levels_of(nn.Linear(2, 2), 1)
    with pytest.raises(ValueError, match='blocks or stages'):
        blocks_of(make_backbone('dla34', 3, None))
