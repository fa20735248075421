# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the scripts of the pages share: folders, results, and pictures of few bytes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

DOCS = Path(__file__).resolve().parents[1]
BENCHMARKS = DOCS.parent / 'benchmarks'

#: Largest picture in bytes; the repository keeps them forever.
LIMIT = 150_000

#: Pixels of one very color that make it one of a class or of a legend.
_FLAT = 300

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


def few_colors(image: Image.Image, colors: int, like: Image.Image) -> Image.Image:
    """Reduce an image to a palette that has the colors of classes and legends as they are.

    Pillow's own palette follows how frequent colors are, so a rare class would get the
    color of its neighbor.

    Args:
        image: The image, of mode RGB.
        colors: Size of the palette.
        like: The image before it was resized, which has no mixed colors at edges.

    Returns:
        The image with a palette.
    """
    kept: list[tuple[int, ...]] = []
    counts: Any = like.convert('RGB').getcolors(like.width * like.height)
    for count, color in sorted(counts, reverse=True):
        if count < _FLAT or len(kept) == colors // 4:
            break
        # shades of a photograph are no colors of a legend
        if all(
            sum(abs(a - b) for a, b in zip(color, k, strict=True)) >= 40 for k in kept
        ):
            kept.append(color)
    rest = image.quantize(colors - len(kept)).getpalette() or []
    palette = np.array([*(v for color in kept for v in color), *rest], dtype=np.uint8)
    shades, places = np.unique(
        np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True
    )
    # Pillow takes any color of the palette that is about as near, and white turns gray
    nearest = KDTree(palette.reshape(-1, 3)).query(shades)[1].astype(np.uint8)
    result = Image.fromarray(nearest[places].reshape(image.height, image.width))
    result.putpalette(palette.tobytes())
    return result


def save_small(
    image: Image.Image,
    picture: Path,
    width: int | None = None,
    colors: int = 128,
    limit: int = LIMIT,
) -> None:
    """Write an image in few bytes.

    Args:
        image: The image.
        picture: Where it goes; folders are created.
        width: Number of columns; those of the image by default.
        colors: Size of the palette.
        limit: Largest number of bytes.

    Raises:
        ValueError: If the picture is too large.
    """
    small = image.convert('RGB')
    if width is not None:
        size = width, round(image.height * width / image.width)
        small = small.resize(size, Image.Resampling.LANCZOS)
    picture.parent.mkdir(parents=True, exist_ok=True)
    few_colors(small, colors, image).save(picture, optimize=True)
    check_size(picture, limit)
    sys.stdout.write(f'{picture}\n')


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
    if colors is None:
        check_size(picture)
        sys.stdout.write(f'{picture}\n')
        return
    with Image.open(picture) as image:
        image.load()
    save_small(image, picture, colors=colors)


def markdown_row(cells: list[str]) -> str:
    """Make a row of a table."""
    return '| ' + ' | '.join(cells) + ' |'
