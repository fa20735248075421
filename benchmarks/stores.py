# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Formats of a training store: size, speed of random reads and of writing.

Patches of 202 x 128 x 128 int16 are cut from a simulated EnMAP scene, with the noise of
the instrument, and written in each format. Then the formats take turns, in a random
order, to read random batches of 16 with one thread; the arrays of a batch are kept until
it is complete, as a data loader does. Medians of the processor time are compared, of
which other programs take none; files are in the page cache. The last line is one JSON
object; formats whose package is not installed are left out.

With the real EnMAP tiles of Potsdam (TORCHGEO_HSI_DATA, see CONTRIBUTING.md), joined to
one patch, layouts and codecs are compared on these as well.

    python benchmarks/stores.py --quick
    python benchmarks/stores.py --out
"""

import argparse
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import _store_codecs
import numpy as np
from _store_formats import FORMATS, Read, installed
from common import finish, header, option_parser
from numpy.typing import NDArray
from rasterio.windows import Window

from torchgeo_hsi.io import CubeReader, open_cube, simulate_enmap

BATCH = 16
#: Seconds of reading after which slow formats take no more turns.
ENOUGH = 20.0
#: Bands in the water vapour, which the published data sets leave out.
LEFT_OUT = {f'B{i}' for i in (*range(127, 142), *range(161, 168))}


def kept_bands(reader: CubeReader) -> list[int]:
    """Return the 202 bands that are kept, in the order of wavelength."""
    bands = reader.info.bands
    assert bands is not None
    order = np.argsort(bands.wavelength)
    return [int(i) for i in order if bands.names[i] not in LEFT_OUT]


def simulated(folder: Path, side: int, seed: int) -> list[NDArray[np.int16]]:
    """Cut patches from a simulated scene.

    Args:
        folder: Where to simulate it.
        side: Patches along each side of the scene.
        seed: Its seed.

    Returns:
        The patches, with all pixels valid.
    """
    simulate_enmap(folder / 'scene', 128 * side, seed, footprint=False, compress=None)
    with open_cube(folder / 'scene') as reader:
        bands = kept_bands(reader)
        return [
            reader.read(bands, Window(column, row, 128, 128))[0].astype(np.int16)
            for row in range(0, 128 * side, 128)
            for column in range(0, 128 * side, 128)
        ]


def potsdam() -> list[NDArray[np.int16]]:
    """Join the real tiles of 32 x 32 pixels to a patch, and turn it."""
    default = Path(__file__).parents[1] / 'shared' / 'data'
    root = Path(os.environ.get('TORCHGEO_HSI_DATA', default)) / 'enmap_potsdam'
    found = {}
    for path in sorted(root.glob('images/*.tif')):
        place = re.search(r'_(\d+)_(\d+)\.tif$', path.name)
        if place:
            with open_cube(path) as reader:
                found[int(place[1]), int(place[2])] = reader.read(kept_bands(reader))[0]
    if len(found) != 16:
        return []
    tiles = np.stack([found[key] for key in sorted(found)]).astype(np.int16)
    joined = tiles.reshape(4, 4, -1, 32, 32).transpose(2, 0, 3, 1, 4)
    patch = joined.reshape(-1, 128, 128)
    return [np.ascontiguousarray(np.rot90(patch, k, (1, 2))) for k in range(4)]


def write_formats(
    folder: Path, patches: list[NDArray[np.int16]]
) -> tuple[dict[str, Read], dict[str, dict[str, Any]]]:
    """Write the patches in all formats.

    Args:
        folder: Where to write.
        patches: The patches.

    Returns:
        Readers, and figures, by the names of the formats.
    """
    readers, rows = {}, {}
    raw = sum(patch.nbytes for patch in patches)
    for name, (_, write) in FORMATS.items():
        if not installed(name):
            print(f'{name}: not installed, left out')
            continue
        place = folder / re.sub(r'\W+', '_', name)
        place.mkdir()
        start = time.perf_counter()
        readers[name] = write(place, patches)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in place.rglob('*') if path.is_file())
        rows[name] = {
            'size_share': round(size / raw, 3),
            'write_ms': round(1e3 * seconds / len(patches), 1),
        }
        for found, patch in zip(readers[name](range(BATCH)), patches, strict=False):
            assert np.array_equal(found, patch), name
    return readers, rows


def read_formats(
    readers: dict[str, Read], count: int, rounds: int, seed: int
) -> dict[str, list[float]]:
    """Read random batches in turns.

    Args:
        readers: Readers by the names of the formats.
        count: Number of patches.
        rounds: How often all patches are read by each.
        seed: Seed of the order.

    Returns:
        Seconds of processor time for a patch, of each batch.
    """
    rng = np.random.default_rng(seed)
    times: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(rounds + 1):
        order = rng.permutation(count).tolist()
        for start in range(0, count, BATCH):
            batch = order[start : start + BATCH]
            for name in rng.permutation(list(readers)).tolist():
                if BATCH * sum(times[name]) > ENOUGH:
                    continue
                begin = time.process_time()
                held = readers[name](batch)
                seconds = (time.process_time() - begin) / len(batch)
                del held
                if turn:
                    times[name].append(seconds)
    return times


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all parts."""
    side, copies, rounds = (2, 4, 3) if args.quick else (4, 6, 8)
    patches = simulated(folder, side, args.seed)
    print('layout, codec, size, ms to write, to decode, to bring to (C, H, W)')
    number = 1 if args.quick else 8
    codecs = {'simulated': _store_codecs.compare(patches[:number], rounds)}
    real = potsdam()
    if real:
        print('the same on the real tiles of Potsdam')
        codecs['potsdam'] = _store_codecs.compare(real[:number], rounds)
    patches = patches * copies
    patches = patches[: len(patches) // BATCH * BATCH]
    readers, rows = write_formats(folder, patches)
    times = read_formats(readers, len(patches), rounds, args.seed)
    limit = statistics.median(times['raw files'])
    print('format, size, ms to read, share of the rate of raw files, ms to write')
    for name, row in rows.items():
        median = statistics.median(times[name])
        row['read_ms'] = round(1e3 * median, 2)
        row['share_of_raw_rate'] = round(limit / median, 2)
        print(
            f'{name:36s}{row["size_share"]:7.3f}{row["read_ms"]:8.2f}'
            f'{row["share_of_raw_rate"]:7.2f}{row["write_ms"]:8.1f}',
            flush=True,
        )
    return {'patches': len(patches), 'formats': rows, 'codecs': codecs}


def main() -> None:
    """Run the benchmark."""
    args = option_parser('stores', __doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        finish({**header('stores', args), **run(args, Path(folder))}, args.out)


if __name__ == '__main__':
    main()
