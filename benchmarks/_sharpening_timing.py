# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Time and memory of two forms of the same work."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMS = ('baseline', 'ours')

#: Above so many seconds, one run is enough.
LONG = 5.0


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a result, the seconds it took, and the MiB beyond those before."""
    # what earlier calls left in the heap would be used again, unseen
    ctypes.CDLL(None).malloc_trim(0)
    # 5 resets the high-water mark
    Path('/proc/self/clear_refs').write_text('5')
    before, start = memory('VmRSS'), time.perf_counter()
    result = call()
    return result, time.perf_counter() - start, memory('VmHWM') - before


def memory(field: str) -> float:
    """Return a figure of this process in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(s.split()[1]) / 1024 for s in lines if s.startswith(field))


def turns(
    calls: dict[str, Callable[[], Any]], repeats: int
) -> tuple[list[Any], dict[str, float]]:
    """Time forms in turns; return their results and the fastest runs."""
    results, best = [], dict.fromkeys(calls, float('inf'))
    for number in range(repeats):
        for form, call in calls.items():
            start = time.perf_counter()
            result = call()
            best[form] = min(best[form], time.perf_counter() - start)
            if number == 0:
                results.append(result)
        if max(best.values()) > LONG:
            break
    return results, best


def row_of(
    seconds: dict[str, float], mib: dict[str, float], **more: Any
) -> dict[str, Any]:
    """Put figures together."""
    return {
        'seconds': {form: round(seconds[form], 4) for form in FORMS},
        'speedup': round(seconds['baseline'] / seconds['ours'], 2),
        'mib': {form: round(mib[form], 1) for form in FORMS},
        'memory_ratio': round(mib['ours'] / mib['baseline'], 3),
        **more,
    }


def show(name: str, row: dict[str, Any], rest: str) -> None:
    """Print one line of the table."""
    seconds, mib = row['seconds'], row['mib']
    print(
        f'{name:14s} {row.get("bands", ""):>3} bands {seconds["baseline"]:9.3f} -> '
        f'{seconds["ours"]:7.3f} s, {row["speedup"]:7.1f} x faster, '
        f'{mib["baseline"]:6.0f} -> {mib["ours"]:5.0f} MiB '
        f'({row["memory_ratio"]:.2f}); {rest}',
        flush=True,
    )
