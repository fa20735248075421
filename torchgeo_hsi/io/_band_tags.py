# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a GeoTIFF says about its bands and classes, in tags that others read too."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BandMismatchError
from ..physics import BandSet

#: Colors as red, green, blue and optionally alpha, 0 to 255, by class code.
type Colormap = Mapping[int, tuple[int, ...]]


def check_bands(
    count: int,
    dtype: np.dtype[Any],
    names: Sequence[str] | None,
    bands: BandSet | None,
    colormap: Colormap | None,
) -> None:
    """Check that what describes the bands fits their number and type.

    Args:
        count: Number of bands.
        dtype: Data type on disk.
        names: Band descriptions.
        bands: Spectral axis.
        colormap: Colors by class code.

    Raises:
        BandMismatchError: If something does not fit.
    """
    for what, values in (('band descriptions', names), ('bands', bands)):
        if values is not None and len(values) != count:
            raise BandMismatchError(f'Expected {count} {what}, got {len(values)}.')
    if colormap is not None and (count != 1 or dtype not in (np.uint8, np.uint16)):
        raise BandMismatchError(
            'A colormap needs one band of uint8 or uint16, got '
            f'{count} band(s) of {dtype}.'
        )


def write_spectral_tags(dataset: Any, bands: BandSet | None) -> None:
    """Write centers, widths and good-band flags to the bands of an open raster.

    Args:
        dataset: Raster that is open for writing.
        bands: Its spectral axis; without one, nothing is written.
    """
    if bands is None:
        return
    for i, center in enumerate(bands.wavelength):
        text = f'{center:.7g}'
        tags = {'wavelength': text, 'wavelength_units': 'Micrometers'}
        imagery = {'CENTRAL_WAVELENGTH_UM': text}
        if bands.fwhm is not None:
            tags['fwhm'] = imagery['FWHM_UM'] = f'{bands.fwhm[i]:.7g}'
        tags['bbl'] = str(int(bands.good[i]))
        dataset.update_tags(i + 1, **tags)
        dataset.update_tags(i + 1, ns='IMAGERY', **imagery)


def write_class_tags(
    dataset: Any,
    colormap: Colormap | None,
    class_names: Mapping[int, str] | None,
    nodata: float | None,
) -> None:
    """Write colors and names of classes to the first band of an open raster.

    Args:
        dataset: Raster that is open for writing.
        colormap: Colors by class code; nodata is transparent unless it has a color.
        class_names: Names by class code.
        nodata: Value of pixels without data.
    """
    if colormap is not None:
        table = {code: tuple(color) for code, color in colormap.items()}
        if nodata is not None:
            table.setdefault(int(nodata), (0, 0, 0, 0))
        dataset.write_colormap(1, table)
    if class_names is not None:
        text = json.dumps({str(code): name for code, name in class_names.items()})
        dataset.update_tags(1, class_names=text)
