# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of tasks that learn without labels share."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.transforms import MultiView

BANDS = 5
SIZE = 8

#: A network of a fraction of a second, without batch normalization.
TINY: dict[str, Any] = {
    'model': 'vit_tiny_patch16_224',
    'model_kwargs': {
        'img_size': SIZE,
        'patch_size': 4,
        'embed_dim': 24,
        'depth': 2,
        'num_heads': 2,
    },
    'in_channels': BANDS,
    'size': SIZE,
}

type State = dict[str, Tensor]


def images(count: int = 4, bands: int = BANDS, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, bands, SIZE, SIZE, generator=generator)


class Plain(nn.Module):
    """A view without chance: a part of the image, maybe upside down."""

    def __init__(self, flip: bool = False, size: int = SIZE) -> None:
        super().__init__()
        self.flip, self.size = flip, size

    def forward(self, batch: Sample) -> Sample:
        image = batch['image'][..., : self.size, : self.size]
        return {**batch, 'image': image.flip(-1) if self.flip else image}


def plain_views(*sizes: int) -> MultiView:
    """Make two large views, one of them upside down, and small ones."""
    return MultiView([Plain(), Plain(flip=True), *(Plain(size=size) for size in sizes)])


class Batches:
    """A loader that goes on in the middle of an epoch, as the one of stores does."""

    def __init__(self, *batches: Sample) -> None:
        self.batches = batches
        self.batch_size = len(batches[0]['image'])
        self.start = self.position = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Sample]:
        first, self.start = self.start, 0
        for number in range(first, len(self)):
            self.position = (number + 1) % len(self)
            yield dict(self.batches[number])

    def state_dict(self) -> dict[str, int]:
        return {'position': self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = self.position = state['position']


def batches(count: int = 2, size: int = 4, bands: int = BANDS) -> Batches:
    return Batches(*({'image': images(size, bands, seed)} for seed in range(count)))


def trainer(epochs: int = 1, **kwargs: Any) -> Trainer:
    options = {'max_epochs': epochs, 'num_sanity_val_steps': 0}
    options |= {'enable_checkpointing': 'callbacks' in kwargs}
    return quiet_trainer(**(options | kwargs))


def state_of(task: nn.Module) -> State:
    return {key: value.clone() for key, value in task.state_dict().items()}


def each_step(folder: Path) -> ModelCheckpoint:
    """Keep a checkpoint of each step."""
    return ModelCheckpoint(folder, '{step}', every_n_train_steps=1, save_top_k=-1)


def check_resume(make: Any, folder: Path, epochs: int = 2, **options: Any) -> None:
    """Check that a training that stopped anywhere ends as one that did not.

    Args:
        make: Makes the task, with random views.
        folder: For the checkpoints.
        epochs: Epochs of two batches.
        **options: Of the trainer.
    """
    torch.manual_seed(0)
    whole = make()
    start = state_of(whole)
    saver = each_step(folder)
    trainer(epochs, callbacks=[saver], **options).fit(whole, batches())
    want = state_of(whole)
    assert any(not torch.equal(start[key], want[key]) for key in want)
    paths = sorted(folder.glob('step=*.ckpt'))
    assert len(paths) > 2
    for path in paths[:-1]:
        # neither weights nor random numbers are those of the first time
        torch.manual_seed(99)
        again = make()
        trainer(epochs, **options).fit(again, batches(), ckpt_path=path)
        found = state_of(again)
        assert found.keys() == want.keys()
        different = [key for key in want if not torch.equal(found[key], want[key])]
        assert not different, (path.name, different)


def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move a teacher towards its student, as the papers write it."""
    with torch.no_grad():
        for p, t in zip(student.parameters(), teacher.parameters(), strict=True):
            t.copy_(momentum * t + (1 - momentum) * p)


def check_same_weights(
    found: Sequence[nn.Module], wanted: Iterable[nn.Module], close: dict[str, float]
) -> None:
    """Check that networks have the same weights, one by one.

    Args:
        found: The networks of a task.
        wanted: What they should be.
        close: Tolerances.
    """
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), **close)


def check_images_are_checked(make: Any) -> None:
    """Check that a training refuses other bands and images that are not normalized.

    Args:
        make: Makes the task.
    """
    with pytest.raises(BandMismatchError, match='Set in_channels='):
        trainer().fit(make(), batches(bands=BANDS + 1))
    with pytest.raises(UnitError, match='Expected normalized images'):
        trainer().fit(make(), Batches({'image': 1e4 * images()}))


def check_half_precision(task: Any, precision: Any) -> None:
    """Check that a training in half precision learns.

    Args:
        task: The task, with a transformer.
        precision: Of the trainer.
    """
    before = state_of(task)
    host = trainer(precision=precision)
    host.fit(task, batches(2))
    assert host.callback_metrics['train_loss'].isfinite()
    name = 'backbone.patch_embed.proj.weight'
    assert not torch.equal(before[name], state_of(task)[name].float())


def check_wavelengths(make: Any) -> None:
    """Check that a training sees the wavelengths of the batch, and asks for them.

    Args:
        make: Makes the task with a fixed seed, from its arguments.
    """
    words: dict[str, Any] = {'model': 'spec_vit_tiny_wl', 'model_kwargs': {'depth': 1}}
    wave = torch.linspace(0.4, 2.4, BANDS).repeat(4, 1)
    found = []
    for shift in (0.0, 0.0, 0.05):
        task = make(**words)
        batch = {'image': images(), 'wavelength': wave + shift}
        trainer().fit(task, Batches(batch))
        found.append(state_of(task.backbone))
    first, again, other = found
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    # nobody knows what five bands are
    with pytest.raises(BandMismatchError, match='wavelength'):
        trainer().fit(make(**words), batches())
