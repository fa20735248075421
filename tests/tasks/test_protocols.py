# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what learns, what rests and how fast."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tasks.recipes import BANDS, TINY, images, loader, moved, trainer

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.tasks import HSIClassification, HSIRegression, HSISegmentation

VIT = ('spec_vit_tiny', TINY)
RESNET = ('spec_resnet50', {})


def segmentation(
    backbone: tuple[str, dict[str, Any]] = VIT, head: str = 'linear', **kwargs: Any
) -> HSISegmentation:
    name, words = backbone
    model = {'backbone': name, 'head': head, 'backbone_kwargs': words}
    return HSISegmentation(
        'segmenter', BANDS, 3, model, ignore_index=3, schedule='cosine', **kwargs
    )


def masks() -> Any:
    generator = torch.Generator().manual_seed(1)
    return loader(
        image=images(4, 8), mask=torch.randint(0, 4, (4, 8, 8), generator=generator)
    )


#: Which keys of the backbone learn, with each protocol.
Learns = Callable[[str], bool]
VIT_LEARNS: dict[str, Learns] = {
    'full': lambda key: True,
    'frozen': lambda key: False,
    'adapter': lambda key: key.startswith('spectral_adapter.'),
    'first_blocks': lambda key: key.startswith(('blocks.0.', 'blocks.1.')),
    'lora': lambda key: '.lora_' in key,
}
RESNET_LEARNS: dict[str, Learns] = {
    **VIT_LEARNS,
    'first_blocks': lambda key: key.startswith(('layer1.', 'layer2.')),
}


def check(task: Any, data: Any, learns: Learns) -> None:
    """Check after an epoch that the rest is equal bit by bit, statistics included."""
    changed, kept = moved(task, data)
    backbone = {k.removeprefix('backbone.') for k in changed if 'backbone.' in k}
    assert {key for key in backbone if not learns(key)} == set()
    # a bias in front of a normalization has no gradient; matrices all move
    tensors = dict(task.model.named_parameters()) | dict(task.model.named_buffers())
    still = {
        key
        for key in kept
        if ('running_' in key or tensors[key].ndim > 1)
        and (not key.startswith('backbone.') or learns(key.removeprefix('backbone.')))
    }
    assert still == set()
    optimized = {
        id(p)
        for group in task.trainer.optimizers[0].param_groups
        for p in group['params']
    }
    trainable = {
        id(p)
        for key, p in task.model.named_parameters()
        if not key.startswith('backbone.') or learns(key.removeprefix('backbone.'))
    }
    assert optimized == trainable


def words(protocol: str) -> dict[str, Any]:
    if protocol == 'lora':
        pytest.importorskip('peft')
    return {
        'protocol': protocol,
        'num_blocks': 2 if protocol == 'first_blocks' else None,
    }


@pytest.mark.parametrize('head', ['linear', 'conv', 'fcn', 'upernet'])
@pytest.mark.parametrize('protocol', VIT_LEARNS)
def test_vision_transformer(protocol: str, head: str) -> None:
    check(segmentation(head=head, **words(protocol)), masks(), VIT_LEARNS[protocol])


@pytest.mark.parametrize(
    ('name', 'protocol', 'head'),
    [
        ('spec_resnet50', 'frozen', 'fcn'),
        ('spec_resnet50', 'first_blocks', 'upernet'),
        ('spec_resnet18', 'full', 'upernet'),
        ('spec_resnet18', 'frozen', 'upernet'),
        ('spec_resnet18', 'adapter', 'fcn'),
        ('spec_resnet18', 'first_blocks', 'conv'),
    ],
)
def test_resnet(name: str, protocol: str, head: str) -> None:
    task = segmentation((name, {}), head, **words(protocol))
    learns = RESNET_LEARNS[protocol]
    # a network of timm behind an adapter is one level further inside
    check(task, masks(), lambda key: learns(key.removeprefix('backbone.')))


@pytest.mark.parametrize('protocol', VIT_LEARNS)
def test_whole_images(protocol: str) -> None:
    options: dict[str, Any] = {
        'backbone': 'spec_vit_tiny',
        'in_channels': BANDS,
        'backbone_kwargs': TINY,
        **words(protocol),
    }
    labels = torch.randint(0, 2, (4, 5), generator=torch.Generator().manual_seed(0))
    several = HSIClassification(num_classes=5, task='multilabel', **options)
    check(several, loader(image=images(), label=labels), VIT_LEARNS[protocol])
    numbers = HSIRegression(pool='avg', **options)
    data = loader(image=images(), label=labels[:, :4].float() + 1)
    # the last block does not learn from its class token, but from all others
    check(numbers, data, VIT_LEARNS[protocol])


def modes(task: HSISegmentation) -> dict[str, bool]:
    return {name: module.training for name, module in task.model.named_modules()}


def test_modes() -> None:
    name = 'spec_vit_tiny'
    kwargs = {**TINY, 'drop_path_rate': 0.5, 'proj_drop_rate': 0.1}
    task = segmentation((name, kwargs), protocol='first_blocks', num_blocks=2)
    for _ in range(2):
        now = modes(task)
        assert now['head.layer']
        assert now['backbone.blocks.1']
        assert now['backbone.blocks.1.drop_path1']
        assert not now['backbone.blocks.2']
        assert not now['backbone.blocks.2.drop_path1']
        assert not now['backbone.spectral_adapter.1']
        # also behind a switch to evaluation and back
        assert not any(modes(task.eval()).values())
        task.train()
    assert all(modes(segmentation()).values())


def test_frozen_features_are_those_of_evaluation() -> None:
    torch.manual_seed(0)
    task = segmentation(RESNET, protocol='frozen').train()
    x = images(2)
    features = task.model.backbone(x)
    assert not features.requires_grad
    assert torch.equal(features, task.eval().model.backbone(x))


def test_weights(tmp_path: Path) -> None:
    backbone = get_model('spec_vit_tiny', in_chans=202, **TINY)
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    path = str(tmp_path / 'weights.pth')
    options: dict[str, Any] = {'in_channels': BANDS, 'backbone_kwargs': TINY}
    tasks = (
        segmentation(weights=path, protocol='frozen'),
        HSIClassification('spec_vit_tiny', weights=path, **options),
        HSIRegression('spec_vit_tiny', weights=path, **options),
    )
    for task in tasks:
        found = task.model.backbone.state_dict()
        assert all(torch.equal(found[k], v) for k, v in backbone.state_dict().items())
    with pytest.raises(FileNotFoundError):
        segmentation(weights=str(tmp_path / 'nothing.pth'))


def test_lora_starts_from_the_weights_and_is_saved(tmp_path: Path) -> None:
    pytest.importorskip('peft')
    backbone = get_model('spec_vit_tiny', in_chans=BANDS, **TINY)
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    path = str(tmp_path / 'weights.pth')
    task = segmentation(weights=path, protocol='lora', lora_rank=2)
    x = images(2)
    with torch.no_grad():
        before = task.eval().model.backbone(x)
        assert torch.allclose(before, backbone.eval()(x), atol=1e-6)
    lora = [p for k, p in task.model.named_parameters() if 'lora_' in k]
    # four linear layers in each of three blocks, and two matrices for each
    assert len(lora) == 24
    assert {min(p.shape) for p in lora} == {2}

    run = trainer()
    run.fit(task.train(), masks())
    run.save_checkpoint(tmp_path / 'last.ckpt')
    # without the file of the weights
    (tmp_path / 'weights.pth').unlink()
    again = HSISegmentation.load_from_checkpoint(tmp_path / 'last.ckpt')
    assert torch.equal(again.eval()(x), task.eval()(x))
    assert not torch.equal(again.model.backbone(x), before)


@pytest.mark.parametrize('protocol', ['frozen', 'adapter', 'first_blocks'])
def test_saved(protocol: str, tmp_path: Path) -> None:
    task = segmentation(**words(protocol))
    run = trainer()
    run.fit(task, masks())
    run.save_checkpoint(tmp_path / 'last.ckpt')
    again = HSISegmentation.load_from_checkpoint(tmp_path / 'last.ckpt')
    assert torch.equal(again.eval()(images()), task.eval()(images()))
    learns = [
        {k for k, p in t.named_parameters() if p.requires_grad} for t in (task, again)
    ]
    assert learns[0] == learns[1]


class Watch(HSISegmentation):
    """Notes the learning rate of each batch."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]['lr'])


def watched(schedule: Any, **kwargs: Any) -> list[float]:
    task = Watch('spectral_mlp', BANDS, 3, ignore_index=3, schedule=schedule, **kwargs)
    task.rates = []
    trainer(4).fit(task, masks())
    return task.rates


def test_cosine_falls_with_every_epoch() -> None:
    rates = watched('cosine', lr=0.1)
    want = [0.05 * (1 + torch.tensor(torch.pi * e / 4).cos().item()) for e in range(4)]
    # two batches in each epoch
    assert rates == pytest.approx([rate for rate in want for _ in range(2)])


def test_one_cycle_rises_and_falls_with_every_step() -> None:
    rates = watched('onecycle', lr=0.1, warmup=0.5)
    assert len(set(rates)) == 8
    assert max(rates) == pytest.approx(0.1, rel=0.01)
    assert rates[-1] < 1e-4


def test_cosine_needs_an_end() -> None:
    task = segmentation()
    with pytest.raises(ValueError, match='max_epochs'):
        trainer(-1, max_steps=3).fit(task, masks())
    with pytest.raises(ValueError, match="'linear'"):
        watched('linear')


@pytest.mark.parametrize('schedule', ['onecycle', 'cosine'])
def test_more_epochs(schedule: Any, tmp_path: Path) -> None:
    """Whoever goes on has the rates of the longer training, not those of its start."""
    whole = watched(schedule, lr=0.1)
    short = trainer(2)
    kwargs: Any = {'ignore_index': 3, 'schedule': schedule, 'lr': 0.1}
    short.fit(HSISegmentation('spectral_mlp', BANDS, 3, **kwargs), masks())
    short.save_checkpoint(tmp_path / 'last.ckpt')
    task = Watch('spectral_mlp', BANDS, 3, **kwargs)
    task.rates = []
    trainer(4).fit(task, masks(), ckpt_path=tmp_path / 'last.ckpt')
    # the first one is that of the checkpoint
    assert task.rates[-2:] == pytest.approx(whole[-2:])
    assert min(task.rates[2:]) > 0


def test_wrong_protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='full, frozen'):
        segmentation(protocol='linear')
    with pytest.raises(ValueError, match='from 1 to 3'):
        segmentation(protocol='first_blocks')
    with pytest.raises(ValueError, match='from 1 to 4'):
        segmentation(RESNET, protocol='first_blocks', num_blocks=5)
    with pytest.raises(ValueError, match='Leave it out'):
        segmentation(protocol='frozen', num_blocks=2)
    with pytest.raises(BandMismatchError, match="begins with 'spec_'"):
        segmentation(('resnet18', {}), protocol='adapter')
    with pytest.raises(ValueError, match='0 linear layers'):
        segmentation(RESNET, protocol='lora')
    with pytest.raises(ValueError, match='rank of 0'):
        segmentation(protocol='lora', lora_rank=0)
    with pytest.raises(ValueError, match='no backbone'):
        HSISegmentation('spectral_mlp', BANDS, protocol='frozen')
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match='pip install'):
        segmentation(protocol='lora')
