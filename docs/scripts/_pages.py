# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the scripts of the pages share: folders, results, and pictures of few bytes."""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

DOCS = Path(__file__).resolve().parents[1]
BENCHMARKS = DOCS.parent / 'benchmarks'

#: Largest picture in bytes; the repository keeps them forever.
LIMIT = 150_000

# scripts use scenes and weights of the benchmarks; the name of this file makes that its
# import comes before theirs
sys.path.insert(0, str(BENCHMARKS))


def read_result(name: str) -> dict[str, Any]:
    """Read what a benchmark has written.

    Args:
        name: Name of the benchmark.

    Returns:
        All figures.
    """
    path = BENCHMARKS / 'results' / f'{name}.json'
    content: dict[str, Any] = json.loads(path.read_text('utf-8'))
    return content


def check_size(picture: Path, limit: int = LIMIT) -> None:
    """Refuse a picture that is too large.

    Args:
        picture: The picture.
        limit: Largest number of bytes.

    Raises:
        ValueError: If it is too large.
    """
    size = picture.stat().st_size
    if size > limit:
        raise ValueError(f'{picture} has {size} bytes, at most {limit} are allowed.')


def save_figure(
    figure: Figure, picture: Path, dpi: int = 80, colors: int | None = None
) -> None:
    """Write a figure, if it is small enough.

    Args:
        figure: The figure.
        picture: Where it goes.
        dpi: Dots per inch.
        colors: Size of the palette, which makes noise and fields much smaller.

    Raises:
        ValueError: If the picture is too large.
    """
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=dpi, pil_kwargs={'optimize': True})
    plt.close(figure)
    if colors is not None:
        with Image.open(picture) as image:
            small = image.convert('RGB').quantize(colors)
        small.save(picture, optimize=True)
    check_size(picture)
    sys.stdout.write(f'{picture}\n')


def markdown_row(cells: list[str]) -> str:
    """Make a row of a table."""
    return '| ' + ' | '.join(cells) + ' |'
