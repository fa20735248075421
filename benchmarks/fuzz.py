# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Open hostile inputs, each in a process of its own, and report how they end.

The inputs are those of ``tests/fuzz``: files of every kind that the package reads, cut,
overwritten, replaced, or written to do harm. Run it on Linux, which bounds and measures
the memory of a process.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import HERE, finish, header, option_parser

sys.path.insert(0, str(HERE.parent / 'tests'))

from fuzz.case import EITHER, READ, REFUSED, Case
from fuzz.cases import all_cases
from fuzz.runner import MEBIBYTES, SECONDS, Runner, judge

#: One input in so many is opened with ``--quick``.
_QUICK = 12
#: Inputs that are listed as the slowest and the largest.
_LISTED = 5


def main() -> None:
    """Open all inputs."""
    args = option_parser('fuzz', __doc__).parse_args()
    cases = all_cases()[:: _QUICK if args.quick else 1]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Runner(Path(folder)) as runner:
        found = [(case, runner.run(case)) for case in cases]
    seconds = time.perf_counter() - start
    result = header('fuzz', args) | {'seconds': round(seconds, 1)} | report(found)
    for kind, row in result['kinds'].items():
        print(
            f'{kind:32} {row["inputs"]:4} inputs, {row["read"]:4} read; {row["errors"]}'
        )
    for line in result['complaints']:
        print(line)
    finish(result, args.out)


def report(found: list[tuple[Case, dict[str, Any]]]) -> dict[str, Any]:
    """Sum up how inputs ended.

    Args:
        found: Each input, and what became of it.

    Returns:
        Counts by kind of file and of error, the slowest and the largest, and complaints.
    """
    ends: dict[str, Counter[str]] = {}
    complaints = []
    for case, ended in found:
        error = ended.get('error', 'none of ours') or READ
        ends.setdefault(case.kind, Counter())[error] += 1
        complaints += [f'{case.id}: {text[:300]}' for text in judge(case, ended)]
    outcomes = Counter(case.outcome for case, _ in found)
    errors = sum(ends.values(), Counter())
    read = errors.pop(READ, 0)
    return {
        'inputs': len(found),
        'to_refuse': outcomes[REFUSED],
        'to_read': outcomes[READ],
        'either': outcomes[EITHER],
        'read': read,
        'refused': len(found) - read,
        'errors': dict(errors.most_common()),
        'bounds': {'seconds': SECONDS, 'mebibytes': MEBIBYTES},
        'slowest': _largest(found, 'seconds', 2),
        'largest': _largest(found, 'memory', 1),
        'complaints': complaints,
        'kinds': {kind: _row(counts) for kind, counts in ends.items()},
    }


def _row(counts: Counter[str]) -> dict[str, Any]:
    """Sum up a kind of file."""
    words = [f'{name} {n}' for name, n in counts.most_common() if name != READ]
    return {'inputs': counts.total(), 'read': counts[READ], 'errors': ', '.join(words)}


def _largest(
    found: list[tuple[Case, dict[str, Any]]], key: str, digits: int
) -> dict[str, float]:
    """List the inputs that took most."""
    rows = sorted(found, key=lambda row: -row[1].get(key, 0.0))[:_LISTED]
    return {case.id: round(ended.get(key, 0.0), digits) for case, ended in rows}


if __name__ == '__main__':
    main()
