# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi library``: write a library to try the plugin with."""

import click


@click.command
@click.argument('file', type=click.Path(dir_okay=False, writable=True))
@click.option('--count', default=60, show_default=True, help='Number of spectra.')
@click.option('--seed', default=0, show_default=True, help='Seed of the noise.')
def library(file: str, count: int, seed: int) -> None:
    """Write noisy spectra of plants, soil and water to FILE (CSV)."""
    import numpy as np

    from .sensor import library_sensor

    centre = library_sensor().bands.wavelength
    curves = np.stack(
        [
            # the red edge, a rise with wavelength, and a fall
            0.05 + 0.4 / (1 + np.exp((0.71 - centre) / 0.01)),
            0.1 + 0.4 * (centre - 0.45),
            0.06 * np.exp((0.45 - centre) / 0.1),
        ]
    )
    rng = np.random.default_rng(seed)
    label = np.arange(count) % len(curves)
    light = rng.uniform(0.5, 1.5, (count, 1))
    spectra = light * curves[label] + rng.normal(0, 0.003, (count, len(centre)))
    header = ','.join(['class', *(f'{x:g}' for x in centre)])
    np.savetxt(
        file,
        np.column_stack([label, spectra]),
        fmt='%.6g',
        delimiter=',',
        header=header,
        comments='',
    )
    click.echo(f'{count} spectra in {file}')
