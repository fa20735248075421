# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of denoised scenes anew.

They are of a simulated EnMAP scene with more noise than the sensor has: a scene before and
after, spectra of two pixels, and what tiles change that do not know of each other.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from _pages import DOCS, save_figure
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IMAGES = DOCS / 'denoising' / 'images'

SIZE, SIGMA, SEED = 128, 250.0, 3
METHOD = 'hyres'
RGB = (0.640, 0.555, 0.468)
PIXELS = {'#0072b2': (40, 40), '#d55e00': (90, 70)}
#: First and last row and column that are shown.
CROP = (28, 100)


def save(figure: Figure, name: str) -> None:
    """Write a picture, if it is small enough."""
    save_figure(figure, IMAGES / name, dpi=64, colors=128)


def make_scenes(folder: Path) -> dict[str, Path]:
    """Simulate a scene, add noise, and denoise it.

    Args:
        folder: Where to write.

    Returns:
        Truth, noisy and denoised scene, and those of tiles with their own statistics.
    """
    from torchgeo_hsi.io import open_cube, simulate_enmap, write_cog
    from torchgeo_hsi.models import get_model
    from torchgeo_hsi.scenes import restore_scene

    product = simulate_enmap(folder / 'product', SIZE, SEED, 0.0, footprint=False)
    clean = next(product.glob('*TRUTH_CLEAN_IMAGE.TIF'))
    with open_cube(product) as reader:
        bands = reader.info.bands
        good = np.flatnonzero(bands.good)
        chosen = bands.select([bands.names[i] for i in good])
    with open_cube(clean) as reader:
        truth = reader.read(good)[0]
    rng = np.random.default_rng(SEED)
    noisy = truth + SIGMA * rng.standard_normal(truth.shape)
    paths = {name: folder / f'{name}.tif' for name in ('truth', 'noisy')}
    write_cog(paths['truth'], truth, bands=chosen)
    write_cog(paths['noisy'], noisy.astype('float32'), bands=chosen)
    model = get_model(METHOD)
    for name in ('denoised', 'alone', 'whole'):
        model.needs_scene = name != 'alone'
        paths[name] = restore_scene(
            model,
            paths['noisy'],
            folder / f'{name}.tif',
            tile_size=SIZE if name == 'whole' else 48,
            overlap=0 if name == 'whole' else 16,
        )
    return paths


def draw_scene(cubes: dict[str, np.ndarray], bands: object) -> Figure:
    """Draw the scene before and after, and two spectra.

    Args:
        cubes: Truth, noisy and denoised scene, reflectance x 10 000.
        bands: Their spectral axis.

    Returns:
        The figure.
    """
    indexes = bands.indices(RGB)
    white = np.quantile(cubes['truth'][indexes], 0.99)
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout='constrained')
    titles = {'noisy': 'Noisy', 'denoised': f'Denoised ({METHOD})', 'truth': 'Truth'}
    for axis, (name, title) in zip(axes, titles.items(), strict=False):
        part = cubes[name][indexes][:, slice(*CROP), slice(*CROP)]
        image = np.clip(part / white, 0, 1).transpose(1, 2, 0)
        axis.imshow(image, interpolation='nearest')
        axis.set(title=title, xticks=[], yticks=[])
        for color, (row, col) in PIXELS.items():
            axis.plot(
                col - CROP[0], row - CROP[0], 'o', mfc='none', mec=color, ms=9, mew=2
            )
    axis = axes[-1]
    for color, (row, col) in PIXELS.items():
        for name, style in (
            ('noisy', {'alpha': 0.3, 'lw': 0.8}),
            ('truth', {'color': 'black', 'lw': 2.4, 'alpha': 0.35}),
            ('denoised', {'lw': 1.2}),
        ):
            spectrum = cubes[name][:, row, col] / 1e4
            axis.plot(bands.wavelength, spectrum, **({'color': color} | style))
    axis.set(
        title='Spectra (faint: noisy, grey: truth)',
        xlabel='Wavelength (µm)',
        ylabel='Reflectance',
    )
    return figure


def draw_seams(cubes: dict[str, np.ndarray], bands: object) -> Figure:
    """Draw what tiles change.

    Args:
        cubes: Scenes denoised in one piece and in tiles.
        bands: Their spectral axis.

    Returns:
        The figure.
    """
    (band,) = bands.indices([0.86])
    titles = {
        'alone': 'Tiles with statistics of their own',
        'denoised': 'Tiles with those of the scene',
    }
    errors = {name: (cubes[name] - cubes['whole'])[band] / 1e4 for name in titles}
    limit = float(np.quantile(np.abs(errors['alone']), 0.995))
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout='constrained')
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        shown = axis.imshow(
            errors[name], cmap='RdBu', vmin=-limit, vmax=limit, interpolation='nearest'
        )
        axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes, label='Difference to one piece, at 0.86 µm')
    return figure


def main() -> None:
    """Make all pictures."""
    from torchgeo_hsi.io import open_cube

    with tempfile.TemporaryDirectory() as temporary:
        paths = make_scenes(Path(temporary))
        cubes = {}
        for name, path in paths.items():
            with open_cube(path) as reader:
                cubes[name], bands = reader.read()[0], reader.info.bands
    save(draw_scene(cubes, bands), 'scene.png')
    save(draw_seams(cubes, bands), 'seams.png')


if __name__ == '__main__':
    mpl.use('Agg')
    main()
