# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed of the tasks that learn without labels against plain loops of the same methods.

The loops are lightly's examples of MoCo, DINO and MAE, and the official formula of INTL,
which lightly lacks. Both get the same backbone and the same views, in this process, in
turns. Then the MoCo views are compared with those of kornia (lightly's are made for PIL
images of three channels, so there are none for 202 bands), and a short training of each
task on a simulated scene shows which share of a step reading and views take. The last
line is one JSON object.

    python benchmarks/pretraining_speed.py --quick
    python benchmarks/pretraining_speed.py --threads 2 --out
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any

import kornia.augmentation as K
import torch
from _pretraining_loops import LOOPS, step
from common import finish, header, option_parser
from lightning.pytorch import Trainer
from lightning.pytorch.profilers import SimpleProfiler
from torch import Tensor, nn

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule
from torchgeo_hsi.tasks import HSIDINO, HSIMAE, INTL, HSIMoCo
from torchgeo_hsi.tasks._recipes import build_optimizer
from torchgeo_hsi.transforms import moco_views

BANDS = 202
SIZE = 32
BATCH = 16
#: Arguments of the backbone, the same everywhere.
NETWORK: dict[str, Any] = {'img_size': SIZE, 'depth': 4}
TASKS: dict[str, Any] = {'moco': HSIMoCo, 'dino': HSIDINO, 'mae': HSIMAE, 'intl': INTL}
#: Steps that are not counted: the first ones are slow.
WARM_UP = 2


class MadeViews(nn.Module):
    """Views that were made before."""

    def __init__(self, views: Sequence[Tensor]) -> None:
        """Initialize a new MadeViews instance."""
        super().__init__()
        self.views = views

    def forward(self, dates: Any) -> list[dict[str, Tensor]]:
        """Return the views."""
        return [{'image': view} for view in self.views]


def make_task(name: str) -> Any:
    """Build a task with its defaults and the small backbone."""
    words = dict(NETWORK)
    return TASKS[name]('spec_vit_tiny', words, in_channels=BANDS, size=SIZE)


def our_step(name: str, views: Sequence[Tensor]) -> Callable[[], None]:
    """Return a function that trains a task by one batch, as a trainer does."""
    task = make_task(name)
    task.views = MadeViews(views)
    task.log = lambda *args, **kwargs: None
    # what the steps ask a trainer for
    task._trainer = SimpleNamespace(
        # in the first one, the prototypes of DINO do not learn
        current_epoch=1,
        global_rank=0,
        global_step=1,
        estimated_stepping_batches=100,
        state=SimpleNamespace(stage='train'),
    )
    task._checked = set()
    optimizer = build_optimizer(task, task.recipe, BATCH)
    batch = {'image': views[0]}

    def run() -> None:
        loss = task.training_step(batch, 0)
        loss.backward()
        task.on_before_optimizer_step(optimizer)
        # takes the step, and lets the teachers follow
        task.optimizer_step(0, 0, Stepping(optimizer), None)
        optimizer.zero_grad()

    return run


class Stepping:
    """An optimizer as Lightning hands it to a task."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Initialize a new Stepping instance."""
        self.optimizer = optimizer

    def step(self, closure: Any = None) -> None:
        """Take a step."""
        self.optimizer.step()


def in_turns(
    forms: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, dict[str, float]]:
    """Time functions in turns.

    Args:
        forms: The functions.
        repeats: How often each of them is timed.

    Returns:
        Medians of the time on the wall and of that of the processors, in milliseconds.
    """
    runs: dict[str, list[tuple[float, float]]] = {form: [] for form in forms}
    for turn in range(WARM_UP + repeats):
        for form, call in forms.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            passed = time.perf_counter() - wall, time.process_time() - processor
            if turn >= WARM_UP:
                runs[form].append(passed)
    return {
        form: {
            'wall': 1e3 * median(run[0] for run in found),
            'processor': 1e3 * median(run[1] for run in found),
        }
        for form, found in runs.items()
    }


def report(name: str, times: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Print and return figures of the baseline and ours."""
    speedup = {
        kind: times['baseline'][kind] / times['ours'][kind]
        for kind in ('wall', 'processor')
    }
    print(
        f'{name}: {times["baseline"]["wall"]:.0f} -> {times["ours"]["wall"]:.0f} ms, '
        f'{speedup["wall"]:.2f} x faster ({speedup["processor"]:.2f} x less processor '
        'time)',
        flush=True,
    )
    return {
        'ms': {form: round(found['wall'], 1) for form, found in times.items()},
        'speedup': round(speedup['wall'], 3),
        'processor_speedup': round(speedup['processor'], 3),
    }


def compare_steps(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Compare steps of a task with those of the plain loop."""
    torch.manual_seed(args.seed)
    count = 1 if name == 'mae' else 2
    views = list(torch.randn(count, BATCH, BANDS, SIZE, SIZE))
    loop = LOOPS[name](NETWORK, BANDS).train()
    forms = {'baseline': partial(step, loop, views), 'ours': our_step(name, views)}
    return report(name, in_turns(forms, args.repeats))


def compare_views(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the views of MoCo with the same ones of kornia."""
    torch.manual_seed(args.seed)
    image = torch.randn(BATCH, BANDS, SIZE, SIZE)
    theirs = K.AugmentationSequential(
        K.RandomResizedCrop((SIZE, SIZE), scale=(0.08, 1.0)),
        K.RandomHorizontalFlip(),
        K.RandomVerticalFlip(),
        K.RandomGaussianBlur((13, 13), (0.1, 2.0), p=0.5),
        data_keys=['input'],
    )
    ours = moco_views(SIZE)
    forms: dict[str, Callable[[], Any]] = {
        'baseline': lambda: [theirs(image) for _ in range(2)],
        'ours': lambda: ours({'image': image}),
    }
    return report('views of MoCo', in_turns(forms, 3 * args.repeats))


def time_calls(module: nn.Module) -> list[float]:
    """Return a list to which each call of a module will add its time in seconds."""
    passed: list[float] = []

    def start(*args: Any) -> None:
        passed.append(-time.perf_counter())

    def stop(*args: Any) -> None:
        passed[-1] += time.perf_counter()

    module.register_forward_pre_hook(start)
    module.register_forward_hook(stop)
    return passed


def profile(task: Any, data: SimulatedEnMAPDataModule, steps: int) -> SimpleProfiler:
    """Train a task by some steps, and return what they took."""
    profiler = SimpleProfiler()
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=steps,
        limit_val_batches=0,
        accelerator='cpu',
        profiler=profiler,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    return profiler


def recorded(profiler: SimpleProfiler, *ends: str) -> float:
    """Sum up the milliseconds of a step of all entries with one of these ends."""
    # means, as regions are read at once now and then; the first one counts
    skip = 0 if 'train_dataloader_next' in ends else WARM_UP
    found = [
        fmean(values[skip:])
        for key, values in profiler.recorded_durations.items()
        if key.endswith(ends) and len(values) > WARM_UP
    ]
    return 1e3 * sum(found)


def data_share(name: str, root: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure which share of the steps of a training its data take."""
    torch.manual_seed(args.seed)
    # read in regions of whole blocks, as for any training of more than a few steps
    data = SimulatedEnMAPDataModule(
        root, batch_size=BATCH, patch_size=SIZE, crops_per_pixel=8
    )
    task = make_task(name)
    making = time_calls(task.views)
    times = profile(task, data, args.steps + WARM_UP)
    hooks = (
        'DataModule.on_before_batch_transfer',
        'DataModule.on_after_batch_transfer',
    )
    parts = {
        'reading': recorded(times, 'train_dataloader_next'),
        'normalizing': recorded(times, *hooks),
        'views': 1e3 * fmean(making[WARM_UP:]),
    }
    step_ms = (
        recorded(times, 'run_training_batch') + parts['reading'] + parts['normalizing']
    )
    share = sum(parts.values()) / step_ms
    words = ', '.join(f'{key} {value:.0f} ms' for key, value in parts.items())
    print(f'{name}: {words} of {step_ms:.0f} ms, {share:.0%} for data', flush=True)
    return {
        'ms': {key: round(value, 1) for key, value in parts.items()},
        'step_ms': round(step_ms, 1),
        'share': round(share, 3),
    }


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('pretraining_speed', __doc__)
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--steps', type=int, default=12, help='of each training')
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), help='default: all')
    parser.add_argument('--root', type=Path, help='where the scene is simulated')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # a trainer says more than a few steps should
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module='lightning')
    if args.quick:
        args.repeats, args.steps = 1, 3
    # the two of the fewest steps
    args.tasks = args.tasks or (['moco', 'mae'] if args.quick else list(TASKS))
    steps = {name: compare_steps(name, args) for name in args.tasks}
    views = compare_views(args)
    with tempfile.TemporaryDirectory() as folder:
        root = str(args.root or Path(folder) / 'scene')
        shares = {name: data_share(name, root, args) for name in args.tasks}
    result = {
        **header('pretraining_speed', args),
        'steps': steps,
        'views': views,
        'data': shares,
        **{f'{name}_speedup': found['speedup'] for name, found in steps.items()},
        'views_speedup': views['speedup'],
        'data_share': {name: found['share'] for name, found in shares.items()},
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
