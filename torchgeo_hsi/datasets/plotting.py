# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pictures of hyperspectral samples: colour views, class maps and spectra."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from torchgeo.datasets import RGBBandsMissingError

from .._typing import BoolArray, FloatArray, Sample
from ..physics import check_micrometres, format_micrometres
from ._spectrum import plot_spectrum, to_array, usable

__all__ = ('class_map', 'false_color', 'plot_sample', 'plot_spectrum', 'true_color')

#: Red, green and blue in micrometres.
TRUE_COLOR = (0.640, 0.555, 0.468)

#: False colours in micrometres, best first; vegetation is red in the first one, green
#: in the others.
FALSE_COLORS = ((0.860, 0.660, 0.560), (1.650, 0.860, 0.660), (2.200, 1.650, 1.230))

#: What has no data or is masked.
NODATA_GRAY = '#b4b4b4'

#: Class colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with
#: colour blindness can tell apart, and tints for more classes.
CLASS_COLORS = (
    '#e69f00',
    '#56b4e9',
    '#009e73',
    '#f0e442',
    '#0072b2',
    '#d55e00',
    '#cc79a7',
    '#5c4a32',
    '#b2df8a',
    '#fb9a99',
    '#cab2d6',
    '#6a3d9a',
    '#a6cee3',
    '#1b1b1b',
)

#: Largest distance in micrometres at which a band stands for a colour.
_NEAR = 0.05

#: Percentiles between which values are stretched.
_STRETCH = (2.0, 98.0)

#: Classes that a legend lists.
_LEGEND = 24

#: Letters of a name in a legend, so that maps are not made small for it.
_LETTERS = 18


def composite(
    image: NDArray[Any], bands: Sequence[int], valid: BoolArray
) -> NDArray[np.float32]:
    """Stretch three bands over the valid pixels; everything else is grey.

    Args:
        image: Cube of shape ``(C, H, W)``.
        bands: Positions of red, green and blue.
        valid: Valid pixels of shape ``(H, W)``.

    Returns:
        Picture of shape ``(H, W, 3)``, from 0 to 1.
    """
    rgb = np.empty((*valid.shape, 3), dtype=np.float32)
    rgb[:] = to_rgb(NODATA_GRAY)
    if valid.any():
        pixels = image[list(bands)][:, valid].astype(np.float64)
        low, high = np.percentile(pixels, _STRETCH, axis=1, keepdims=True)
        # a constant band is drawn in the middle of its range
        span = np.where(high > low, high - low, 1)
        stretched = np.where(high > low, (pixels - low) / span, 0.5)
        rgb[valid] = np.clip(stretched, 0, 1).T
    return rgb


def _nearest(wavelength: FloatArray, targets: Sequence[float]) -> list[int] | None:
    """Find the bands of a composite; None unless each has a band of its colour."""
    distance = np.abs(wavelength - np.array(targets)[:, None])
    near = bool((distance.min(axis=1) <= _NEAR).all())
    return distance.argmin(axis=1).tolist() if near else None


def true_color(
    image: ArrayLike, wavelength: ArrayLike, valid: ArrayLike | None = None
) -> NDArray[np.float32]:
    """Make a true-colour view from the bands nearest to 640, 555 and 468 nm.

    Args:
        image: Cube of shape ``(C, H, W)``.
        wavelength: Band centres in micrometres, shape ``(C,)``.
        valid: Pixels that count for the stretch, shape ``(H, W)``; the others are grey.

    Returns:
        Red, green and blue from 0 to 1, shape ``(H, W, 3)``.

    Raises:
        torchgeo.datasets.RGBBandsMissingError: If no band is near a visible colour.
        UnitError: If the wavelengths look like nanometres.
        BandMismatchError: If there is not one wavelength for each band.
    """
    cube = to_array(image)
    centers = check_micrometres(to_array(wavelength), len(cube))
    return composite(cube, _visible(centers), usable(cube, valid))


def _visible(wavelength: FloatArray) -> list[int]:
    distance = np.abs(wavelength - np.array(TRUE_COLOR)[:, None])
    if distance.min() > _NEAR:
        raise RGBBandsMissingError
    return [int(i) for i in distance.argmin(axis=1)]


def false_color(
    image: ArrayLike, wavelength: ArrayLike, valid: ArrayLike | None = None
) -> tuple[NDArray[np.float32], tuple[float, float, float]] | None:
    """Make a false-colour view from near and short-wave infrared bands.

    Args:
        image: Cube of shape ``(C, H, W)``.
        wavelength: Band centres in micrometres, shape ``(C,)``.
        valid: Pixels that count for the stretch, shape ``(H, W)``; the others are grey.

    Returns:
        Red, green and blue from 0 to 1 of shape ``(H, W, 3)``, and the wavelengths
        they show; None if the cube has no infrared bands for it.

    Raises:
        UnitError: If the wavelengths look like nanometres.
        BandMismatchError: If there is not one wavelength for each band.
    """
    cube = to_array(image)
    centers = check_micrometres(to_array(wavelength), len(cube))
    for targets in FALSE_COLORS:
        bands = _nearest(centers, targets)
        if bands is not None:
            red, green, blue = (float(centers[band]) for band in bands)
            return composite(cube, bands, usable(cube, valid)), (red, green, blue)
    return None


def class_map(
    mask: ArrayLike,
    valid: ArrayLike | None = None,
    colors: Sequence[str] | Mapping[int, str] = CLASS_COLORS,
    ignore_index: int | None = None,
) -> NDArray[np.float32]:
    """Paint a class map.

    Args:
        mask: Class of each pixel, shape ``(H, W)``.
        valid: Pixels to paint, shape ``(H, W)``; the others are grey.
        colors: Colour of each class; a sequence is repeated where it ends.
        ignore_index: Class that is not painted.

    Returns:
        Red, green and blue from 0 to 1, shape ``(H, W, 3)``.
    """
    codes = to_array(mask)
    rgb = np.empty((*codes.shape, 3), dtype=np.float32)
    rgb[:] = to_rgb(NODATA_GRAY)
    shown = (
        np.ones(codes.shape, bool) if valid is None else to_array(valid).astype(bool)
    )
    for code in np.unique(codes[shown]).tolist():
        if code != ignore_index:
            rgb[shown & (codes == code)] = to_rgb(_color(colors, int(code)))
    return rgb


def _color(colors: Sequence[str] | Mapping[int, str], code: int) -> str:
    if isinstance(colors, Mapping):
        return colors.get(code, NODATA_GRAY)
    return colors[code % len(colors)]


def _legend(
    ax: Axes,
    codes: Sequence[int],
    names: Sequence[str] | Mapping[int, str] | None,
    colors: Sequence[str] | Mapping[int, str],
    ignore_index: int | None,
) -> None:
    def name(code: int) -> str:
        if isinstance(names, Mapping):
            return names.get(code, f'class {code}')
        inside = names is not None and 0 <= code < len(names)
        return names[code] if names is not None and inside else f'class {code}'

    def short(text: str) -> str:
        long = len(text) > _LETTERS + 1 and len(shown) > 1
        return f'{text[:_LETTERS].rstrip()}…' if long else text

    shown = [code for code in codes if code != ignore_index]
    handles = [
        Patch(facecolor=_color(colors, code), edgecolor='0.3', label=short(name(code)))
        for code in shown[:_LEGEND]
    ]
    if len(shown) > _LEGEND:
        more = f'and {len(shown) - _LEGEND} more'
        handles.append(Patch(facecolor='none', edgecolor='none', label=more))
    ax.legend(
        handles=handles,
        loc='upper center',
        bbox_to_anchor=(0.5, -0.02),
        ncols=2,
        fontsize=9,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )


def plot_sample(
    sample: Sample,
    *,
    show_titles: bool = True,
    suptitle: str | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    class_colors: Sequence[str] | Mapping[int, str] = CLASS_COLORS,
    ignore_index: int | None = None,
    good: ArrayLike | None = None,
    scale: float | None = 1e4,
) -> Figure:
    """Draw a sample: true and false colour, class maps, and the mean spectrum.

    Pixels that are not valid are grey everywhere and count nowhere.

    Args:
        sample: Sample with ``image`` of shape ``(C, H, W)``; used if present are
            ``wavelength``, ``valid``, ``pan``, ``mask`` and ``prediction``.
        show_titles: Whether to show a title above each panel.
        suptitle: Title of the whole figure.
        class_names: Name of each class, for the legend.
        class_colors: Colour of each class.
        ignore_index: Class that is not painted.
        good: False for bad bands, shape ``(C,)``.
        scale: Number that means a reflectance of 1; None for values that are not
            reflectance, such as normalized ones.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        torchgeo.datasets.RGBBandsMissingError: If no known wavelength is visible.
        UnitError: If the wavelengths look like nanometres.
    """
    panels = sample_views(sample)
    valid = sample.get('valid')
    maps = [key for key in ('mask', 'prediction') if key in sample]
    codes = _codes([sample[key] for key in maps], valid)
    for key in maps:
        picture = class_map(sample[key], valid, class_colors, ignore_index)
        panels.append((key.capitalize(), picture))
    # the legend below a map takes its rows from the height of all views
    top = 3.8 + (0.22 * math.ceil(min(len(codes), _LEGEND) / 2) if maps else 0.0)
    width = max(3.4 * len(panels), 7.0)
    fig = plt.figure(figsize=(width, top + 2.8), layout='constrained')
    grid = fig.add_gridspec(2, len(panels), height_ratios=(top, 2.8))
    for i, (title, picture) in enumerate(panels):
        ax = fig.add_subplot(grid[0, i])
        ax.imshow(picture, interpolation='nearest')
        ax.axis('off')
        if show_titles:
            ax.set_title(title, fontsize=11)
        if maps and i == len(panels) - len(maps):
            # one for all maps: they have the same colors
            _legend(ax, codes, class_names, class_colors, ignore_index)
    ax = fig.add_subplot(grid[1, :])
    plot_spectrum(
        sample['image'], sample.get('wavelength'), valid, good=good, scale=scale, ax=ax
    )
    if show_titles:
        ax.set_title('Mean spectrum of the valid pixels', fontsize=11)
    if suptitle is not None:
        fig.suptitle(suptitle, fontsize=13)
    return fig


def sample_views(sample: Sample) -> list[tuple[str, NDArray[np.float32]]]:
    """Return the colour views of a sample with their titles.

    Args:
        sample: Sample with ``image``, and maybe ``valid`` and ``wavelength``.

    Returns:
        Titles and pictures of shape ``(H, W, 3)``.
    """
    cube = to_array(sample['image'])
    valid = usable(cube, sample.get('valid'))
    if 'wavelength' not in sample:
        # evenly spaced bands still show where things are
        bands = [len(cube) * part // 4 for part in (3, 2, 1)]
        title = f'Bands {", ".join(str(band + 1) for band in bands)}'
        return [(title, composite(cube, bands, valid))]
    centers = check_micrometres(to_array(sample['wavelength']), len(cube))
    shown = format_micrometres([float(centers[band]) for band in _visible(centers)])
    views = [(f'True color\n{shown}', true_color(cube, centers, valid))]
    false = false_color(cube, centers, valid)
    if false is not None:
        views.append((f'False color\n{format_micrometres(false[1])}', false[0]))
    if 'pan' in sample:
        views.append(('Panchromatic', _panchromatic(sample['pan'], valid)))
    return views


def _panchromatic(pan: ArrayLike, valid: BoolArray) -> NDArray[np.float32]:
    """Draw a panchromatic image, with a whole number of pixels in each pixel."""
    image = to_array(pan)
    ratio = image.shape[-1] // valid.shape[-1]
    fine = valid.repeat(ratio, axis=0).repeat(ratio, axis=1)
    return composite(image, (0, 0, 0), fine)


def _codes(maps: Sequence[ArrayLike], valid: ArrayLike | None) -> list[int]:
    """List the classes that occur in any of the maps."""
    found: set[int] = set()
    for item in maps:
        codes = to_array(item)
        shown = codes if valid is None else codes[to_array(valid).astype(bool)]
        found |= {int(code) for code in np.unique(shown)}
    return sorted(found)
