# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maths of light and sensors: units, bands, responses, spectra."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .bands import BandSet
from .sensors import Sensor, get_sensor, list_sensors, register_sensor
from .statistics import (
    BandStatistics,
    BandSummary,
    QuantileSketch,
    RunningStatistics,
    band_statistics,
    list_band_statistics,
)
from .units import (
    check_fwhm,
    check_micrometres,
    format_micrometres,
    format_nm,
    to_micrometres,
)

if TYPE_CHECKING:
    from .endmembers import vertex_component_analysis
    from .local_windows import box_sums, local_correlation
    from .panchromatic import pan_bands, pan_range, pan_weights, simulate_pan
    from .pixel_moments import PixelMoments
    from .registration import Registration, estimate_shift
    from .rgb import (
        camera_bands,
        conversion_matrix,
        rgb_from_bands,
        rgb_response,
        rgb_to_groups,
    )
    from .shifting import move_image
    from .spectra import continuum_removal, spectral_angle
    from .srf import (
        gaussian_srf,
        project,
        project_adjoint,
        resample,
        srf_matrix,
        srf_matrix_from_table,
    )
    from .subspace import (
        Subspace,
        band_noise,
        correlation_matrix,
        estimate_noise,
        signal_subspace,
    )

__all__ = (
    'BandSet',
    'BandStatistics',
    'BandSummary',
    'PixelMoments',
    'QuantileSketch',
    'Registration',
    'RunningStatistics',
    'Sensor',
    'Subspace',
    'band_noise',
    'band_statistics',
    'box_sums',
    'camera_bands',
    'check_fwhm',
    'check_micrometres',
    'continuum_removal',
    'conversion_matrix',
    'correlation_matrix',
    'estimate_noise',
    'estimate_shift',
    'format_micrometres',
    'format_nm',
    'gaussian_srf',
    'get_sensor',
    'list_band_statistics',
    'list_sensors',
    'local_correlation',
    'move_image',
    'pan_bands',
    'pan_range',
    'pan_weights',
    'project',
    'project_adjoint',
    'register_sensor',
    'resample',
    'rgb_from_bands',
    'rgb_response',
    'rgb_to_groups',
    'signal_subspace',
    'simulate_pan',
    'spectral_angle',
    'srf_matrix',
    'srf_matrix_from_table',
    'to_micrometres',
    'vertex_component_analysis',
)

#: Names whose module needs torch; readers and the command work without it.
_LAZY = {
    'vertex_component_analysis': 'endmembers',
    'Registration': 'registration',
    'estimate_shift': 'registration',
    'move_image': 'shifting',
    'box_sums': 'local_windows',
    'local_correlation': 'local_windows',
    'pan_bands': 'panchromatic',
    'pan_range': 'panchromatic',
    'pan_weights': 'panchromatic',
    'simulate_pan': 'panchromatic',
    'PixelMoments': 'pixel_moments',
    'camera_bands': 'rgb',
    'conversion_matrix': 'rgb',
    'rgb_from_bands': 'rgb',
    'rgb_response': 'rgb',
    'rgb_to_groups': 'rgb',
    'band_noise': 'subspace',
    'continuum_removal': 'spectra',
    'correlation_matrix': 'subspace',
    'estimate_noise': 'subspace',
    'gaussian_srf': 'srf',
    'project': 'srf',
    'project_adjoint': 'srf',
    'resample': 'srf',
    'signal_subspace': 'subspace',
    'spectral_angle': 'spectra',
    'srf_matrix': 'srf',
    'srf_matrix_from_table': 'srf',
    'Subspace': 'subspace',
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_LAZY[name]}', __name__), name)
