# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the pages on sensors anew.

Products of these sensors may not be shown here, so they are of a simulated scene in the
bands of each; EnMAP's own picture is that of ``figures.py``.
"""

import tempfile

import torch
from _pages import DOCS, save_figure
from matplotlib import pyplot as plt

from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.datasets.plotting import plot_sample
from torchgeo_hsi.physics import get_sensor, resample

#: Largest distance to a band of EnMAP, in micrometres.
REACH = 0.008

PAGES = {'prisma': 'prisma_l2d', 'emit': 'emit_l2a', 'desis': 'desis_l2a'}


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        scene = SimulatedEnMAP(folder, size=128, seed=5, cloud_cover=0.02)
        sample = scene[scene.bounds]
    for name, page in PAGES.items():
        sensor = get_sensor(name)
        bands = sensor.bands.select(sensor.default_bands)
        # those that the bands of EnMAP cover
        far = abs(bands.wavelength[:, None] - scene.bandset.wavelength).min(axis=1)
        bands = bands.select([bands.names[i] for i in (far < REACH).nonzero()[0][2:-2]])
        image = resample(sample['image'], scene.bandset, bands, min_coverage=0.3)
        shown = {
            'image': torch.as_tensor(image).float(),
            'valid': sample['valid'],
            'wavelength': torch.tensor(bands.wavelength.tolist()),
        }
        title = f'A simulated scene in the bands of {sensor.title}'
        figure = plot_sample(shown, suptitle=title)
        save_figure(figure, DOCS / 'datasets' / 'images' / f'{page}.png', 72, 128)


if __name__ == '__main__':
    plt.switch_backend('Agg')
    main()
