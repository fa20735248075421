# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One server for all tests of kills and full disks."""

import os
from collections.abc import Iterator

import pytest
from robustness.server import Server


@pytest.fixture(scope='session')
def server() -> Iterator[Server]:
    if os.name != 'posix':
        pytest.skip('needs the signals and limits of POSIX')
    found = Server()
    yield found
    found.close()
