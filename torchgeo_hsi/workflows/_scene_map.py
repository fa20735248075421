# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maps of a scene: classes with their colors, and the probability of each class."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from rasterio.windows import Window

from .. import __version__
from ..datasets.labelled_scenes.scene import LabelledScene
from ..errors import OutputError
from ..io import CubeWriter
from .fitted import FittedMethod

#: Numbers of a strip of the scene, as float32, that are in memory at a time.
_NUMBERS = 2**23

#: Stored number of the probability 1, and of no data.
_ONE, _NO_PROBABILITY = 250, 255

_TIFF = ('.tif', '.tiff')


def probability_path(output: Path) -> Path:
    """Return where the probabilities beside a map go.

    Args:
        output: The map.

    Returns:
        Path whose name ends with ``_probabilities``.
    """
    return output.with_name(f'{output.stem}_probabilities{output.suffix}')


def check_maps(output: Path, probabilities: bool, overwrite: bool) -> None:
    """Check that maps can be written, before anything is fitted.

    Args:
        output: The map of the classes.
        probabilities: Whether there will be probabilities beside it.
        overwrite: Whether existing files may be replaced.

    Raises:
        OutputError: If a file is there already, or the name is no GeoTIFF.
    """
    if output.suffix.lower() not in _TIFF:
        raise OutputError(f'{output} is no .tif file, and maps are GeoTIFFs.')
    for path in [output, *([probability_path(output)] if probabilities else [])]:
        if path.is_dir():
            raise OutputError(f'{path} is a folder. Name a file in it.')
        if path.exists() and not overwrite:
            raise OutputError(
                f'{path} exists already. Choose another path, or pass overwrite=True.'
            )


def map_codes(codes: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Choose the codes of the classes in a map, where 0 stands for no data.

    Args:
        codes: Codes of the classes in the label map, if it was one.
        count: Number of classes.

    Returns:
        Those codes if uint16 holds them and none is 0, else 1, 2 ...
    """
    if codes is None or not all(0 < code < 2**16 for code in codes):
        return tuple(range(1, count + 1))
    return tuple(codes)


def write_maps(
    fitted: FittedMethod,
    scene: LabelledScene,
    output: Path,
    codes: Sequence[int],
    *,
    probabilities: bool,
    overwrite: bool,
    tell: Callable[[str, float], None],
    rows: int | None = None,
) -> None:
    """Classify a scene strip by strip, and write the maps.

    Args:
        fitted: The method.
        scene: The scene.
        output: GeoTIFF of the classes; probabilities go beside it.
        codes: Code of each class.
        probabilities: Whether to write the probability of each class, too.
        overwrite: Whether existing files may be replaced.
        tell: Is told which share is done.
        rows: Rows of a strip; by default what keeps the memory small.

    Raises:
        OutputError: If a file cannot be written; nothing half-written is left then.
    """
    count, height, width = scene.shape
    step = rows or max(fitted.window, _NUMBERS // (count * width), 1)
    with ExitStack() as stack:
        # both appear when both are complete
        writers = [
            stack.enter_context(writer)
            for writer in _open(scene, output, codes, probabilities, overwrite, fitted)
        ]
        for start in range(0, height, step):
            stop = min(start + step, height)
            found = fitted.rows(scene, start, stop)
            valid = scene.valid[start:stop]
            window = Window(0, start, width, stop - start)
            classes = np.asarray(codes)[found.argmax(0)]
            classes = np.where(valid, classes, 0).astype(writers[0].dtype)
            writers[0].write(window, classes)
            if probabilities:
                writers[1].write(window, _stored(found, valid))
            tell('Mapping', stop / height)


def _stored(found: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Round probabilities to 1 / 250."""
    return np.where(valid, np.rint(found * _ONE), _NO_PROBABILITY).astype(np.uint8)


def _open(
    scene: LabelledScene,
    output: Path,
    codes: Sequence[int],
    probabilities: bool,
    overwrite: bool,
    fitted: FittedMethod,
) -> list[CubeWriter]:
    """Open the files."""
    shape, words = scene.shape[1:], _words(scene, fitted, overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    names = dict(zip(codes, scene.class_names, strict=True))
    colors = {
        code: tuple(round(255 * part) for part in to_rgb(color))
        for code, color in zip(codes, scene.class_colors, strict=True)
    }
    dtype = 'uint8' if max(codes) < 2**8 else 'uint16'
    classes = CubeWriter(
        output,
        (1, *shape),
        dtype,
        nodata=0,
        colormap=colors,
        class_names=names,
        descriptions=['class'],
        **words,
    )
    if not probabilities:
        return [classes]
    try:
        shares = CubeWriter(
            probability_path(output),
            (len(codes), *shape),
            'uint8',
            nodata=_NO_PROBABILITY,
            descriptions=scene.class_names,
            scale=1 / _ONE,
            **words,
        )
    except BaseException:
        classes.abort()
        raise
    return [classes, shares]


def _words(
    scene: LabelledScene, fitted: FittedMethod, overwrite: bool
) -> dict[str, Any]:
    """Return what both files have in common."""
    tags = {
        'TIFFTAG_SOFTWARE': f'torchgeo-hsi {__version__}',
        'method': fitted.method,
        'source': scene.name,
    }
    return {
        'crs': scene.crs,
        'transform': scene.transform,
        'overwrite': overwrite,
        'tags': tags,
    }
