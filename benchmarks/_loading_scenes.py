# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random crops from large compressed scenes: ours, torchgeo's, rasterio's, a memmap.

Scenes are simulated EnMAP images in the layout of the archive (tiles of 512 x 512,
deflate, predictor 2, band by band), beside each other. Every contender runs in a process
of its own with cold handles and an empty cache of GDAL, which may hold a tenth of the
pixels: an archive is larger than any cache. Files are in the page cache. Ours goes
through whole epochs, from before the workers start to the last batch.
"""

import glob
import multiprocessing
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.datasets import EnMAP, stack_samples
from torchgeo.samplers import RandomPatchSampler

from torchgeo_hsi.datasets import EnMAPL2A, RegionCrops
from torchgeo_hsi.io import simulate_enmap

SIZE, BATCH = 128, 4
#: Options of GDAL, by layout; the first is that of the archive.
LAYOUTS: dict[str, dict[str, Any]] = {
    'tiles of 512, deflate': {'blockxsize': 512, 'blockysize': 512},
    'tiles of 512, zstd': {'blockxsize': 512, 'blockysize': 512, 'compress': 'zstd'},
    'tiles of 512, deflate, pixel': {
        'blockxsize': 512,
        'blockysize': 512,
        'interleave': 'pixel',
    },
    'tiles of 128, deflate': {'blockxsize': 128, 'blockysize': 128},
    'strips of 4 rows, deflate': {'tiled': False, 'blockysize': 4},
}
NAME = (
    'ENMAP01-____L2A-DT{0:010d}_202307{1:02d}T104512Z_001_V010303_20230716T104512Z-'
    'SPECTRAL_IMAGE.TIF'
)


def simulate(folder: Path, side: int, seed: int) -> Path:
    """Simulate a scene and return its spectral image."""
    root = simulate_enmap(folder / 'simulated', side, seed, footprint=False)
    return next(root.glob('*-SPECTRAL_IMAGE.TIF'))


def write_scenes(folder: Path, image: Path, layout: str, count: int) -> Path:
    """Write scenes of a layout, beside each other."""
    target = folder / layout.replace(' ', '_').replace(',', '')
    target.mkdir(parents=True)
    with rasterio.open(image) as src:
        profile = {k: v for k, v in src.profile.items() if not k.startswith('block')}
        profile |= {'tiled': True, 'compress': 'deflate', 'predictor': 2}
        profile |= {'interleave': 'band', 'BIGTIFF': 'IF_SAFER', **LAYOUTS[layout]}
        first = target / NAME.format(0, 1)
        with rasterio.open(first, 'w', **profile) as dst:
            dst.write(src.read())
        place, width = src.transform, src.width
    for number in range(1, count):
        path = target / NAME.format(number, number + 1)
        shutil.copyfile(first, path)
        with rasterio.open(path, 'r+') as dst:
            dst.transform = place @ Affine.translation(number * width, 0)
    return target


def scenes(folder: Path) -> list[str]:
    """List the scenes of a folder."""
    return sorted(glob.glob(f'{folder}/*.TIF'))


class Windows(Dataset[dict[str, Tensor]]):
    """Random windows, read by rasterio from files that stay open, or from memmaps."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        """Open the bands that torchgeo's EnMAP reads."""
        dataset = EnMAP(folder)
        self.bands: list[int] = dataset.band_indexes
        self.paths = [str(path) for path in dataset.files]
        self.sources: dict[str, Any] = {}
        rng = np.random.default_rng(seed)
        self.places = rng.random((count, 3))

    def open(self, path: str) -> tuple[Any, int, int]:
        """Open a file once in each process; return it with its height and width."""
        if path not in self.sources:
            src = rasterio.open(path)
            self.sources[path] = src, src.height, src.width
        return self.sources[path]

    def read(self, src: Any, row: int, column: int) -> np.ndarray:
        """Read a window."""
        return src.read(self.bands, window=Window(column, row, SIZE, SIZE))

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Read a window as float32."""
        scene, y, x = self.places[index]
        src, height, width = self.open(self.paths[int(scene * len(self.paths))])
        row, column = int(y * (height - SIZE + 1)), int(x * (width - SIZE + 1))
        image = self.read(src, row, column).astype(np.float32)
        return {'image': torch.from_numpy(image)}


class Memmaps(Windows):
    """The same from uncompressed files, which is the limit."""

    def open(self, path: str) -> tuple[Any, int, int]:
        """Map a file; all scenes are the same numbers."""
        array = np.load(Path(path).parent.parent / 'raw.npy', mmap_mode='r')
        return array, *array.shape[1:]

    def read(self, src: Any, row: int, column: int) -> np.ndarray:
        """Copy a window."""
        return src[:, row : row + SIZE, column : column + SIZE]


def ours(
    folder: Path, workers: int, crops: float, seed: int, **options: Any
) -> Iterator[int]:
    """Go through an epoch of our crops."""
    generator = torch.Generator().manual_seed(seed)
    dataset = RegionCrops(
        EnMAPL2A(folder), SIZE, crops, batch_size=BATCH, generator=generator, **options
    )
    for batch in DataLoader(dataset, batch_size=None, num_workers=workers):
        yield len(batch['image'])


def torchgeos(folder: Path, workers: int, count: int, seed: int) -> Iterator[int]:
    """Draw crops with torchgeo."""
    torch.manual_seed(seed)
    dataset = EnMAP(folder)
    sampler = RandomPatchSampler(dataset, size=SIZE, length=count)
    yield from _loop(
        DataLoader(
            dataset,
            BATCH,
            sampler=sampler,
            num_workers=workers,
            collate_fn=stack_samples,
        )
    )


def windows(folder: Path, workers: int, count: int, seed: int) -> Iterator[int]:
    """Draw windows with rasterio."""
    yield from _loop(
        DataLoader(Windows(folder, count, seed), BATCH, num_workers=workers)
    )


def memmaps(folder: Path, workers: int, count: int, seed: int) -> Iterator[int]:
    """Draw windows from memory maps."""
    yield from _loop(
        DataLoader(Memmaps(folder, count, seed), BATCH, num_workers=workers)
    )


def _loop(loader: Iterable[dict[str, Tensor]]) -> Iterator[int]:
    for batch in loader:
        yield len(batch['image'])


def run(
    function: Callable[..., Iterator[int]], *args: Any, cache: int = 0, **options: Any
) -> dict[str, float]:
    """Run a contender in a process of its own.

    Args:
        function: The contender.
        *args: Its arguments.
        cache: Megabytes of GDAL's cache; its own choice if 0.
        **options: More arguments.

    Returns:
        Crops per second, and seconds of processor time for each crop.
    """
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    target = (sender, function, args, cache, options)
    process = context.Process(target=_child, args=target)
    process.start()
    sender.close()
    try:
        result: dict[str, float] = receiver.recv()
    finally:
        process.join()
    return result


def _child(
    sender: Any,
    function: Callable[..., Iterator[int]],
    args: Any,
    cache: int,
    options: Any,
) -> None:
    if cache:
        os.environ['GDAL_CACHEMAX'] = str(cache)
    torch.set_num_threads(1)
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    start, before = time.perf_counter(), _busy(kinds)
    number = sum(function(*args, **options))
    seconds = time.perf_counter() - start
    sender.send(
        {'per_second': number / seconds, 'busy': (_busy(kinds) - before) / number}
    )


def _busy(kinds: Iterable[int]) -> float:
    """Return the processor time of this process and the children that have ended."""
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def measure(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Measure everything about scenes.

    Args:
        folder: Empty folder for the scenes: 3 GB, or 1.5 GB if *quick*.
        quick: Whether to take one scene, one round and one worker.
        seed: Seed of scenes and crops.

    Returns:
        Figures, with ``scene_crops_vs_torchgeo``.
    """
    side, count, peers = (1024, 1, 5) if quick else (1024, 4, 24)
    image = simulate(folder, side, seed)
    archive = write_scenes(folder, image, next(iter(LAYOUTS)), count)
    with rasterio.open(image) as src:
        np.save(folder / 'raw.npy', src.read(EnMAP(archive).band_indexes))
    cache = max(64, count * side**2 * 404 // 10**7)
    print(f'{count} scenes of {side} x {side}, cache of GDAL {cache} MB', flush=True)
    results = {}
    for workers in (1,) if quick else (1, 2):
        results[f'{workers} workers'] = compare(
            archive, workers, peers, cache, 1 if quick else 2, seed
        )
    worst = min(result['vs_torchgeo_once'] for result in results.values())
    twice = min(result['vs_torchgeo_twice'] for result in results.values())
    found: dict[str, Any] = {
        'scene_crops_vs_torchgeo': {'once': worst, 'twice': twice},
        'scenes': results,
    }
    if not quick:
        found['layouts'] = layouts(folder, image, seed)
    return found


def compare(
    archive: Path, workers: int, peers: int, cache: int, rounds: int, seed: int
) -> dict[str, float]:
    """Compare all contenders, which take turns."""
    contenders: dict[str, Callable[[int], dict[str, float]]] = {
        'torchgeo': lambda s: run(torchgeos, archive, workers, peers, s, cache=cache),
        'once': lambda s: run(ours, archive, workers, 1.0, s),
        'rasterio': lambda s: run(windows, archive, workers, peers, s, cache=cache),
        'twice': lambda s: run(ours, archive, workers, 2.0, s),
        'memmap': lambda s: run(memmaps, archive, workers, 8 * peers, s),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in sorted(contenders, reverse=number % 2 == 1):
            found[name].append(contenders[name](seed + number))
    # the time of a crop is averaged, not the speed
    seconds = {k: fmean(1 / r['per_second'] for r in v) for k, v in found.items()}
    busy = {k: fmean(r['busy'] for r in v) for k, v in found.items()}
    result = {f'{name}_per_second': round(1 / s, 2) for name, s in seconds.items()}
    for peer in ('torchgeo', 'rasterio'):
        for mine in ('once', 'twice'):
            ratio = seconds[peer] / seconds[mine]
            result[f'vs_{peer}_{mine}'] = round(ratio, 1)
            ratio = busy[peer] / busy[mine]
            result[f'vs_{peer}_{mine}_processor'] = round(ratio, 1)
    print(f'{workers} workers: {result}', flush=True)
    return result


def layouts(folder: Path, image: Path, seed: int) -> dict[str, dict[str, float]]:
    """Compare with torchgeo in other layouts, one scene and one worker each."""
    results = {}
    for layout in LAYOUTS:
        scene = write_scenes(folder / 'layouts', image, layout, 1)
        peer = run(torchgeos, scene, 1, 12, seed, cache=64)
        mine = run(ours, scene, 1, 1.0, seed)
        results[layout] = {
            'torchgeo_per_second': round(peer['per_second'], 2),
            'once_per_second': round(mine['per_second'], 2),
            'ratio': round(mine['per_second'] / peer['per_second'], 1),
            'ratio_processor': round(peer['busy'] / mine['busy'], 1),
        }
        print(f'{layout}: {results[layout]}', flush=True)
        shutil.rmtree(scene)
    return results
