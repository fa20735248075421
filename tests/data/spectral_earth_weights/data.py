# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints with the names and shapes that SpectralEarth's code writes.

The published files cannot be downloaded by a program, so tests write their like. Names
and shapes are spelled out here, apart from the package that has to understand them;
every tensor is noise.
"""

import torch
from torch import Tensor

type State = dict[str, Tensor]

#: Width, depth and heads of the published transformers.
SIZES = {
    'spec_vit_tiny': (192, 12),
    'spec_vit_small': (384, 12),
    'spec_vit_base': (768, 12),
}


def adapter() -> State:
    """Make an adapter with the published names and shapes."""
    state: State = {}
    channels = 1
    for i, width, kernel in ((0, 32, 7), (3, 64, 7), (6, 128, 5)):
        state[f'{i}.weight'] = torch.randn(width, channels, kernel, 1, 1)
        state[f'{i}.bias'] = torch.randn(width)
        state[f'{i + 1}.weight'] = torch.randn(width)
        state[f'{i + 1}.bias'] = torch.randn(width)
        state[f'{i + 1}.running_mean'] = torch.randn(width)
        state[f'{i + 1}.running_var'] = torch.rand(width) + 0.5
        state[f'{i + 1}.num_batches_tracked'] = torch.tensor(7)
        channels = width
    return {f'spectral_adapter.{key}': value for key, value in state.items()}


def vit_core(dim: int = 192, depth: int = 12, classes: int = 0) -> State:
    """Make a transformer as timm names it."""
    core: State = {
        'cls_token': torch.randn(1, 1, dim),
        'pos_embed': torch.randn(1, 1025, dim),
        'patch_embed.proj.weight': torch.randn(dim, 128, 4, 4),
        'patch_embed.proj.bias': torch.randn(dim),
    }
    for i in range(depth):
        for name, shape in (
            ('norm1', (dim,)),
            ('attn.qkv', (3 * dim, dim)),
            ('attn.proj', (dim, dim)),
            ('norm2', (dim,)),
            ('mlp.fc1', (4 * dim, dim)),
            ('mlp.fc2', (dim, 4 * dim)),
        ):
            core[f'blocks.{i}.{name}.weight'] = torch.randn(shape)
            core[f'blocks.{i}.{name}.bias'] = torch.randn(shape[0])
    core['norm.weight'], core['norm.bias'] = torch.randn(dim), torch.randn(dim)
    if classes:
        core['head.weight'] = torch.randn(classes, dim)
        core['head.bias'] = torch.randn(classes)
    return core


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def noise(state: State) -> State:
    """Make another network of the same layout."""
    return {k: torch.rand(v.shape).to(v.dtype) for k, v in state.items()}


def published_vit(dim: int = 192, depth: int = 12, classes: int = 0) -> State:
    """Make a published vision transformer."""
    return adapter() | prefixed('vit_core.', vit_core(dim, depth, classes))


def published_resnet(classes: int = 0) -> State:
    """Make a published ResNet-50: stages of the standard one, another first block."""
    state: State = {}

    def conv(name: str, out: int, into: int, kernel: int) -> None:
        state[f'{name}.weight'] = torch.randn(out, into, kernel, kernel)

    def norm(name: str, width: int) -> None:
        state[f'{name}.weight'], state[f'{name}.bias'] = torch.randn(2, width)
        state[f'{name}.running_mean'] = torch.randn(width)
        state[f'{name}.running_var'] = torch.rand(width) + 0.5
        state[f'{name}.num_batches_tracked'] = torch.tensor(7)

    into = 128
    for stage, (blocks, middle) in enumerate(
        zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1
    ):
        for block in range(blocks):
            prefix = f'resnet.layer{stage}.{block}'
            width = 256 if stage == 1 and block == 0 else middle
            out = 4 * middle
            conv(f'{prefix}.conv1', width, into, 1)
            norm(f'{prefix}.bn1', width)
            conv(f'{prefix}.conv2', width, width, 3)
            norm(f'{prefix}.bn2', width)
            conv(f'{prefix}.conv3', out, width, 1)
            norm(f'{prefix}.bn3', out)
            if block == 0:
                conv(f'{prefix}.downsample.0', out, into, 1)
                norm(f'{prefix}.downsample.1', out)
            into = out
    if classes:
        state['resnet.fc.weight'] = torch.randn(classes, 2048)
        state['resnet.fc.bias'] = torch.randn(classes)
    return adapter() | state


def lightning(state: State, **more: object) -> dict[str, object]:
    """Put a state dict into a checkpoint of Lightning."""
    return {
        'epoch': 3,
        'global_step': 40,
        'pytorch-lightning_version': '2.4.0',
        'state_dict': state,
        'loops': {},
        'callbacks': {'ModelCheckpoint': {'best_model_score': torch.tensor(0.5)}},
        'optimizer_states': [{'state': {0: {'exp_avg': torch.zeros(3)}}}],
        'lr_schedulers': [{'last_epoch': 3}],
        **more,
    }


def moco(query: State) -> State:
    """Make the state dict of the MoCo trainer; the momentum network is noise."""
    state = prefixed('backbone.', query)
    state |= prefixed('backbone_momentum.', noise(query))
    for head in ('projection_head', 'projection_head_momentum'):
        state[f'{head}.layers.0.weight'] = torch.randn(8, 8)
        state[f'{head}.layers.1.running_mean'] = torch.randn(8)
    return state | {'criterion.memory_bank.bank': torch.randn(8, 4)}


def dino(teacher: State) -> State:
    """Make the state dict of the DINO trainer; the student is noise."""
    state = prefixed('student_backbone.', noise(teacher))
    state |= prefixed('teacher_backbone.', teacher)
    for head in ('student_head', 'teacher_head'):
        state[f'{head}.layers.0.weight'] = torch.randn(8, 8)
        state[f'{head}.last_layer.parametrizations.weight.original0'] = torch.ones(8, 1)
    return state | {'criterion.center': torch.zeros(1, 1, 8)}


def mae(vit: State) -> State:
    """Make the state dict of the MAE trainer from a published transformer.

    Its wrapper stores the same tensors under up to eight names: 565 keys of a network
    with twelve blocks, of which 194 are different.
    """
    dim = vit['vit_core.cls_token'].shape[-1]
    own = {k: v for k, v in vit.items() if k.startswith('spectral_adapter.')}
    core = {k[9:]: v for k, v in vit.items() if k.startswith('vit_core.')}
    core |= {'head.weight': torch.randn(1000, dim), 'head.bias': torch.randn(1000)}
    patch_embed = prefixed('patch_embed.', own)
    for name in ('weight', 'bias'):
        value = core.pop(f'patch_embed.proj.{name}')
        patch_embed[f'patch_embed.original_patch_embed.proj.{name}'] = value
        patch_embed[f'patch_embed.proj.{name}'] = value
    core |= patch_embed
    state = prefixed('encoder.vit.spec_vit.', own | prefixed('vit_core.', core))
    state |= prefixed('encoder.vit.vit_core.', core)
    short = {k: v for k, v in core.items() if not k.startswith('head.')}
    state |= prefixed('encoder.vit.', short)
    state['encoder.mask_token'] = torch.zeros(1, 1, dim)
    state['decoder.mask_token'] = torch.zeros(1, 1, 64)
    state['decoder.decoder_pos_embed'] = torch.zeros(1, 1025, 64)
    for name in ('embed', 'norm', 'pred'):
        state[f'decoder.decoder_{name}.weight'] = torch.zeros(64, 64)
        state[f'decoder.decoder_{name}.bias'] = torch.zeros(64)
    for name in ('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'):
        state[f'decoder.decoder_blocks.0.{name}.weight'] = torch.zeros(64)
        state[f'decoder.decoder_blocks.0.{name}.bias'] = torch.zeros(64)
    return state


def segmentation(backbone: State) -> State:
    """Make the state dict of the official segmentation trainer."""
    head = 'segmentation_conv' if 'vit_core.cls_token' in backbone else 'classifier'
    place = 'model.head.' if head == 'segmentation_conv' else 'model.'
    state = prefixed('model.encoder.', backbone)
    state[f'{place}{head}.0.weight'] = torch.zeros(2, 2)
    return state | {'loss.weight': torch.ones(14)}


def hyperview(backbone: State) -> State:
    """Make the state dict of the official regression trainer, with its perceptron."""
    vit = 'vit_core.cls_token' in backbone
    place = 'vit_core.head' if vit else 'resnet.fc'
    width = backbone['vit_core.cls_token'].shape[-1] if vit else 2048
    state = dict(backbone)
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        state[f'{place}.0.{name}'] = torch.rand(width)
    state[f'{place}.0.num_batches_tracked'] = torch.tensor(7)
    for i, (into, out) in {1: (width, 2048), 4: (2048, 1024), 7: (1024, 4)}.items():
        state[f'{place}.{i}.weight'] = torch.randn(out, into)
        state[f'{place}.{i}.bias'] = torch.randn(out)
    return prefixed('model.', state)
