# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Time and memory of a forward pass."""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def wait(device: str) -> None:
    """Wait for what was sent to a device."""
    if device != 'cpu':
        torch.cuda.synchronize()


def seconds(call: Callable[[], Any], device: str) -> tuple[float, float]:
    """Return the time on the wall and that of the processors."""
    wait(device)
    wall, processor = time.perf_counter(), time.process_time()
    call()
    wait(device)
    return time.perf_counter() - wall, time.process_time() - processor


def memory(field: str) -> float:
    """Return a figure of this process in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(s.split()[1]) / 1024 for s in lines if s.startswith(field))


def child_peak(
    script: str, words: Sequence[str], options: Sequence[str], args: argparse.Namespace
) -> float | None:
    """Return what a script prints with ``--child``, in a process of its own.

    Args:
        script: The script.
        words: Words behind ``--child``.
        options: Names of the options that it gets, too.
        args: Their values, with ``device`` and ``peer``.

    Returns:
        MiB, or None where they cannot be measured.
    """
    if args.device == 'cpu' and not Path('/proc/self/clear_refs').exists():
        # Linux only
        return None
    command = [sys.executable, script, '--child', *words]
    for name in options:
        command += [f'--{name}', str(getattr(args, name))]
    if args.peer is not None:
        command += ['--peer', str(args.peer)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    value: float | None = json.loads(run.stdout.splitlines()[-1])
    return value


def forward_peak(network: Callable[[Tensor], Any], x: Tensor) -> float:
    """Run a network once, and return by how many MiB that raises the memory.

    Args:
        network: The network.
        x: Its input, of shape ``(B, C, H, W)``.
    """
    with torch.inference_mode():
        # libraries load their parts with the first call
        network(x[:, :, :8, :8])
        if x.device.type != 'cpu':
            torch.cuda.reset_peak_memory_stats()
            start = torch.cuda.memory_allocated()
            network(x)
            return (torch.cuda.max_memory_allocated() - start) / 2**20
        # what earlier runs left in the heap would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
        # 5 resets the high-water mark
        Path('/proc/self/clear_refs').write_text('5')
        before = memory('VmRSS')
        network(x)
    return memory('VmHWM') - before
