# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write a figure to a file."""

import os
from contextlib import suppress
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from ..errors import OutputError


def check_picture(path: str | Path) -> Path:
    """Check that matplotlib can write a picture; its suffix chooses the format.

    Args:
        path: The picture.

    Returns:
        Its path.

    Raises:
        ValueError: If matplotlib cannot write such a file.
    """
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(path).suffix.lower().removeprefix('.') not in ('', *formats):
        raise ValueError(
            f'Expected a picture with one of the suffixes {", ".join(formats)}, got '
            f'{path}.'
        )
    return Path(path)


def save_figure(figure: Figure, path: Path, owner: str) -> None:
    """Write a figure under a temporary name and rename it.

    Args:
        figure: The figure.
        path: File to write; folders are created.
        owner: Name of the callback, for the message.

    Raises:
        OutputError: If the file cannot be written.
    """
    part = path.with_name(f'.{path.stem}.part{path.suffix or ".png"}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(part, dpi=150)
        os.replace(part, path)
    except BaseException as error:
        # in a folder that is none, even this fails
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            f'The picture could not be written to {path}: {error}. Free some space or '
            f'choose another path for {owner}.'
        ) from error
