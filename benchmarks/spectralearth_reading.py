# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reading SpectralEarth patches: ours, the plain rasterio loop and the bare bytes.

Writes simulated patches of 202 x 128 x 128 int16 in several layouts and reads them with
one thread, as a worker of a data loader does. Readers take turns in a random order, each
with all files in a row, so that a busy machine slows all of them; medians of the
processor time are compared, of which other programs take none. Files are in the page
cache, but more than fit into the processor's: the ratios are those of the readers, not
of the disk. The ratios behind "mixed" are of turns after each file, where every reader
starts with the cache full of the others' data. The last line is one JSON object.

    python benchmarks/spectralearth_reading.py --quick
    python benchmarks/spectralearth_reading.py --out
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
import torch
from common import finish, header, option_parser
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from torch import Tensor

from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.io import read_tiff, read_tiff_float

SHAPE = (202, 128, 128)
NODATA = -32768
#: Share of locations with several dates, as in SpectralEarth.
SEVERAL = 0.175
#: What the files of SpectralEarth are, then what else a copy of them may be.
LAYOUTS: dict[str, dict[str, Any]] = {
    'pixel': {'interleave': 'pixel'},
    'band deflate': {'interleave': 'band', 'compress': 'deflate', 'predictor': 2},
    'band zstd': {'interleave': 'band', 'compress': 'zstd', 'predictor': 2},
    'pixel zstd': {'interleave': 'pixel', 'compress': 'zstd', 'predictor': 2},
    'pixel tiled': {
        'interleave': 'pixel',
        'tiled': True,
        'blockxsize': 64,
        'blockysize': 64,
    },
}


def patch(rng: np.random.Generator) -> np.ndarray:
    """Simulate a patch: smooth spectra, smooth maps and noise."""
    bands, height, width = SHAPE
    maps = np.stack(
        [gaussian_filter(rng.normal(size=(height, width)), 3) for _ in range(5)]
    )
    maps /= maps.std(axis=(1, 2), keepdims=True)
    spectra = rng.normal(size=(bands, 5)).cumsum(axis=0)
    spectra /= np.abs(spectra).max()
    image = 2000 + 600 * np.tensordot(spectra, maps, 1)
    image += 40 * rng.normal(size=SHAPE)
    return image.clip(1, 15000).astype(np.int16)


def write(path: Path, image: np.ndarray, options: dict[str, Any]) -> None:
    """Write a patch."""
    bands, height, width = image.shape
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=bands,
        height=height,
        width=width,
        dtype=image.dtype,
        nodata=NODATA,
        crs='EPSG:32632',
        transform=Affine(30, 0, 5e5, 0, -30, 5e6),
        **options,
    ) as dst:
        dst.write(image)


def by_rasterio(path: Path) -> Tensor:
    """Read as the published loaders do."""
    with rasterio.open(path) as src:
        return torch.from_numpy(src.read())


def by_rasterio_float(path: Path) -> Tensor:
    """Read as the published downstream loaders do; nodata stays as it is."""
    with rasterio.open(path) as src:
        return torch.from_numpy(src.read().astype(np.float32))


def by_us(path: Path) -> Tensor:
    """Read with torchgeo-hsi."""
    return torch.from_numpy(read_tiff(path))


def by_us_float(path: Path) -> tuple[Tensor, Tensor]:
    """Read with torchgeo-hsi as float32; nodata becomes 0, and a mask comes with it."""
    values, valid = read_tiff_float(path)
    return torch.from_numpy(values), torch.from_numpy(valid)


def raw_bytes(path: Path) -> np.ndarray:
    """Read the bytes."""
    return np.fromfile(path, np.uint8)


READERS: dict[str, Callable[[Path], Any]] = {
    'rasterio int16': by_rasterio,
    'ours int16': by_us,
    'rasterio float32': by_rasterio_float,
    'ours float32': by_us_float,
    'bytes': raw_bytes,
}


def turns(
    calls: dict[str, Callable[[Any], Any]],
    items: list[Any],
    rounds: int,
    rng: np.random.Generator,
    in_a_row: bool = True,
) -> dict[str, float]:
    """Time calls in turns, in a random order.

    Args:
        calls: What to time, by name.
        items: What to call them with.
        rounds: How often to go through the items, after once that does not count.
        rng: Random numbers.
        in_a_row: Whether it is the next one's turn after all items; else after one,
            so that the others empty the processor's cache between two calls.

    Returns:
        Median processor time of a call in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, count = list(calls), len(items)
    for turn in range(rounds + 1):
        for portion in [range(count)] if in_a_row else [[i] for i in range(count)]:
            for i in rng.permutation(len(names)).tolist():
                for place in portion:
                    # not the file that another reader has just read
                    item = items[(place + i * count // len(names)) % count]
                    start = time.process_time()
                    calls[names[i]](item)
                    if turn:
                        times[names[i]].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def ratio(seconds: dict[str, float], other: str, ours: str) -> float:
    """Return how many times as fast as another reader ours is."""
    return round(seconds[other] / seconds[ours], 2)


def compare_layout(
    name: str, folder: Path, patches: list[np.ndarray], rounds: int, seed: int
) -> dict[str, Any]:
    """Time all readers on one layout, after a check that they agree."""
    paths = [folder / f'{name.replace(" ", "_")}_{i}.tif' for i in range(len(patches))]
    for path, image in zip(paths, patches, strict=True):
        write(path, image, LAYOUTS[name])
        assert np.array_equal(by_us(path).numpy(), image)
        assert torch.equal(by_us_float(path)[0], by_rasterio_float(path))
    rng = np.random.default_rng(seed)
    median = turns(READERS, paths, rounds, rng)
    mixed = turns(READERS, paths, rounds, rng, in_a_row=False)
    row = {
        'megabytes': round(statistics.mean(p.stat().st_size for p in paths) / 1e6, 2),
        'ms': {reader: round(1e3 * t, 3) for reader, t in median.items()},
        'int16_vs_rasterio': ratio(median, 'rasterio int16', 'ours int16'),
        'float_vs_rasterio': ratio(median, 'rasterio float32', 'ours float32'),
        'share_of_raw_limit': ratio(median, 'bytes', 'ours int16'),
        'mixed': {
            'ms': {reader: round(1e3 * t, 3) for reader, t in mixed.items()},
            'int16_vs_rasterio': ratio(mixed, 'rasterio int16', 'ours int16'),
            'float_vs_rasterio': ratio(mixed, 'rasterio float32', 'ours float32'),
        },
    }
    print(
        f'{name:13s} {row["megabytes"]:5.2f} MB'
        + ''.join(f'{1 / median[reader]:9.0f}' for reader in READERS)
        + f'{row["int16_vs_rasterio"]:9.1f}{row["float_vs_rasterio"]:7.1f}'
        + f'{row["mixed"]["int16_vs_rasterio"]:8.1f}'
        + f'{row["mixed"]["float_vs_rasterio"]:7.1f}',
        flush=True,
    )
    return row


def make_tree(
    folder: Path, locations: int, rng: np.random.Generator
) -> tuple[Path, list[list[Path]]]:
    """Make a tree as SpectralEarth's, of hard links to a few patches.

    Args:
        folder: Folder with the patches.
        locations: Number of locations.
        rng: Random numbers.

    Returns:
        The root, and the files of each location.
    """
    sources = sorted(folder.glob('pixel_*.tif'))
    root = folder / 'tree'
    several = rng.permutation(np.arange(locations) < round(SEVERAL * locations))
    files = []
    for i, two in enumerate(several.tolist()):
        place = root / 'enmap' / f'{i:07d}'
        place.mkdir(parents=True)
        files.append([place / f'{scene:05d}.tif' for scene in range(1 + two)])
        for number, path in enumerate(files[-1]):
            os.link(sources[(i + number) % len(sources)], path)
    return root, files


def compare_datasets(
    root: Path, files: list[list[Path]], number: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Time samples of the dataset against the published way to read them."""
    stored = {'root': root, 'dtype': 'int16'}
    single, pair = (
        SpectralEarth(**stored, timestamps=kind) for kind in ('first', 'pair')
    )
    real = SpectralEarth(root, timestamps='first')
    calls: dict[str, dict[str, Callable[[int], Any]]] = {
        'single': {
            'rasterio': lambda i: by_rasterio(files[i][0]),
            'ours': lambda i: single[i],
        },
        'float': {
            'rasterio': lambda i: by_rasterio_float(files[i][0]),
            'ours': lambda i: real[i],
        },
        # always two reads, also of a location with one date
        'pair': {
            'rasterio': lambda i: [by_rasterio(files[i][k]) for k in (0, -1)],
            'ours': lambda i: pair[i],
        },
    }
    result: dict[str, Any] = {'items': number}
    for name, readers in calls.items():
        seconds = dict.fromkeys(readers, 0.0)
        # a median would forget the few locations with two dates: one for each kind
        for dates, share in ((1, 1 - SEVERAL), (2, SEVERAL)):
            items = [i for i, of in enumerate(files) if len(of) == dates]
            items = items[: max(8, round(number * share))]
            for reader, value in turns(readers, items, 1, rng).items():
                seconds[reader] += share * value
        times = ratio(seconds, 'rasterio', 'ours')
        result[name] = {
            'ms': {reader: round(1e3 * value, 3) for reader, value in seconds.items()},
            'vs_rasterio': times,
        }
        print(
            f'SpectralEarth, {name:6s}: {1 / seconds["rasterio"]:4.0f} samples/s with '
            f'rasterio, {1 / seconds["ours"]:4.0f} with ours, {times} times as many',
            flush=True,
        )
    return result


def open_tree(root: Path, locations: int) -> dict[str, Any]:
    """Time the first opening of a tree, which lists it, and the later ones."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        dataset = SpectralEarth(root, dtype='int16')
        seconds.append(time.perf_counter() - start)
    assert len(dataset) == locations
    figures = {
        'locations': locations,
        'first_seconds': round(seconds[0], 3),
        'seconds': round(statistics.median(seconds[1:]), 3),
    }
    print(
        f'opening {locations} locations: {figures["seconds"]} s from the manifest, '
        f'{figures["first_seconds"]} s the first time'
    )
    return figures


def memory(root: Path, folder: Path, items: int) -> dict[str, Any]:
    """Read samples, and files of all layouts, and see whether the memory grows."""
    dataset = SpectralEarth(root, dtype='int16')
    process = psutil.Process()
    paths = sorted(folder.glob('*.tif'))
    seen = []
    for i in range(items):
        if i % 10:
            dataset[i * 7919 % len(dataset)]
        else:
            by_us_float(paths[i // 10 % len(paths)])
        if i % 50 == 49:
            seen.append(process.memory_info().rss / 2**20)
    # the first tenth fills the heap and the caches of GDAL
    tenth = max(1, len(seen) // 10)
    figures = {
        'items': items,
        'start_mib': round(max(seen[:tenth]), 1),
        'end_mib': round(seen[-1], 1),
        'growth_mib': round(max(seen[tenth:]) - max(seen[:tenth]), 1),
    }
    print(
        f'memory over {items} items: {figures["start_mib"]} MiB at most in the first '
        f'tenth, {figures["growth_mib"]} MiB more at most in the rest'
    )
    return figures


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all parts."""
    rng = np.random.default_rng(args.seed)
    number, rounds = (4, 1) if args.quick else (16, 8)
    locations, samples, items = (
        (20_000, 40, 300) if args.quick else (400_000, 400, 10_000)
    )
    patches = [patch(rng) for _ in range(number)]
    print(
        f'items/s{"":16s} rasterio     ours rasterio     ours    bytes  '
        'times as fast       mixed\n'
        f'{"":23s}{"int16":>9s}{"int16":>9s}{"float32":>9s}{"float32":>9s}'
        f'{"":9s}{"int16":>9s}{"float":>7s}{"int16":>8s}{"float":>7s}'
    )
    layouts = {
        name: compare_layout(name, folder, patches, rounds, args.seed)
        for name in LAYOUTS
    }
    root, files = make_tree(folder, locations, rng)
    opening = open_tree(root, locations)
    samples_of = compare_datasets(root, files, samples, rng)
    # a new process: growth would hide in what the others have left in the heap
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        flat = pool.apply(memory, (root, folder, items))
    return {
        'single_vs_rasterio': layouts['pixel']['int16_vs_rasterio'],
        'float_vs_rasterio': layouts['pixel']['float_vs_rasterio'],
        'pair_vs_rasterio': samples_of['pair']['vs_rasterio'],
        'share_of_raw_limit': layouts['pixel']['share_of_raw_limit'],
        'layouts': layouts,
        'dataset': samples_of,
        'opening': opening,
        'memory': flat,
    }


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('spectralearth_reading', __doc__)
    parser.add_argument('--folder', type=Path, help='for the files; temporary')
    parser.set_defaults(threads=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        result = run(args, Path(name))
    finish(header('spectralearth_reading', args) | result, args.out)


if __name__ == '__main__':
    main()
