# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The jobs that are killed, and whose disks are full: small, and the same each time."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from callbacks.cube_scenes import (
    TRANSFORM,
    UTM33,
    make_scene,
    make_trainer,
    run_predict,
)
from cli.sharpening import write_pair
from data.conversion.data import SHARD_MB, Patches
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from workflows.gas_scenes import SUN, write_plume
from workflows.scenes import write_scene

from torchgeo_hsi.callbacks import EmbeddingWriter, WholeCheckpoint
from torchgeo_hsi.datasets import SimulatedEnMAP, convert_dataset
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.io.store import done_shards
from torchgeo_hsi.main import main

#: Epochs of the training, and steps of an epoch.
EPOCHS, STEPS = 4, 3


class Job(NamedTuple):
    """Something that writes.

    Args:
        prepare: Writes the inputs into a folder.
        run: Reads that folder, writes into another, and returns an exit status; the
            last argument says that what is there may be replaced.
        progress: Tells how much of an output there is that a second run goes on from.
        goes_on: Whether a second run goes on instead of replacing something.
    """

    prepare: Callable[[Path], Any]
    run: Callable[[Path, Path, bool], int]
    progress: Callable[[Path], int] = lambda out: 0
    goes_on: bool = False


class Refused(Exception):
    """A command that ended with an error that users can read."""

    status = 1


def command(*words: str | Path) -> int:
    """Run ``torchgeo-hsi``.

    Args:
        *words: Its arguments.

    Returns:
        0

    Raises:
        Refused: With what it wrote, if it ended with another status.
    """
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            main([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise Refused(told.getvalue().strip().splitlines()[-1]) from end
    return 0


class Numbers(Dataset[Tensor]):
    """A few vectors."""

    def __len__(self) -> int:
        return 2 * STEPS

    def __getitem__(self, index: int) -> Tensor:
        return torch.randn(16, generator=torch.Generator().manual_seed(index))


class Line(pl.LightningModule):
    """The smallest network that learns, and one that embeds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(16, 16)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.layer(batch) - batch).square().mean()

    def predict_step(self, batch: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return {'embedding': self.layer(batch)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fit(_: Path, out: Path, again: bool) -> int:
    """Train, from the last checkpoint if there is one."""
    saving = WholeCheckpoint(out, save_last=True, save_top_k=0)
    trainer = make_trainer(saving, enable_checkpointing=True, max_epochs=EPOCHS)
    last = out / 'last.ckpt'
    path = str(last) if last.exists() else None
    trainer.fit(Line(), DataLoader(Numbers(), batch_size=2), ckpt_path=path)
    return 0


def epochs_done(out: Path) -> int:
    """Return the epochs that the last checkpoint has seen, and check its steps."""
    if not (out / 'last.ckpt').exists():
        return 0
    content = torch.load(out / 'last.ckpt', weights_only=True)
    epochs = int(content['epoch']) + 1
    assert content['global_step'] == epochs * STEPS
    return epochs % EPOCHS


def shards_done(out: Path) -> int:
    """Return the complete shards of a store that is not finished."""
    store = out / 'store'
    if not (store / '.unfinished.json').exists():
        return 0
    return len(done_shards(store))


def embed(_: Path, out: Path, again: bool) -> int:
    """Write a table of embeddings."""
    writer = EmbeddingWriter(out / 'table.parquet', row_group_size=4)
    make_trainer(writer).predict(Line(), DataLoader(Numbers(), batch_size=2))
    return 0


def predict(inputs: Path, out: Path, again: bool) -> int:
    """Map a whole scene."""
    run_predict(inputs, output='cube', output_path=out / 'map.tif')
    return 0


def convert(_: Path, out: Path, again: bool) -> int:
    """Make a store of patches."""
    convert_dataset(Patches(), out / 'store', shard_mb=SHARD_MB, workers=1)
    return 0


def _verb(*words: str, inputs: tuple[str, ...], output: str) -> Any:
    """Make a job of a verb of the command line."""

    def run(folder: Path, out: Path, again: bool) -> int:
        files = [folder / name for name in inputs]
        extra = ('--overwrite',) if again else ()
        verb = words[:2] if words[0] == 'restore' else words[:1]
        rest = words[len(verb) :]
        return command(*verb, *files, out / output, *rest, *extra)

    return run


def _classify(folder: Path, out: Path, again: bool) -> int:
    extra = ['--overwrite'] if again else []
    fast = ('--method', 'random_forest', '--set', 'trees=10', '--folds', '2')
    report = ('--report', out / 'scores.json')
    inputs = (folder / 'scene.tif', folder / 'labels.tif')
    return command('classify', *inputs, out / 'map.tif', *fast, *report, *extra)


def _write_cube(folder: Path) -> None:
    write_cog(folder / 'scene.tif', make_scene(), UTM33, TRANSFORM, -9999)


def _simulate(_: Path, out: Path, again: bool) -> int:
    extra = ['--overwrite'] if again else []
    return command('simulate', out / 'product', '--size', '16', *extra)


def _convert_scenes(folder: Path, out: Path, again: bool) -> int:
    return command('convert', folder, out / 'stores', '--workers', '1')


def _stats(folder: Path, out: Path, again: bool) -> int:
    extra = ('--overwrite',) if again else ()
    return command('stats', folder / 'scene.tif', '-o', out / 'stats.json', *extra)


JOBS = {
    'fit': Job(lambda folder: None, fit, epochs_done, True),
    'predict': Job(_write_cube, predict),
    'embeddings': Job(lambda folder: None, embed),
    'convert': Job(lambda folder: None, convert, shards_done, True),
    'convert scenes': Job(
        lambda folder: SimulatedEnMAP(folder / 'one', size=32, seed=1),
        _convert_scenes,
        goes_on=True,
    ),
    'restore denoise': Job(
        _write_cube,
        _verb(
            *('restore', 'denoise', '--method', 'svd', '--tile-size', '32'),
            *('--overlap', '8'),
            inputs=('scene.tif',),
            output='clean.tif',
        ),
    ),
    'restore pansharpen': Job(
        write_pair,
        _verb(
            *('restore', 'pansharpen', '--method', 'gsa', '--tile-size', '10'),
            inputs=('pan.tif', 'cube.tif'),
            output='sharp.tif',
        ),
    ),
    'restore superresolve': Job(
        write_pair,
        _verb(
            *('restore', 'superresolve', '--method', 'bicubic', '--scale', '2'),
            *('--tile-size', '12', '--overlap', '4'),
            inputs=('cube.tif',),
            output='fine.tif',
        ),
    ),
    'classify': Job(write_scene, _classify),
    'gas': Job(
        write_plume,
        _verb(
            *('gas', '--sun-zenith', str(SUN), '--clusters', '2'),
            inputs=('scene.tif',),
            output='gas.tif',
        ),
    ),
    'simulate': Job(lambda folder: None, _simulate),
    'stats': Job(_write_cube, _stats),
}
