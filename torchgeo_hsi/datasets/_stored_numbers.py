# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whether images keep the data type of the file, which takes half of the memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Whether tiles keep the numbers of the file as they are stored.
_STORED: ContextVar[bool] = ContextVar('stored_numbers', default=False)


@contextmanager
def stored_numbers() -> Iterator[None]:
    """Let datasets return images as int16 or uint8 where that loses nothing.

    It holds for this thread only. Half of the memory is enough for what is only kept
    to be cut into samples.

    Yields:
        Nothing; images are float32 again afterwards.
    """
    token = _STORED.set(True)
    try:
        yield
    finally:
        _STORED.reset(token)


def keeps_stored() -> bool:
    """Tell whether images may stay as they are stored."""
    return _STORED.get()
