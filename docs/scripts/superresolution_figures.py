# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of super-resolution anew.

Cubes that no weights of ours have been trained on, made coarse and enlarged again: images
and errors, spectra at edges, and what is gained in each band. The files of "Real data" in
CONTRIBUTING.md have to be there.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _pages import DOCS, save_figure
from _real_cubes import HELD_BACK
from _sharpening_pairs import make_pair
from _weight_files import read_config
from denoising_real_figures import wavelengths
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from superresolution_quality import make_pairs
from superresolution_weights import build_method
from torch import Tensor

from torchgeo_hsi.callbacks._cube_figure import show_view
from torchgeo_hsi.datasets._spectrum import find_gaps
from torchgeo_hsi.datasets.plotting import CLASS_COLORS
from torchgeo_hsi.metrics import mpsnr
from torchgeo_hsi.models import SuperResolver, get_model

IMAGES = DOCS / 'superresolution' / 'images'

#: Configuration of the weights of each scale.
WEIGHTS = {2: ('essaformer', 'eigen'), 4: ('deepshare', 'windows')}

#: Red, green and blue; and about these bands in files without wavelengths.
RGB, RGB_BANDS = (0.640, 0.555, 0.468), (26, 17, 9)

#: Colors of the cubes.
CUBE_COLORS = [CLASS_COLORS[index] for index in (0, 1, 2, 5, 4)]


class Place(NamedTuple):
    """What is shown of a cube.

    Args:
        scale: Scale of the super-resolution.
        cube: Name of the cube.
        rows: Fine rows.
        cols: Fine columns.
    """

    scale: int
    cube: str
    rows: slice
    cols: slice

    def cut(self, cube: Tensor, size: int = 1) -> Tensor:
        """Cut the place out of a cube whose pixels are that many times larger."""
        rows, cols = (slice(s.start // size, s.stop // size) for s in self[2:])
        return cube[..., rows, cols]


PLACES = (
    Place(2, 'jasper_ridge', slice(8, 72), slice(36, 100)),
    Place(4, 'abu-urban-4', slice(0, 80), slice(0, 80)),
)


class Enlarged(NamedTuple):
    """A cube, and what was made of it; each of shape ``(C, H, W)``."""

    coarse: Tensor
    truth: Tensor
    bicubic: Tensor
    network: Tensor

    def score(self, name: str) -> float:
        """Return the MPSNR of the whole cube in dB."""
        return float(mpsnr(getattr(self, name)[None], self.truth[None]))

    def error(self, name: str) -> Tensor:
        """Return the squared error."""
        return (getattr(self, name) - self.truth) ** 2


def load(scale: int, folder: Path | None) -> SuperResolver:
    """Return the method that ships, or one with weights of another folder."""
    if folder is None:
        method = get_model('pretrained_superresolution', scale=scale).eval()
        assert isinstance(method, SuperResolver)
        return method
    model, name = WEIGHTS[scale]
    _, content = read_config('superresolution', model, name)
    return build_method(content, folder / f'{model}_{name}.safetensors')


def enlarge(scale: int, folder: Path | None) -> dict[str, Enlarged]:
    """Enlarge all cubes that were held back."""
    bicubic, network = get_model('bicubic', scale=scale), load(scale, folder)
    found = {}
    for name, (coarse, truth) in make_pairs(scale, HELD_BACK).items():
        with torch.inference_mode():
            results = bicubic(coarse), network(coarse)
        cubes = (coarse, truth, *results)
        found[name] = Enlarged(*(cube[0].clone() for cube in cubes))
    return found


def axis_of(name: str) -> Tensor | None:
    """Return the wavelengths of a cube in micrometres, if its file knows them."""
    if name == 'jasper_ridge':
        return make_pair(name).wavelength
    return wavelengths(name).get('wavelength')


def edges(truth: Tensor, count: int = 3) -> list[tuple[int, int]]:
    """Choose pixels at strong edges of the truth, apart from each other.

    Args:
        truth: Cube of shape ``(C, H, W)``.
        count: How many.

    Returns:
        Their rows and columns.
    """
    slopes = torch.gradient(truth, dim=(1, 2))
    strength = sum(slope.square().mean(0) for slope in slopes)
    assert isinstance(strength, Tensor)
    # not at the border, nor the one strongest edge, which is a glint
    strength = strength.sqrt()
    strength[strength > strength.quantile(0.995)] = 0
    inner = torch.zeros_like(strength)
    inner[4:-4, 4:-4] = strength[4:-4, 4:-4]
    places = inner.flatten().argsort(descending=True).tolist()
    width, apart = truth.shape[2], min(truth.shape[1:]) / count
    chosen: list[tuple[int, int]] = []
    for row, col in (divmod(place, width) for place in places):
        if all(np.hypot(row - r, col - c) >= apart for r, c in chosen):
            chosen.append((row, col))
        if len(chosen) == count:
            break
    return chosen


def draw_place(place: Place, cubes: Enlarged, pixels: list[tuple[int, int]]) -> Figure:
    """Draw coarse and enlarged images, the truth, and both errors."""
    truth, centers = place.cut(cubes.truth), axis_of(place.cube)
    bands = list(RGB_BANDS)
    if centers is not None:
        bands = [int((centers - x).abs().argmin()) for x in RGB]
    low, high = np.quantile(truth[bands].flatten(1), (0.01, 0.99), axis=1)
    figure = Figure(figsize=(8.4, 5.9), layout='constrained')
    axes = figure.subplots(2, 3)
    titles = {
        'coarse': f'coarse, pixels {place.scale} x as large',
        'bicubic': f'bicubic, {cubes.score("bicubic"):.2f} dB',
        'network': f'network, {cubes.score("network"):.2f} dB',
        'truth': 'truth',
    }
    for axis, (name, title) in zip(axes.flat, titles.items(), strict=False):
        size = place.scale if name == 'coarse' else 1
        cube = place.cut(getattr(cubes, name), size)[bands]
        view = np.clip((cube.numpy().transpose(1, 2, 0) - low) / (high - low), 0, 1)
        show_view(axis, view, title, pixels if name == 'truth' else [])
    errors = {
        name: place.cut(cubes.error(name)).mean(0).sqrt()
        for name in ('bicubic', 'network')
    }
    top = float(errors['bicubic'].quantile(0.98))
    for axis, (name, error) in zip(axes[1, 1:], errors.items(), strict=True):
        shown = axis.imshow(
            error, vmin=0, vmax=top, cmap='magma', interpolation='nearest'
        )
        axis.set_title(f'error of {name}', fontsize=11)
        axis.axis('off')
    figure.colorbar(shown, ax=axes[1, 2], shrink=0.8)
    return figure


def draw_line(axis: Axes, centers: Tensor | None, values: Tensor, **words: Any) -> None:
    """Draw values of bands, with gaps where no band has measured."""
    if centers is None:
        axis.plot(np.arange(1, len(values) + 1), values, **words)
        axis.set_xlabel('Band')
        return
    x, order = centers.sort()
    cuts = [int(torch.searchsorted(1e3 * x, stop)) for _, stop in find_gaps(1e3 * x)]
    # NaN ends a line
    line = np.insert(values[order].double().numpy(), cuts, np.nan)
    axis.plot(np.insert(x.double().numpy(), cuts, np.nan), line, **words)
    axis.set_xlabel('Wavelength (µm)')


def draw_spectra(places: dict[Place, tuple[Enlarged, list[tuple[int, int]]]]) -> Figure:
    """Draw spectra of pixels at edges."""
    figure = Figure(figsize=(9.6, 5.4), layout='constrained')
    grid = figure.subplots(len(places), 3, sharex='row')
    for axes, (place, (cubes, pixels)) in zip(grid, places.items(), strict=True):
        centers = axis_of(place.cube)
        for axis, (row, col), color in zip(axes, pixels, CLASS_COLORS, strict=False):
            for name, words in (
                ('truth', {'color': '0.2', 'lw': 2.2, 'alpha': 0.55}),
                ('bicubic', {'color': color, 'lw': 1.0, 'ls': '--'}),
                ('network', {'color': color, 'lw': 1.5}),
            ):
                values = place.cut(getattr(cubes, name))[:, row, col]
                draw_line(axis, centers, values, label=name, **words)
            where = f'row {row + place.rows.start}, column {col + place.cols.start}'
            axis.set_title(f'x{place.scale}, {place.cube}, {where}', fontsize=9)
            axis.legend(fontsize=8, frameon=False)
        axes[0].set_ylabel('Value')
    return figure


def draw_gains(results: dict[int, dict[str, Enlarged]]) -> Figure:
    """Draw how much is gained over interpolation in each band."""
    figure = Figure(figsize=(9.6, 5.4), layout='constrained')
    grid = figure.subplots(len(results), 2, sharey='row', squeeze=False)
    for axes, (scale, cubes) in zip(grid, results.items(), strict=True):
        for (name, cube), color in zip(cubes.items(), CUBE_COLORS, strict=True):
            before, after = (
                cube.error(key).mean((1, 2)) for key in ('bicubic', 'network')
            )
            axis = axes[int(name.startswith('enmap'))]
            gain = 10 * (before / after).log10()
            centers = wavelengths(name).get('wavelength')
            draw_line(axis, centers, gain, color=color, label=name)
        for axis in axes:
            axis.axhline(0, color='0.2', lw=0.8)
        axes[0].set_ylabel(f'Gain over bicubic, x{scale} (dB)')
    lines = [line for axis in grid[0] for line in axis.get_legend_handles_labels()[0]]
    figure.legend(handles=lines, loc='outside upper center', ncols=5, frameon=False)
    return figure


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--weights-folder', type=Path, help='the package by default')
    parser.add_argument('--folder', type=Path, default=IMAGES, help='of the pictures')
    parser.add_argument('--scales', type=int, nargs='+', default=list(WEIGHTS))
    args = parser.parse_args()
    results = {scale: enlarge(scale, args.weights_folder) for scale in args.scales}
    shown = {}
    for place in PLACES:
        if place.scale not in results:
            continue
        cubes = results[place.scale][place.cube]
        pixels = edges(place.cut(cubes.truth))
        shown[place] = cubes, pixels
        name = f'x{place.scale}.png'
        save_figure(draw_place(place, cubes, pixels), args.folder / name, dpi=84)
    save_figure(draw_spectra(shown), args.folder / 'spectra.png', dpi=84)
    save_figure(draw_gains(results), args.folder / 'gains.png', dpi=84)


if __name__ == '__main__':
    main()
