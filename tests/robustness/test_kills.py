# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Jobs that are killed leave no half file, and the next run is as if nothing was."""

import pytest
from robustness.server import Server


@pytest.mark.parametrize(
    ('job', 'events', 'timed'),
    # benchmarks/crash.py kills all verbs, and more often
    [
        ('fit', 2, 0),
        ('predict', 1, 0),
        ('embeddings', 1, 0),
        ('convert', 1, 0),
        ('convert scenes', 1, 0),
        ('restore denoise', 1, 0),
        ('restore pansharpen', 1, 0),
        ('classify', 1, 0),
        ('gas', 1, 0),
        ('simulate', 1, 0),
    ],
)
def test_killed(server: Server, job: str, events: int, timed: int) -> None:
    found = server.ask('kills', job, events, timed, 1)
    assert len(found) == events + timed + 1
    half = next(kill for kill in found if kill['moment'].startswith('written'))
    assert half['was_killed']
    for kill in found:
        assert kill['trouble'] == ''
        assert kill['is_equal'], kill
    if job == 'fit':
        assert 'resumed' in {kill['outcome'] for kill in found}
