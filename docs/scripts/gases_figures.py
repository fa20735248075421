# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the page on gases anew.

They are of the absorption in EnMAP's bands, of a simulated scene with a plume, of the
EnMAP tiles of Potsdam without and with a plume that was put there, and of the scores that
``benchmarks/gas_retrieval.py`` wrote.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
import rasterio
from _pages import DOCS, read_result, save_figure
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IMAGES = DOCS / 'images'

#: Rate of the plumes in kg/h, and the largest enhancement in ppm m that is told apart.
RATE, TOP = 10_000.0, 6000.0

#: Methods of the benchmark, their names and colors.
METHODS = {
    'classic': ('classic', '#999999'),
    'albedo': ('brightness of pixels', '#56b4e9'),
    'trimmed': ('+ trimmed', '#0072b2'),
    'clusters': ('+ kinds of ground', '#e69f00'),
    'clusters_trimmed': ('+ both (default)', '#d55e00'),
    'clusters_sparse': ('+ kinds, sparse', '#009e73'),
}


def save(figure: Figure, name: str) -> None:
    """Write a picture, if it is small enough."""
    save_figure(figure, IMAGES / name, colors=128)


def draw_absorption() -> Figure:
    """Draw what 1000 ppm m take away in each band of EnMAP."""
    from torchgeo_hsi.physics import get_sensor
    from torchgeo_hsi.physics.gases import get_gas
    from torchgeo_hsi.workflows._gas_bands import WINDOWS

    bands = get_sensor('enmap').bands
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharex=True, layout='constrained')
    panels = {'methane': 1000.0, 'carbon_dioxide': 50_000.0}
    for axis, (name, column) in zip(axes, panels.items(), strict=True):
        gas = get_gas(name)
        lost = 1 - gas.band_transmittance(bands, column)
        order = np.argsort(bands.wavelength)
        for low, high in WINDOWS[name]:
            axis.axvspan(low, high, color='0.92')
        x, y = bands.wavelength[order], 100 * lost.numpy()[order]
        axis.plot(x, y, '.-', color='#0072b2', ms=4, lw=0.8)
        axis.set_title(f'{gas.title}, {column:,.0f} ppm m', fontsize=10, loc='left')
        axis.set(xlim=(1.4, 2.47), xlabel='Wavelength (µm)')
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].set_ylabel('Light lost (%)')
    return figure


def draw_maps(
    path: Path, truth: np.ndarray, maps: dict[str, np.ndarray], crop: Any
) -> Figure:
    """Draw a scene, the truth, and maps.

    Args:
        path: The scene.
        truth: Enhancement in ppm m.
        maps: Maps by their title.
        crop: Rows and columns that are shown.

    Returns:
        The figure.
    """
    from torchgeo_hsi.datasets.plotting import NODATA_GRAY, true_color
    from torchgeo_hsi.io import open_cube

    with open_cube(path) as reader:
        bands = reader.info.bands
        assert bands is not None
        chosen = bands.indices([0.64, 0.555, 0.468])
        image, valid = reader.read(chosen)
        view = true_color(image, bands.wavelength[chosen], valid.all(0))
    figure, axes = plt.subplots(
        1, len(maps) + 2, figsize=(2.6 * (len(maps) + 2) + 0.6, 3), layout='constrained'
    )
    axes[0].imshow(view[crop], interpolation='nearest')
    axes[0].set_title('scene', fontsize=9)
    drawn = None
    for axis, (title, values) in zip(
        axes[1:], {'truth': truth, **maps}.items(), strict=True
    ):
        axis.set_facecolor(NODATA_GRAY)
        drawn = axis.imshow(
            values[crop], vmin=0, vmax=TOP, cmap='inferno', interpolation='nearest'
        )
        axis.set_title(title, fontsize=9)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    assert drawn is not None
    figure.colorbar(drawn, ax=axes, shrink=0.8, label='ppm m')
    return figure


def find(plume: Any, folder: Path, method: str) -> np.ndarray:
    """Map a plume with a method of the benchmark."""
    from gas_retrieval import METHODS as OPTIONS

    from torchgeo_hsi.workflows import map_gas

    out = folder / 'map.tif'
    map_gas(plume.path, out, overwrite=True, **plume.options, **OPTIONS[method])
    with rasterio.open(out) as src:
        return src.read(1)


def draw_scores(result: dict[str, Any]) -> Figure:
    """Draw the scores of the benchmark.

    Args:
        result: What it wrote.

    Returns:
        The figure.
    """
    figure, axes = plt.subplots(
        2, 3, figsize=(10, 5.4), sharex='col', layout='constrained'
    )
    titles = ('mass found / mass there', 'plumes outlined', 'error of pixels (ppm m)')
    for row, kind in zip(axes, ('simulated', 'potsdam'), strict=True):
        cells = result[kind]
        rates = [rate for rate in cells if float(rate)]
        for name, (label, color) in METHODS.items():
            x = [float(rate) / 1000 for rate in rates]
            mass = [cells[rate][name].get('mass', np.nan) for rate in rates]
            hits = [cells[rate][name]['outlined'] for rate in rates]
            errors = [cells[rate][name].get('rmse', np.nan) for rate in rates]
            words: dict[str, Any] = {'color': color, 'label': label, 'marker': 'o'}
            for axis, values in zip(row, (mass, hits, errors), strict=True):
                axis.semilogx(x, values, ms=3.5, lw=1.2, **words)
        row[0].axhline(1, color='0.6', lw=0.8)
        row[0].set_ylim(0, 1.5)
        row[0].set_ylabel(
            'simulated' if kind == 'simulated' else 'Potsdam', fontsize=10
        )
        for axis, title in zip(row, titles, strict=True):
            axis.spines[['top', 'right']].set_visible(False)
            if kind == 'simulated':
                axis.set_title(title, fontsize=10, loc='left')
            else:
                axis.set_xlabel('emission rate (t/h)', fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside lower left', ncols=6, frameon=False, fontsize=8
    )
    return figure


def main() -> None:
    """Make all pictures."""
    from _gas_scenes import potsdam, simulated

    save(draw_absorption(), 'gases_absorption.png')
    with TemporaryDirectory() as name:
        folder = Path(name)
        plume = simulated(folder, RATE, 1, 256)
        maps = {
            'classic filter': find(plume, folder, 'classic'),
            'default': find(plume, folder, 'clusters_trimmed'),
            'sparse': find(plume, folder, 'clusters_sparse'),
        }
        crop = np.s_[40:216, 40:236]
        save(draw_maps(plume.path, plume.truth, maps, crop), 'gases_simulated.png')
        real = potsdam(folder, RATE, 1)
        clean = potsdam(folder, 0.0, 1)
        maps = {
            'found without plume': find(clean, folder, 'clusters_trimmed'),
            'found with plume': find(real, folder, 'clusters_trimmed'),
        }
        crop = np.s_[:, 60:]
        save(draw_maps(clean.path, real.truth, maps, crop), 'gases_potsdam.png')
    result = read_result('gas_retrieval')
    save(draw_scores(result), 'gases_scores.png')


if __name__ == '__main__':
    mpl.use('Agg')
    main()
