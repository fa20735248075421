# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A sample as a GeoTIFF, e.g. to look at it in QGIS or to hand it on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from .._typing import BoolArray, PathLike
from ..errors import BandMismatchError, MetadataError
from ..io import CubeWriter
from ..physics import BandSet


def write_sample(
    path: PathLike,
    sample: Mapping[str, Any],
    crs: Any = None,
    *,
    key: str = 'image',
    **options: Any,
) -> Path:
    """Write a sample as a GeoTIFF that :class:`HSICube` reads as the same sample.

    Numbers are written as they are, in their data type (half precision as float32),
    with wavelengths and widths (to seven digits), and the place of the sample. Pixels
    that are not valid keep their numbers in the file, and a mask hides them: they are
    read as pixels without data. Times, masks and labels are not in the file.

    Args:
        path: File to write (``.tif``), a Cloud Optimized GeoTIFF.
        sample: Sample with ``image`` of shape ``(C, H, W)``, and maybe ``valid`` of
            shape ``(H, W)``, ``wavelength`` and ``fwhm`` in micrometres, and
            ``transform``.
        crs: CRS of the place: ``dataset.crs``. That of the sample by default, if it has
            one.
        key: Which cube, such as ``'prediction'`` or ``'target'``; it has the bands of
            the sample if their number fits.
        **options: More arguments of :class:`~torchgeo_hsi.io.CubeWriter`, such as
            ``overwrite=True``, or ``bands`` with names.

    Returns:
        The file.

    Raises:
        BandMismatchError: If there is no cube of that shape, but e.g. a batch.
        MetadataError: If the sample has a place, and nothing says its CRS, or there is
            no such key.
        OutputError: If the file exists and is not to be overwritten, or cannot be
            written.

    Example:
        .. code-block:: python

            dataset = EnMAPL2A('data')
            sample = dataset[dataset.bounds]
            write_sample('sample.tif', sample, dataset.crs)
            HSICube('sample.tif')[0]  # the same image, bands and place
    """
    values = _cube(sample, key)
    crs = sample.get('crs') if crs is None else crs
    place = sample.get('transform')
    if place is not None and crs is None:
        raise MetadataError(
            'The sample has a place, and nothing says in which CRS. Pass crs=dataset.crs, '
            'or take "transform" out of the sample.'
        )
    options.setdefault('bands', _bands(sample, len(values)))
    options.setdefault(
        'transform', None if place is None else Affine(*_numbers(place)[:6])
    )
    count, height, width = values.shape
    shape = (count, height, width)
    with CubeWriter(path, shape, values.dtype, crs, **options) as out:
        mask = _mask(sample, (height, width))
        out.write(Window(0, 0, width, height), values, mask)
    return Path(path)


def _cube(sample: Mapping[str, Any], key: str) -> NDArray[Any]:
    """Return the numbers of a cube."""
    if key not in sample:
        raise MetadataError(
            f'The sample has no {key!r}, but {", ".join(map(str, sample))}. Name one of '
            'these as key=.'
        )
    tensor = torch.as_tensor(sample[key]).detach().cpu()
    if tensor.ndim != 3:
        raise BandMismatchError(
            f'Expected {key!r} of one sample, of shape (C, H, W), got '
            f'{tuple(tensor.shape)}. Of a batch, write one sample after the other: '
            'torchgeo.datasets.unbind_samples(batch).'
        )
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    values: NDArray[Any] = tensor.numpy()
    return values


def _numbers(tensor: Any) -> list[float]:
    """Return the numbers of a tensor, such as a transform of 6 or of 3 x 3."""
    found: list[float] = torch.as_tensor(tensor).double().flatten().tolist()
    return found


def _bands(sample: Mapping[str, Any], count: int) -> BandSet | None:
    """Return the bands of a sample, if they are those of its cube."""
    wavelength, fwhm = sample.get('wavelength'), sample.get('fwhm')
    if wavelength is None or len(wavelength) != count:
        return None
    return BandSet(
        np.array(_numbers(wavelength)),
        None if fwhm is None else np.array(_numbers(fwhm)),
        tuple(f'B{number}' for number in range(1, count + 1)),
    )


def _mask(sample: Mapping[str, Any], size: tuple[int, int]) -> BoolArray | None:
    """Return where there are data, unless that is everywhere."""
    valid = sample.get('valid')
    if valid is None:
        return None
    if isinstance(valid, Tensor):
        valid = valid.detach().cpu().numpy()
    mask: BoolArray = np.asarray(valid, dtype=bool)
    if mask.shape != size:
        raise BandMismatchError(
            f'Expected valid of shape {size}, as the image has, got {mask.shape}.'
        )
    return None if mask.all() else mask
