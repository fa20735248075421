# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra, gases and equations."""

from results import Table

from .shown import Shown

_GAS = {
    'standard error (ppm m)': 'error:,.0f',
    'RMSE in the plume (ppm m)': 'rmse:,.0f',
    'mass found': 'mass:.0%',
    'outlined': 'outlined:.0%',
    'pixels above 5 errors': 'above_5:.1f',
    's': 'seconds:.1f',
}
_SENSORS = {
    'EnMAP': 'enmap/oa:.3f',
    'every third band': 'enmap%3/oa:.3f',
    'PRISMA': 'prisma/oa:.3f',
    'EMIT': 'emit/oa:.3f',
    'DESIS': 'desis/oa:.3f',
    'Sentinel-2': 'sentinel2/oa:.3f',
}


def _methane(scene: str, title: str) -> Table:
    return Table(
        f'{title}, a leak of 5 t/h',
        f'{scene}/5000',
        'background',
        _GAS,
        best={'RMSE in the plume (ppm m)': 'least'},
    )


SHOWN: dict[str, Shown] = {
    'spectrum_series': Shown(
        'resampling by spectral responses, the adapter of SpectralEarth',
        'trained on EnMAP, tested on DESIS: OA {adapters/mean/series/desis/oa:.2f}, '
        'resampling {adapters/mean/spectral/desis/oa:.2f}; forward '
        '{speed/infer/faster_than_spectral/series:.1f} × faster',
        (
            Table(
                'Overall accuracy by sensor, trained on EnMAP',
                'adapters/mean',
                'adapter',
                _SENSORS,
                best=dict.fromkeys(_SENSORS, 'most'),
            ),
            Table(
                'EnMAP to the bands of PRISMA, without noise',
                'spectra/enmap_to_prisma/clean',
                'method',
                {
                    'RMSE (reflectance × 10 000)': 'all/rmse_dn:.2f',
                    'percent': 'all/percent:.3f',
                    'spectral angle (°)': 'all/sam_degrees:.3f',
                },
                best={'RMSE (reflectance × 10 000)': 'least'},
            ),
        ),
    ),
    'gas_retrieval': Shown(
        'the classic matched filter',
        'error in the plume {simulated_ratios/5000/clusters_trimmed/rmse:.2f} of the '
        'classic one, false pixels {simulated_ratios/5000/clusters_trimmed/above_5:.2f}',
        (
            _methane('simulated', 'Simulated scenes'),
            _methane('potsdam', 'Plumes put into the real tiles of Potsdam'),
        ),
    ),
    'neural_spectral': Shown(
        'Fourier neural operators, numerical solvers',
        'Navier-Stokes in equal time: a grid residual has {claims/ours/error of grid '
        'residuals over that of the spectral operator, equal time/navier_stokes, '
        'fno_residual_coarse:.1f} × our error; Dirichlet box {claims/ours/error of grid '
        'residuals over that of the spectral operator, equal time/dirichlet_poisson, '
        'fno_residual_coarse:.2f} ×',
        (
            Table(
                'Training for the same time',
                'training',
                'equation, method',
                {
                    'relative error': 'error:.2%',
                    'spread': 'error_sd:.2%',
                    'weights': 'parameters:,.0f',
                    'steps': 'steps:,.0f',
                    's a step': 'seconds_per_step:.3f',
                },
                key=('equation', 'method'),
            ),
            Table(
                'Seconds of a solution, periodic Poisson',
                'inference/periodic_poisson/rows',
                'grid',
                {
                    'spectral': 'spectral:.2g',
                    'FNO': 'fno:.2g',
                    'numerical solver': 'solver:.2g',
                },
                key=('grid',),
            ),
        ),
    ),
}
