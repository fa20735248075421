# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which pixels a simulated scene hands to which region."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
import torch

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.io import EnMAPL2AReader

SIZE, GAP, NODATA = 64, 4, -32768

#: Columns of the regions, by hand: 60 and 75 % of 64 are 38.4 and 48, minus half gaps.
COLUMNS = {'train': (0, 36), 'val': (40, 46), 'test': (50, 64)}

type Split = Literal['train', 'val', 'test']

Make = Callable[..., SimulatedEnMAPDataModule]


def image_file(root: Path) -> Path:
    (path,) = root.glob('*-SPECTRAL_IMAGE.TIF')
    return path


def layer(root: Path, part: str) -> np.ndarray:
    (path,) = root.glob(f'*-{part}.TIF')
    with rasterio.open(path) as src:
        return np.asarray(src.read(1))


def kept_bands(root: Path) -> list[int]:
    """Find the bands outside of the water vapour windows in the file."""
    gone = {f'B{i}' for i in (*range(127, 142), *range(161, 168))}
    with EnMAPL2AReader(image_file(root)) as reader:
        assert reader.info.bands is not None
        return [i for i, n in enumerate(reader.info.bands.names) if n not in gone]


def stored(root: Path) -> np.ndarray:
    with rasterio.open(image_file(root)) as src:
        return np.asarray(src.read())


def clear(root: Path) -> np.ndarray:
    """Return where all kept bands have data and nothing is flagged, by the files."""
    valid = (stored(root)[kept_bands(root)] != NODATA).all(axis=0)
    for part in ('CLOUD', 'CLOUDSHADOW', 'HAZE'):
        valid &= layer(root, f'QL_QUALITY_{part}') == 0
    # 1 is thin, 2 medium, 3 thick
    return np.asarray(valid & (layer(root, 'QL_QUALITY_CIRRUS') < 3))


def inside(split: Split) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[:, slice(*COLUMNS[split])] = True
    return mask


def place(dataset: SimulatedEnMAP, transform: torch.Tensor) -> tuple[int, int]:
    """Find row and column of a sample."""
    x, y, _ = dataset.bounds
    column = (float(transform[2]) - x.start) / 30
    row = (y.stop - float(transform[5])) / 30
    assert column == int(column)
    assert row == int(row)
    return int(row), int(column)


def gather(
    dataset: SimulatedEnMAP, batches: Iterable[dict[str, torch.Tensor]]
) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each pixel is valid, and collect the labels seen there."""
    # windows may reach over the scene on all sides
    pad = 64
    hits = np.zeros((SIZE + 2 * pad,) * 2, dtype=int)
    labels = np.full(hits.shape, -1)
    for batch in batches:
        for valid, mask, transform in zip(
            batch['valid'].numpy(),
            batch['mask'].numpy(),
            batch['transform'],
            strict=True,
        ):
            row, column = (v + pad for v in place(dataset, transform))
            window = (
                slice(row, row + valid.shape[0]),
                slice(column, column + valid.shape[1]),
            )
            hits[window] += valid
            labels[window] = np.where(valid, mask, labels[window])
    scene = (slice(pad, pad + SIZE),) * 2
    outside = hits.copy()
    outside[scene] = 0
    assert not outside.any()
    return hits[scene], labels[scene]
