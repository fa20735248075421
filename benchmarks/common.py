# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the benchmarks share: options, the machine they ran on, and their last line."""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent


def cpu_name() -> str:
    """Return the name of the processor."""
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit of the checkout, ``-dirty`` where files differ from it."""
    run = subprocess.run(
        ['git', 'describe', '--always', '--dirty'],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or 'unknown'


def option_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Build a parser with the options that every benchmark has.

    Args:
        name: Name of the benchmark; results go to ``results/<name>.json``.
        description: Text of which the first line is shown.

    Returns:
        Parser with ``--quick``, ``--out``, ``--seed`` and ``--threads``.
    """
    parser = argparse.ArgumentParser(description=(description or '').partition('\n')[0])
    parser.add_argument('--quick', action='store_true', help='under a minute')
    parser.add_argument(
        '--out',
        nargs='?',
        const=HERE / 'results' / f'{name}.json',
        type=Path,
        help='write the figures to this JSON file (results/ by default)',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    return parser


def header(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Say what was run, and where.

    Args:
        name: Name of the benchmark.
        args: Options of :func:`option_parser`.

    Returns:
        Name, commit, hardware, version of torch and seed.
    """
    return {
        'benchmark': name,
        'commit': commit(),
        'hardware': {
            'cpu': cpu_name(),
            'cores': os.cpu_count(),
            'threads': args.threads,
        },
        'torch': torch.__version__,
        'seed': args.seed,
        'quick': args.quick,
    }


def finish(result: dict[str, Any], out: Path | None) -> None:
    """Write the figures, if asked to, and print them as the last line.

    Args:
        result: All figures.
        out: File to write.
    """
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + '\n')
    print(json.dumps(result))
