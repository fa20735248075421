# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Run all benchmarks in their quick form, and print one table of what came out.

Packages are imported once; each benchmark runs in a copy of this process. Those that
measure time run one after the other, so that none takes the cores of another; those that
measure scores or memory then run in pairs. A quick form shows that a benchmark runs and
what it measures; the figures to be quoted are in ``results/``.

Run::

    python benchmarks/run_all.py
    python benchmarks/run_all.py --only adapter stores
"""

import argparse
import json
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent

#: What is worth a look in the last line of each: a word, and the keys on the way to it.
HEADLINES: dict[str, tuple[str, Sequence[str | int]]] = {
    'adapter': ('training step, times as fast', ('train', 'speedup')),
    'band_statistics': ('moments, times as fast', ('rows', 'moments', 'speedup')),
    'block_split': ('accuracy lost by a fair split', ('drop', 'svm', 'oa')),
    'crash': ('equal after a kill', ('total', 'equal')),
    'denoising_fine_tuning': ('PSNR', ('non_iid', 'recorrupted', 'mpsnr')),
    'denoising_quality': (
        'PSNR, mixture',
        ('scores', 'robust_subspace', 'mixture', 'mpsnr'),
    ),
    'denoising_scene': ('peak MiB', ('peak_mib',)),
    'denoising_speed': ('times as fast', ('networks', 'hsdt_m_31', 'speedup')),
    'fuzz': ('kinds of files', ('kinds',)),
    'gas_retrieval': ('error, ppm m', ('simulated', '0', 'classic', 'error')),
    'graph_augmentation': ('scenes', ('scenes',)),
    'loading': ('crops, times torchgeo', ('scene_crops_vs_torchgeo', 'once')),
    'neural_spectral': ('error', ('training', 0, 'error')),
    'pansharpening_quality': ('better than exp', ('better_than_exp',)),
    'pansharpening_speed': ('Q2n, times as fast', ('q2n', 'speedup')),
    'pixel_classification': ('accuracy, random pixels', ('table', 0, 'OA')),
    'pixel_fine_tuning': ('accuracy', ('simulated', 'aa')),
    'potsdam': ('seconds of a run', ('rows', 1, 'seconds')),
    'predict_memory': ('memory stays', ('passed',)),
    'pretraining': ('over random weights', ('verdict', 'best_over_random')),
    'pretraining_speed': ('MAE, times as fast', ('mae_speedup',)),
    'spectralearth_reading': ('times rasterio', ('single_vs_rasterio',)),
    'spectrum_series': (
        'series adapter, times as fast',
        ('speed', 'infer', 'faster_than_spectral', 'series'),
    ),
    'start_up': ('seconds of --help', ('seconds', 'torchgeo-hsi --help', 'wall')),
    'stores': ('share of raw rate', ('formats', 'store, lz4hc', 'share_of_raw_rate')),
    'superresolution_quality': ('PSNR', ('rows', 0, 'MPSNR')),
    'superresolution_speed': ('times as fast', ('speedup',)),
}
#: What most of them need, imported once.
IMPORTS = (
    'torch',
    'rasterio',
    'torchgeo.datasets',
    'torchgeo.tasks',
    'lightning.pytorch',
    'torchgeo_hsi.callbacks',
    'torchgeo_hsi.datamodules',
    'torchgeo_hsi.tasks',
    'torchgeo_hsi.scenes',
)
#: What an error says where the real scenes are not there, see CONTRIBUTING.md.
REAL_DATA = ('TORCHGEO_HSI_DATA', 'enmap_potsdam')
#: They measure scores or memory, whatever time that takes.
UNTIMED = frozenset(
    {
        'block_split',
        'crash',
        'denoising_fine_tuning',
        'denoising_quality',
        'denoising_scene',
        'fuzz',
        'gas_retrieval',
        'graph_augmentation',
        'pansharpening_quality',
        'pixel_classification',
        'pixel_fine_tuning',
        'potsdam',
        'predict_memory',
        'pretraining',
        'superresolution_quality',
    }
)
#: They publish weights, and need a checkpoint for it.
LEFT_OUT = frozenset({'denoising_weights', 'superresolution_weights', 'run_all'})


class Outcome(NamedTuple):
    """How a benchmark ended."""

    name: str
    seconds: float
    cpu: float
    state: str
    text: str


def scripts() -> list[str]:
    """Return the names of all benchmarks; shared code beside them does not run."""
    return sorted(
        path.stem
        for path in HERE.glob('*.py')
        if "\nif __name__ == '__main__'" in path.read_text()
        and path.stem not in LEFT_OUT
    )


def _child(name: str, words: Sequence[str], output: Path) -> None:
    """Run one script as the main program, with its output in a file."""
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # whoever imports this file may have put others there
    sys.stdout = open(1, 'w', buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, 'w', buffering=1, closefd=False)  # noqa: SIM115
    sys.path.insert(0, str(HERE))
    sys.argv = [str(HERE / f'{name}.py'), '--quick', *words]
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code)
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    # whatever it is, the other benchmarks run
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    output.with_suffix('.cpu').write_text(str(sum(os.times()[:4])))
    os._exit(code)


class Run:
    """A benchmark that runs in a copy of this process.

    Args:
        name: Name of the script.
        words: Its options beside ``--quick``.
        limit: Seconds after which it is ended.
        folder: Folder for what it prints.
    """

    def __init__(
        self, name: str, words: Sequence[str], limit: float, folder: str
    ) -> None:
        """Start the benchmark; see the class for the arguments."""
        self.name, self.limit = name, limit
        self.output = Path(folder, f'{name}.txt')
        self.output.touch()
        self.start = time.perf_counter()
        self.process = multiprocessing.get_context('fork').Process(
            target=_child, args=(name, words, self.output)
        )
        self.process.start()

    def is_over(self) -> bool:
        """Whether it has ended, or has to be."""
        running = self.process.is_alive()
        return not running or time.perf_counter() - self.start > self.limit

    def end(self) -> Outcome:
        """Wait for the end, and say how it ended."""
        self.process.join(max(self.limit - (time.perf_counter() - self.start), 0))
        state = 'ok' if self.process.exitcode == 0 else 'failed'
        if self.process.is_alive():
            # its own children, too
            os.killpg(self.process.pid or 0, signal.SIGKILL)
            self.process.join()
            state = f'over {self.limit:g} s'
        seconds = time.perf_counter() - self.start
        cpu = self.output.with_suffix('.cpu')
        used = float(cpu.read_text()) if cpu.exists() else 0.0
        text = self.output.read_text(errors='replace')
        if state == 'failed' and any(word in text[-2000:] for word in REAL_DATA):
            state = 'no data'
        return Outcome(self.name, seconds, used, state, text)


def run_all(
    names: Sequence[str], words: Sequence[str], limit: float, folder: str
) -> Iterator[Outcome]:
    """Run benchmarks: those that measure time alone, the others in pairs.

    Args:
        names: Names of the scripts.
        words: Their options beside ``--quick``.
        limit: Seconds after which each is ended.
        folder: Folder for what they print.

    Yields:
        How each ended.
    """
    for name in names:
        if name not in UNTIMED:
            yield Run(name, words, limit, folder).end()
    waiting = [name for name in names if name in UNTIMED]
    running: list[Run] = []
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(Run(waiting.pop(0), words, limit, folder))
        time.sleep(0.1)
        for one in [r for r in running if r.is_over()]:
            running.remove(one)
            yield one.end()


def last_line(text: str) -> dict[str, Any] | None:
    """Return the figures that a benchmark prints as its last line.

    Args:
        text: All that it printed.

    Returns:
        The figures, or None.
    """
    for line in reversed(text.strip().splitlines()):
        if line.startswith('{'):
            try:
                figures = json.loads(line)
            except ValueError:
                return None
            return figures if isinstance(figures, dict) else None
    return None


def headline(name: str, figures: dict[str, Any] | None) -> str:
    """Return the figure of a benchmark that is worth a look.

    Args:
        name: Name of the script.
        figures: Its last line.

    Returns:
        The figure with its meaning, or an empty text.
    """
    if name not in HEADLINES:
        return ''
    word, place = HEADLINES[name]
    value: Any = figures
    for key in place:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return ''
    if isinstance(value, dict | list):
        value = len(value)
    if not isinstance(value, int | float):
        return ''
    return f'{word}: {value:.3g}' if isinstance(value, float) else f'{word}: {value}'


def main(args: Sequence[str] | None = None) -> int:
    """Run the benchmarks; print the table.

    Args:
        args: Options; those of the command line by default.

    Returns:
        Exit code: how many failed.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--only', nargs='+', choices=scripts(), default=scripts())
    parser.add_argument('--limit', type=float, default=180.0, help='seconds for each')
    options, words = parser.parse_known_args(args)
    start = time.perf_counter()
    # two threads for each would fight over the same cores
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    for module in IMPORTS:
        import_module(module)
    print(f'imports {time.perf_counter() - start:.1f} s', flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for outcome in run_all(options.only, words, options.limit, folder):
            outcomes.append(outcome)
            print(
                f'{outcome.name} {outcome.state} {outcome.seconds:.1f} s '
                f'({outcome.cpu:.1f} s of CPU)',
                flush=True,
            )
            if outcome.state not in ('ok', 'no data'):
                print('\n'.join(outcome.text.splitlines()[-15:]), flush=True)
    outcomes.sort(key=lambda outcome: outcome.name)
    print(f'\n{"benchmark":<24}{"wall s":>8}{"CPU s":>8}  {"state":<11}headline')
    for outcome in outcomes:
        text = headline(outcome.name, last_line(outcome.text))
        print(
            f'{outcome.name:<24}{outcome.seconds:>8.1f}{outcome.cpu:>8.1f}'
            f'  {outcome.state:<11}{text}'
        )
    failed = sum(outcome.state not in ('ok', 'no data') for outcome in outcomes)
    seconds = time.perf_counter() - start
    print(f'{len(outcomes)} benchmarks in {seconds:.0f} s, {failed} failed')
    print(json.dumps({o.name: [round(o.seconds, 1), o.state] for o in outcomes}))
    return failed


if __name__ == '__main__':
    sys.exit(main())
