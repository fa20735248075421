# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Jobs on full disks say so, leave nothing, and keep what was there."""

import pytest
from robustness.server import Server


@pytest.mark.parametrize('job', ['predict', 'embeddings', 'convert', 'classify'])
def test_files_cannot_grow(server: Server, job: str) -> None:
    found = server.ask('sizes', job, [0.6])
    assert found
    for refusal in found:
        assert refusal['trouble'] == '', refusal
        assert refusal['ended'] != 0


@pytest.mark.parametrize(
    ('job', 'free'), [('fit', 0), ('restore denoise', 200_000), ('simulate', 150_000)]
)
def test_disk_is_full(server: Server, job: str, free: int) -> None:
    found = server.ask('rooms', job, [free])
    if not found:
        pytest.skip('no small disk can be mounted')
    for refusal in found:
        assert refusal['trouble'] == '', refusal
        assert refusal['ended'] != 0
