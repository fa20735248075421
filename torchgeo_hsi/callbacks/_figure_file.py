# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write a figure to a file."""

from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from ..io._whole import write_whole


def check_picture(path: str | Path) -> Path:
    """Check that matplotlib can write a picture; its suffix chooses the format.

    Args:
        path: The picture.

    Returns:
        Its path.

    Raises:
        ValueError: If matplotlib cannot write such a file.
    """
    complaint = picture_complaint(path, needs_suffix=False)
    if complaint:
        raise ValueError(complaint)
    return Path(path)


def picture_complaint(path: str | Path, needs_suffix: bool) -> str:
    """Say why matplotlib cannot write a picture.

    Args:
        path: The picture.
        needs_suffix: Whether a name without a suffix, which would become a PNG, counts.

    Returns:
        What is wrong; nothing if it can.
    """
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    known = formats if needs_suffix else ['', *formats]
    if Path(path).suffix.lower().removeprefix('.') in known:
        return ''
    return (
        f'Expected a picture with one of the suffixes {", ".join(formats)}, got {path}.'
    )


def save_figure(figure: Figure, path: Path, owner: str) -> None:
    """Write a figure under a temporary name and rename it.

    Args:
        figure: The figure.
        path: File to write; folders are created.
        owner: Name of the callback, for the message.

    Raises:
        OutputError: If the file cannot be written.
    """
    # without a suffix matplotlib would choose one, and another name
    kind = path.suffix.lower().removeprefix('.') or 'png'
    write_whole(
        path,
        lambda part: figure.savefig(part, dpi=150, format=kind),
        f'choose another path for {owner}',
    )
