# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The packages bm3d and bm4d, which are not installed with torchgeo-hsi."""

from importlib import import_module
from types import ModuleType


def load_package(name: str) -> ModuleType:
    """Import ``bm3d`` or ``bm4d``.

    Args:
        name: Name of the package.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'The package {name} is not installed. Its license allows non-commercial '
            f'use only, so torchgeo-hsi does not depend on it. If that is fine for you: '
            f"pip install {name}. Otherwise use 'fasthyde' with its default denoiser."
        ) from error
