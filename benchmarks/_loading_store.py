# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches of stored patches against bare numbers and against GeoTIFFs.

All are read in a random order by torch's data loader with 1 and 2 worker processes, and
give the same samples: an image of 202 x 128 x 128 as float32, with a mask.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from stores import simulated
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.datasets import StoredPatches
from torchgeo_hsi.datasets._store_samples import encode_samples, plan_store
from torchgeo_hsi.io.store import create_store, finish_store, write_shard

BATCH = 8
NODATA = -32768

type Sample = dict[str, Tensor]


class Files(Dataset[Sample]):
    """One file for each patch.

    Args:
        paths: The files.
        read: Reads one of them as int16 of shape (C, H, W).
        stored: Whether images stay int16.
    """

    def __init__(
        self,
        paths: list[Path],
        read: Callable[[Path], NDArray[np.int16]],
        stored: bool = False,
    ) -> None:
        self.paths = paths
        self.read = read
        self.stored = stored

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        image = torch.from_numpy(self.read(self.paths[index]))
        valid = torch.ones(image.shape[-2:], dtype=torch.bool)
        return {'image': image if self.stored else image.float(), 'valid': valid}


class Memmap(Files):
    """One file for all patches, mapped into memory."""

    def __init__(self, path: Path, shape: tuple[int, ...], stored: bool) -> None:
        array = np.memmap(path, np.int16, 'r', shape=shape)
        super().__init__([path] * len(array), lambda path: np.empty(0, np.int16))
        self.array = array
        self.stored = stored

    def __getitem__(self, index: int) -> Sample:
        part = self.array[index]
        values = np.array(part) if self.stored else part.astype(np.float32)
        valid = torch.ones(part.shape[-2:], dtype=torch.bool)
        return {'image': torch.from_numpy(values), 'valid': valid}


def from_file(path: Path) -> NDArray[np.int16]:
    """Read bare numbers."""
    return np.fromfile(path, np.int16).reshape(-1, 128, 128)


def by_rasterio(path: Path) -> NDArray[np.int16]:
    """Read a GeoTIFF as the published loaders do."""
    with rasterio.open(path) as src:
        values: NDArray[np.int16] = src.read()
        return values


def write(
    folder: Path, patches: list[NDArray[np.int16]]
) -> tuple[dict[str, Dataset[Sample]], float]:
    """Write the patches in all ways.

    Returns:
        Datasets by name, and the share of the store of the size of bare numbers.
    """
    raw = [folder / f'{i}.bin' for i in range(len(patches))]
    tiffs = [folder / f'{i}.tif' for i in range(len(patches))]
    bands, height, width = patches[0].shape
    with (folder / 'all.bin').open('wb') as file:
        for patch, bare, tiff in zip(patches, raw, tiffs, strict=True):
            patch.tofile(bare)
            file.write(patch.tobytes())
            with rasterio.open(
                tiff,
                'w',
                driver='GTiff',
                count=bands,
                height=height,
                width=width,
                dtype='int16',
                nodata=NODATA,
                interleave='pixel',
                transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6),
            ) as dst:
                dst.write(patch)
    # converted as any dataset is
    source = Files(raw, from_file)
    spec = plan_store(source, shard_mb=128)
    create_store(folder / 'store', spec)
    for shard in range(spec.shards):
        samples = [source[i] for i in spec.shard_range(shard)]
        write_shard(folder / 'store', shard, *encode_samples(spec, samples))
    finish_store(folder / 'store')
    files = [path for path in (folder / 'store').rglob('*') if path.is_file()]
    share = sum(p.stat().st_size for p in files) / sum(p.nbytes for p in patches)
    shape = (len(patches), *patches[0].shape)
    datasets: dict[str, Dataset[Sample]] = {
        'store': StoredPatches(folder / 'store'),
        'raw files': source,
        'memmap': Memmap(folder / 'all.bin', shape, stored=False),
        'rasterio': Files(tiffs, by_rasterio),
        'store int16': StoredPatches(folder / 'store', dtype='stored'),
        'raw files int16': Files(raw, from_file, stored=True),
        'memmap int16': Memmap(folder / 'all.bin', shape, stored=True),
    }
    first = datasets['raw files'][1]
    for name, dataset in datasets.items():
        assert torch.equal(dataset[1]['image'].float(), first['image']), name
        assert torch.equal(dataset[1]['valid'], first['valid']), name
    return datasets, share


def rate(dataset: Dataset[Sample], workers: int, seed: int) -> float:
    """Read all samples once, and return how many come in a second.

    The clock starts at the second batch, when all workers run.
    """
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )
    start, count = 0.0, 0
    for number, batch in enumerate(loader):
        if number:
            count += len(batch['image'])
        else:
            start = time.perf_counter()
    return count / (time.perf_counter() - start)


def measure(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Compare the rates of samples.

    Args:
        folder: An empty folder for the files.
        quick: Whether to take less than half a minute.
        seed: Seed of scene and order.

    Returns:
        ``store_vs_raw_limit``, the rate of the store by that of the faster of raw files
        and a memmap; ``store_vs_rasterio``, by that of the published loaders; both of
        the worse number of workers; ``store_size_share``, the size of the store by that
        of bare numbers; and ``patches``, all rates.
    """
    patches = simulated(folder, 2 if quick else 4, seed) * (12 if quick else 10)
    datasets, share = write(folder, patches)
    rounds = 3 if quick else 7
    rng = np.random.default_rng(seed)
    result: dict[str, Any] = {}
    for workers in (1, 2):
        rates: dict[str, list[float]] = {name: [] for name in datasets}
        for turn in range(rounds):
            for name in rng.permutation(list(datasets)).tolist():
                # the published loaders are so slow that one round says enough
                if name == 'rasterio' and turn > 1:
                    continue
                rates[name].append(rate(datasets[name], workers, seed + turn))
        median = {name: statistics.median(found) for name, found in rates.items()}
        result[str(workers)] = {
            'per_second': {name: round(value, 1) for name, value in median.items()},
            'vs_raw_limit': round(_share(median, ''), 2),
            'vs_raw_limit_int16': round(_share(median, ' int16'), 2),
            'vs_rasterio': round(median['store'] / median['rasterio'], 1),
        }
        print(
            f'{workers} workers, samples/s: '
            + ', '.join(f'{name} {value:.0f}' for name, value in median.items()),
            flush=True,
        )
    every = result.values()
    return {
        'store_vs_raw_limit': min(found['vs_raw_limit'] for found in every),
        'store_vs_rasterio': min(found['vs_rasterio'] for found in every),
        'store_size_share': round(share, 3),
        'patches': result,
    }


def _share(median: dict[str, float], kind: str) -> float:
    limit = max(median[f'raw files{kind}'], median[f'memmap{kind}'])
    return median[f'store{kind}'] / limit
