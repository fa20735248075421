# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the page on series anew.

They are spectra of simulated ground, a map of real EnMAP tiles, and the scores that
``benchmarks/spectrum_series.py`` wrote.
"""

import matplotlib as mpl
import numpy as np
import torch
from _pages import DOCS, read_result, save_figure
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IMAGES = DOCS / 'images'

COLORS = {
    'linear interpolation': '#999999',
    'cubic spline': '#d55e00',
    'SRF resampling': '#cc79a7',
    'series': '#0072b2',
}
RANGES = {
    'visible': 'visible',
    'near_infrared': 'near infrared',
    'swir_1': '1.45-1.80 µm',
    'swir_2': '1.95-2.50 µm',
}
ADAPTERS = {
    'spectral': ('SRF resampling to EnMAP,\nSpectralAdapter', '#cc79a7'),
    'wavelength': ('WavelengthAdapter', '#e69f00'),
    'series': ('SeriesAdapter', '#0072b2'),
}
SENSORS = {
    'enmap': 'EnMAP',
    'enmap/3': 'each third\nof EnMAP',
    'prisma': 'PRISMA',
    'emit': 'EMIT',
    'sentinel2': 'Sentinel-2',
    'desis': 'DESIS\n(to 1 µm)',
}


def save(figure: Figure, name: str) -> None:
    """Write a picture, if it is small enough."""
    save_figure(figure, IMAGES / name)


def tidy(ax: plt.Axes, title: str) -> None:
    """Give all panels the same looks."""
    ax.set_title(title, fontsize=10, loc='left')
    ax.spines[['top', 'right']].set_visible(False)
    ax.tick_params(labelsize=9)
    ax.grid(axis='y', color='0.92')
    ax.set_axisbelow(True)


def draw_resampling(result: dict) -> Figure:
    """Draw a noisy spectrum on other bands, and the errors of all methods."""
    from _series_ground import add_noise, see, sensor_bands, simulate_ground
    from _series_spectra import make_methods

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout='constrained', width_ratios=(1, 1.15)
    )
    source = sensor_bands('enmap')
    target = sensor_bands('prisma').between(1.985, 2.44)
    ground = simulate_ground(0, 24)
    noisy = add_noise(see(ground, source), source, np.random.default_rng(3))
    row = (12, 12)
    truth = see(ground, target)[row]
    use = (source.wavelength > 1.97) & (source.wavelength < 2.45)
    left.plot(
        source.wavelength[use], noisy[row][use], 'o', ms=3, mfc='none', mec='0.55',
        label='EnMAP, with noise',
    )  # fmt: skip
    left.plot(target.wavelength, truth, color='black', lw=1.2, label='PRISMA, truth')
    for name, method in make_methods(source, target).items():
        if name in ('SRF resampling', 'series'):
            found = method(noisy[row][None])[0]
            left.plot(target.wavelength, found, color=COLORS[name], lw=1.4, label=name)
    left.set_xlabel('Wavelength (µm)', fontsize=9)
    left.legend(frameon=False, fontsize=8)
    tidy(left, 'Reflectance of one pixel')
    for k, (name, color) in enumerate(COLORS.items()):
        for kind, shade in (('noisy', 0.45), ('clean', 1.0)):
            row_ = result['spectra']['enmap_to_prisma'][kind][name]
            heights = [row_[part]['rmse_dn'] for part in RANGES]
            places = np.arange(len(RANGES)) + 0.2 * (k - 1.5)
            label = name if kind == 'clean' else None
            right.bar(places, heights, 0.18, color=color, alpha=shade, label=label)
    right.set_yscale('log')
    right.set_xticks(range(len(RANGES)), list(RANGES.values()))
    right.legend(frameon=False, fontsize=8, ncols=2, loc='upper left')
    right.set_ylim(0.01, 200)
    tidy(right, 'RMSE in 1/10 000 of reflectance: no noise (full), noise (pale)')
    return figure


def draw_derivatives() -> Figure:
    """Draw slopes of a noisy spectrum, and the red edge of real tiles."""
    from _series_ground import add_noise, see, sensor_bands, simulate_ground

    from torchgeo_hsi.physics.series import derivative_spectra

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.7), layout='constrained', width_ratios=(1.25, 1)
    )
    bands = sensor_bands('enmap').between(1.97, 2.45)
    ground = simulate_ground(0, 24)
    row, col = np.argwhere(ground.labels == 6)[3]
    noisy = add_noise(see(ground, bands)[row, col], bands, np.random.default_rng(0))
    fine = np.arange(1990, 2431)
    spectrum = (ground.weights[row, col] @ ground.library)[fine - 400]
    found, _ = derivative_spectra(torch.tensor(noisy), bands, dim=0, smoothness=0.01)
    wavelength = bands.wavelength
    left.plot(
        wavelength, np.gradient(noisy, wavelength), color='#d55e00', lw=1,
        label='differences of noisy bands',
    )  # fmt: skip
    left.plot(
        fine / 1000, np.gradient(spectrum, fine / 1000), color='black', lw=1.2,
        label='truth',
    )  # fmt: skip
    left.plot(wavelength, found, color='#0072b2', lw=1.6, label='series, 10 nm')
    left.set_xlabel('Wavelength (µm)', fontsize=9)
    left.legend(frameon=False, fontsize=9)
    tidy(left, 'Slope of a spectrum of bare soil, per µm')
    position = red_edge_map()
    picture = right.imshow(position, cmap='viridis', vmin=0.725, vmax=0.74)
    right.set_xticks([])
    right.set_yticks([])
    right.set_title('Red edge of EnMAP tiles of Potsdam', fontsize=10, loc='left')
    bar = figure.colorbar(picture, ax=right, shrink=0.85, extend='both')
    bar.set_label('Steepest at (µm)', fontsize=9)
    return figure


def red_edge_map() -> np.ndarray:
    """Find the red edge of vegetation in real EnMAP tiles, in micrometres."""
    from _series_spectra import DATA

    from torchgeo_hsi.datasets import EnMAPL2A
    from torchgeo_hsi.physics import BandSet
    from torchgeo_hsi.physics.series import red_edge_position

    scenes = EnMAPL2A(DATA / 'enmap_potsdam' / 'images')
    sample = scenes[scenes.bounds]
    bands = BandSet(sample['wavelength'].numpy(), sample['fwhm'].numpy())
    bands, image = bands.between(0.42, 0.89), sample['image']
    image = image[: len(bands)] / 1e4
    red, near = image[bands.nearest(0.665)], image[bands.nearest(0.85)]
    green = ((near - red) / (near + red) > 0.5) & sample['valid'].bool()
    position = red_edge_position(image, bands, smoothness=0.008)
    return np.ma.masked_array(position.numpy(), ~green.numpy())


def draw_adapters(result: dict) -> Figure:
    """Draw how well networks that know EnMAP see other sensors."""
    figure, ax = plt.subplots(figsize=(10, 3.4), layout='constrained')
    for k, (kind, (label, color)) in enumerate(ADAPTERS.items()):
        for place, name in enumerate(SENSORS):
            found = result['adapters']['mean'][kind][name]
            x = place + 0.27 * (k - 1)
            ax.bar(x, found['oa'], 0.25, color=color, label=label)
            seeds = [run[name]['oa'] for run in result['adapters']['runs'][kind]]
            spread = x + 0.1 * (np.linspace(0, 1, len(seeds)) - 0.5)
            ax.plot(spread, seeds, 'o', ms=2.6, mfc='white', mec='0.15', mew=0.6)
            ax.text(x, max(seeds) + 0.02, f'{found["oa"]:.2f}', ha='center', fontsize=8)
    ax.set_xticks(range(len(SENSORS)), list(SENSORS.values()))
    ax.set_ylim(0, 1.1)
    tidy(ax, 'Overall accuracy on other ground, after training on EnMAP')
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(
        unique.values(), unique.keys(), loc='outside right', frameon=False, fontsize=9
    )
    return figure


def main() -> None:
    """Make all pictures."""
    result = read_result('spectrum_series')
    save(draw_resampling(result), 'series_resampling.png')
    save(draw_derivatives(), 'series_derivatives.png')
    save(draw_adapters(result), 'series_adapters.png')


if __name__ == '__main__':
    mpl.use('Agg')
    main()
