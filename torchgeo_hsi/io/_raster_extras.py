# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a raster says besides its numbers, for a raster that is made of it."""

from dataclasses import dataclass
from typing import Any

from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.rpc import RPC

#: Tags by domain; ``''`` is the domain of the user.
type Domains = dict[str, dict[str, str]]

#: Domains that survive in a Cloud Optimized GeoTIFF, the second one of bands only. GDAL's
#: driver can be told to copy others, but then drops the tags of the bands.
_DOMAINS = ('', 'IMAGERY')

#: Tags that are wrong as soon as a number changes, in lower case.
_OF_NUMBERS = {'tifftag_minsamplevalue', 'tifftag_maxsamplevalue', 'actual_range'}

#: Tags that are written anew where the spectral axis is known, in lower case.
_SPECTRAL = {
    *('wavelength', 'wavelengths', 'fwhm', 'bbl', 'central_wavelength_um', 'fwhm_um'),
    *('wavelength_units', 'wavelength_unit', 'wavelength units'),
}

#: Names that rasterio cannot write, because its function has such arguments.
_ARGUMENTS = {'ns', 'bidx'}


@dataclass(frozen=True)
class RasterExtras:
    """Tags, ground control points and the like.

    Args:
        tags: Tags of the file.
        band_tags: Tags of each band.
        gcps: Ground control points.
        gcp_crs: Their coordinate reference system.
        rpcs: Rational polynomial coefficients, or None.
        units: Unit of each band, or None.
        alpha: Bands that say where there are data, from 0.
    """

    tags: Domains
    band_tags: tuple[Domains, ...]
    gcps: tuple[GroundControlPoint, ...]
    gcp_crs: CRS | None
    rpcs: RPC | None
    units: tuple[str | None, ...]
    alpha: tuple[int, ...]


def read_extras(src: DatasetReader, alpha: tuple[int, ...] = ()) -> RasterExtras:
    """Collect what a raster says, without what holds for its very numbers only.

    Args:
        src: The open file.
        alpha: Bands that say where there are data, from 0.

    Returns:
        The findings.
    """
    points, crs = src.gcps
    return RasterExtras(
        tags=_domains(src, 0),
        band_tags=tuple(_domains(src, band) for band in src.indexes),
        gcps=tuple(points),
        gcp_crs=crs,
        rpcs=src.rpcs,
        units=src.units,
        alpha=alpha,
    )


def write_extras(dataset: Any, extras: RasterExtras, spectral: bool) -> None:
    """Write them to an open raster.

    Args:
        dataset: Raster that is open for writing, without pixels as yet.
        extras: What to write.
        spectral: Whether the spectral axis is written by itself.
    """
    if extras.alpha:
        kinds = [ColorInterp.gray, *[ColorInterp.undefined] * (dataset.count - 1)]
        for band in extras.alpha:
            kinds[band] = ColorInterp.alpha
        dataset.colorinterp = kinds
    if extras.gcps:
        dataset.gcps = list(extras.gcps), extras.gcp_crs
    if extras.rpcs is not None:
        dataset.rpcs = extras.rpcs
    if any(extras.units):
        dataset.units = tuple(unit or '' for unit in extras.units)
    for band, domains in enumerate((extras.tags, *extras.band_tags)):
        for name, tags in domains.items():
            kept = {
                key: value
                for key, value in tags.items()
                if not (spectral and key.strip().lower() in _SPECTRAL)
            }
            if kept:
                dataset.update_tags(band, ns=name or None, **kept)


def _domains(src: DatasetReader, band: int) -> Domains:
    """Read the tags of a band, or with 0 those of the file."""
    found: Domains = {}
    for name in _DOMAINS:
        tags = src.tags(band, ns=name or None)
        kept = {key: value for key, value in tags.items() if _is_lasting(key)}
        if kept:
            found[name] = kept
    return found


def _is_lasting(key: str) -> bool:
    """Tell whether a tag still holds when the numbers have changed."""
    name = key.lower()
    is_statistic = name.startswith('statistics_') or name in _OF_NUMBERS
    return not is_statistic and key not in _ARGUMENTS
