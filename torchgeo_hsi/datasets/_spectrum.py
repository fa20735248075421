# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The mean spectrum of a sample."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .._typing import BoolArray, FloatArray
from ..errors import BandMismatchError
from ..physics import check_micrometres

#: A gap in a spectrum is wider than this, in micrometres and in median steps.
_GAP, _GAP_STEPS = 0.025, 3.0

#: From this number of bands on, a spectrum is a curve with gaps and not a few points.
_CURVE = 30

_COLOR = '#0b5d8a'


def to_array(values: Any) -> NDArray[Any]:
    """Turn a tensor of any device and precision, or anything else, into an array.

    Args:
        values: The values.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def usable(image: NDArray[Any], valid: ArrayLike | None) -> BoolArray:
    """Return the pixels that may be shown and counted.

    Args:
        image: Cube of shape ``(C, H, W)``.
        valid: Pixels that are valid, shape ``(H, W)``; all by default.
    """
    finite: BoolArray = np.isfinite(image).all(axis=0)
    return finite if valid is None else finite & to_array(valid).astype(bool)


def plot_spectrum(
    image: ArrayLike,
    wavelength: ArrayLike | None = None,
    valid: ArrayLike | None = None,
    *,
    good: ArrayLike | None = None,
    scale: float | None = 1e4,
    ax: Axes | None = None,
) -> Axes:
    """Draw mean and standard deviation of the valid pixels against wavelength.

    The line is broken, and the background shaded, where bands are missing or bad.

    Args:
        image: Cube of shape ``(C, H, W)``.
        wavelength: Band centres in micrometres, shape ``(C,)``; without them the axis
            counts bands.
        valid: Pixels that count, shape ``(H, W)``.
        good: False for bad bands, shape ``(C,)``.
        scale: Number that means a reflectance of 1; None for values that are not
            reflectance, such as normalized ones.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.

    Raises:
        UnitError: If the wavelengths look like nanometres.
        BandMismatchError: If there is not one wavelength or flag for each band.
    """
    cube = to_array(image)
    count = len(cube)
    flags = np.ones(count, bool) if good is None else to_array(good).astype(bool)
    if flags.shape != (count,):
        raise BandMismatchError(f'Expected {count} flags, got shape {flags.shape}.')
    if wavelength is None:
        x = np.arange(1, count + 1, dtype=float)
    else:
        x = check_micrometres(to_array(wavelength), count)
    order = np.argsort(x, kind='stable')
    x, flags, cube = x[order], flags[order], cube[order]
    if ax is None:
        ax = plt.figure(figsize=(7, 3), layout='constrained').add_subplot()
    pixels = cube[:, usable(cube, valid)].astype(np.float64) / (scale or 1.0)
    breaks = _breaks(x, flags, wavelength is not None)
    for start, stop in breaks:
        ax.axvspan(start, stop, color='0.9', linewidth=0, label='_nolegend_')
    if pixels.size:
        _draw_curve(ax, x, pixels, flags, breaks)
    else:
        ax.text(0.5, 0.5, 'no valid pixel', ha='center', transform=ax.transAxes)
    margin = 1.0 if wavelength is None else 0.001
    ax.set_xlim(x[0] - margin, x[-1] + margin)
    ax.set_xlabel('Band' if wavelength is None else 'Wavelength (µm)')
    ax.set_ylabel('Value' if scale is None else 'Reflectance')
    ax.grid(color='0.85', linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[['top', 'right']].set_visible(False)
    return ax


def _breaks(
    x: FloatArray, good: BoolArray, is_spectral: bool
) -> list[tuple[float, float]]:
    """Return the ranges without usable bands."""
    steps = np.diff(x)
    breaks = []
    half = float(np.median(steps)) / 2 if len(steps) else 0.5
    bad = np.flatnonzero(~good)
    # neighbours among the bad bands form one range
    for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1):
        if run.size:
            breaks.append((float(x[run[0]]) - half, float(x[run[-1]]) + half))
    if is_spectral:
        breaks += find_gaps(x)
    return sorted(breaks)


def find_gaps(x: FloatArray) -> list[tuple[float, float]]:
    """Find the ranges in which a spectrum has no bands.

    Args:
        x: Wavelengths in micrometres, increasing.

    Returns:
        Where each gap begins and ends, half a band from the bands beside it; none for a
        few bands, which are no curve.
    """
    steps = np.diff(x)
    if len(x) < _CURVE:
        return []
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > max(_GAP, _GAP_STEPS * usual))
    return [(float(x[i]) + usual / 2, float(x[i + 1]) - usual / 2) for i in wide]


def _draw_curve(
    ax: Axes,
    x: FloatArray,
    pixels: NDArray[np.float64],
    good: BoolArray,
    breaks: list[tuple[float, float]],
) -> None:
    """Draw the parts of the curve between the breaks."""
    mean, std = pixels.mean(axis=1), pixels.std(axis=1)
    part = np.array([sum(start < value for start, _ in breaks) for value in x])
    few = len(x) < _CURVE
    for number in np.unique(part[good]):
        here = good & (part == number)
        # a lone band has no line, so it gets a point
        marker = 'o' if few or here.sum() == 1 else None
        ax.plot(x[here], mean[here], color=_COLOR, linewidth=1.6, marker=marker, ms=4)
        low, high = mean[here] - std[here], mean[here] + std[here]
        ax.fill_between(x[here], low, high, color=_COLOR, alpha=0.2, linewidth=0)
    handles = [
        ax.plot([], [], color=_COLOR, linewidth=1.6, label='mean')[0],
        ax.fill_between([], [], color=_COLOR, alpha=0.2, label='± standard deviation'),
    ]
    if breaks:
        handles.append(
            ax.axvspan(x[0], x[0], color='0.9', label='missing or bad bands')
        )
    ax.legend(handles=handles, loc='best', fontsize=9, frameon=False)
