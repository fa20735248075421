# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures of the tasks."""

from collections.abc import Iterator

import pytest
from tasks.restoration import Half, Residual, registered


@pytest.fixture
def small_networks() -> Iterator[None]:
    """Let the tasks find the small networks by name."""
    with registered(residual=Residual, half=Half):
        yield
