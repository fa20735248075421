# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Peak memory of whole-scene prediction against the size of the scene.

Predicts a small and a large simulated EnMAP strip of 202 bands, each in a process of
its own: a land-cover map with torchgeo's own SemanticSegmentation and our EnMAPL2A, and
a 202-band float32 cube, of which nothing but the writer takes memory. The large strip
may take at most 1.2 times the memory of the small one. The last line is one JSON object.

    python benchmarks/predict_memory.py --quick
    python benchmarks/predict_memory.py --out        # 40 GB of disk in --folder
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import finish, header, option_parser

LIMIT = 1.2
TILE, OVERLAP, BATCH = 256, 32, 2
NODATA = -32768


class Memory:
    """Largest resident memory of this process, in MiB."""

    def __init__(self) -> None:
        """Start to sample the memory ten times a second."""
        import psutil

        self._process = psutil.Process()
        self.sampled = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Return the memory at this moment."""
        return float(self._process.memory_info().rss) / 2**20

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.sampled = max(self.sampled, self.now())

    def stop(self) -> dict[str, float]:
        """Return what was seen, and what the system has seen."""
        self._stop.set()
        self._thread.join()
        # kilobytes, but bytes on macOS
        unit = 2**20 if sys.platform == 'darwin' else 2**10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {'peak_mib': round(peak), 'sampled_peak_mib': round(self.sampled)}


def spectra(seed: int, bands: int) -> np.ndarray:
    """Return a small cube: mixtures of four smooth spectra, reflectance x 10 000."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 1, bands)
    pure = 600 + 4000 * np.abs(np.sin(np.outer(rng.uniform(1, 4, 4), grid)))
    coarse = rng.dirichlet(np.ones(4), (9, 9))
    weights = coarse.repeat(32, 0).repeat(32, 1)[:TILE, :TILE]
    cube = np.einsum('ijk,kc->cij', weights, pure)
    return (cube + rng.normal(0, 30, cube.shape)).astype('float32')


def variation(row: int, col: int) -> float:
    """Return the brightness of a tile, so that no two of a strip are alike."""
    return 0.7 + 0.3 * abs(np.sin(0.37 * row + 0.73 * col))


def make_strip(path: Path, size: int, seed: int) -> None:
    """Write a strip as EnMAP delivers it: 202 bands, int16, with an oblique border."""
    import rasterio
    from rasterio.windows import Window

    from torchgeo_hsi.io._band_tags import write_spectral_tags
    from torchgeo_hsi.physics import get_sensor

    sensor = get_sensor('enmap')
    bands = sensor.bands.select(sensor.default_bands).by_wavelength()
    cube = spectra(seed, len(bands))
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        width=size,
        height=size,
        count=len(bands),
        dtype='int16',
        nodata=NODATA,
        crs='EPSG:32633',
        transform=rasterio.Affine(30, 0, 366975, 0, -30, 5805165),
        tiled=True,
        blockxsize=TILE,
        blockysize=TILE,
        interleave='pixel',
        BIGTIFF='IF_SAFER',
    ) as strip:
        write_spectral_tags(strip, bands)
        for row in range(0, size, TILE):
            for col in range(0, size, TILE):
                block = (cube * variation(row, col)).astype('int16')
                rows, cols = np.ogrid[row : row + TILE, col : col + TILE]
                block[:, cols < 0.1 * rows] = NODATA
                strip.write(block, window=Window(col, row, TILE, TILE))


def predict_map(path: Path, output: Path, size: int, seed: int) -> dict[str, Any]:
    """Predict a land-cover map with torchgeo's own task and trainer."""
    import torch
    from torchgeo.tasks import SemanticSegmentation

    from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
    from torchgeo_hsi.datamodules import EnMAPL2ADataModule

    torch.manual_seed(seed)
    data = EnMAPL2ADataModule(
        predict_paths=str(path),
        patch_size=TILE,
        overlap=OVERLAP,
        batch_size=BATCH,
        statistics='spectral_earth',
    )
    task = SemanticSegmentation(
        model='fcn', in_channels=202, task='multiclass', num_classes=6, num_filters=8
    )
    return run(GeoTIFFCubeWriter(output, overlap=OVERLAP // 2), task, data)


def predict_cube(path: Path, output: Path, size: int, seed: int) -> dict[str, Any]:
    """Write a float32 cube of as many bands; tiles are made on the spot."""
    import lightning.pytorch as pl
    import torch
    from torch.utils.data import DataLoader, Dataset

    from torchgeo_hsi.callbacks import GeoTIFFCubeWriter

    bands = int(path.name)
    cube = torch.from_numpy(spectra(seed, bands))
    stride = TILE - OVERLAP
    starts = range(0, size - OVERLAP, stride)
    # from the bottom to the top, as torchgeo's sampler
    places = [(row, col) for row in reversed(starts) for col in starts]

    class Tiles(Dataset[dict[str, torch.Tensor]]):
        res = (30.0, 30.0)
        bounds = (slice(0.0, 30.0 * size), slice(-30.0 * size, 0.0), slice(0, 1))
        crs = 'EPSG:32633'

        def __len__(self) -> int:
            return len(places)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row, col = places[index]
            transform = torch.tensor([30.0, 0, 30 * col, 0, -30, -30 * row])
            image = cube * variation(row, col)
            return {'image': image, 'transform': transform}

    class Identity(pl.LightningModule):
        def predict_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return batch['image']

    writer = GeoTIFFCubeWriter(output, output='cube', overlap=OVERLAP // 2)
    return run(writer, Identity(), DataLoader(Tiles(), batch_size=1))


def run(writer: Any, task: Any, data: Any) -> dict[str, Any]:
    """Predict, and say what it took."""
    import lightning.pytorch as pl

    memory = Memory()
    base = memory.now()
    start = time.perf_counter()
    trainer = pl.Trainer(
        accelerator='cpu',
        logger=False,
        callbacks=[writer],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.predict(task, data)
    seconds = time.perf_counter() - start
    return {
        **memory.stop(),
        'before_mib': round(base),
        'seconds': round(seconds, 1),
        'output_mb': round(writer.output_path.stat().st_size / 1e6, 2),
        'nodata_share': nodata_share(writer.output_path),
    }


def nodata_share(path: Path) -> float:
    """Return the share of pixels without a prediction: 0.05 of the strip, 0 of the cube."""
    import rasterio

    with rasterio.open(path) as src:
        mask = src.read_masks(1, out_shape=(256, 256))
    return round(float((mask == 0).mean()), 3)


TASKS = {'map': predict_map, 'cube': predict_cube}


def child(kind: str, path: str, output: str, size: str, seed: str) -> None:
    """Do one prediction in this process, and print its figures."""
    print(json.dumps(TASKS[kind](Path(path), Path(output), int(size), int(seed))))


def in_process(*arguments: Any) -> dict[str, Any]:
    """Do one prediction in a new process."""
    command = [sys.executable, __file__, '--child', *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(
    kind: str, sizes: tuple[int, int], bands: int, folder: Path, seed: int
) -> dict[str, Any]:
    """Predict a small and a large strip, and compare their memory."""
    found: dict[str, Any] = {'sizes': list(sizes), 'bands': bands}
    for name, size in zip(('small', 'large'), sizes, strict=True):
        # the cube needs no file, only the number of bands
        path = folder / (f'strip_{size}.tif' if kind == 'map' else str(bands))
        output = folder / f'{kind}_{size}.tif'
        if kind == 'map':
            make_strip(path, size, seed)
        found[name] = figures = in_process(kind, path, output, size, seed)
        for file in (path, output):
            file.unlink(missing_ok=True)
        print(
            f'{kind:5s} {size:5d} x {size:<5d} x {bands} bands: peak '
            f'{figures["peak_mib"]:5d} MiB ({figures["before_mib"]} before), '
            f'{figures["seconds"]:.0f} s',
            flush=True,
        )
    found['ratio'] = round(found['large']['peak_mib'] / found['small']['peak_mib'], 3)
    found['growth_mib'] = found['large']['peak_mib'] - found['small']['peak_mib']
    print(f'{kind:5s} ratio {found["ratio"]} (at most {LIMIT})', flush=True)
    return found


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('predict_memory', __doc__)
    parser.add_argument('--small', type=int, default=1024)
    parser.add_argument('--large', type=int, default=4096)
    parser.add_argument('--cube-bands', type=int, default=202)
    parser.add_argument('--folder', type=Path, help='for the strips; temporary')
    parser.add_argument('--child', nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    # the processes that predict inherit it
    os.environ['OMP_NUM_THREADS'] = str(args.threads)
    sizes = (512, 1024) if args.quick else (args.small, args.large)
    bands = 32 if args.quick else args.cube_bands
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free / 1e9
        print(f'{free:.0f} GB are free in {folder}', flush=True)
        cases = {
            kind: compare(
                kind, sizes, 202 if kind == 'map' else bands, folder, args.seed
            )
            for kind in (['map'] if args.quick else TASKS)
        }
    result: dict[str, Any] = {
        **header('predict_memory', args),
        'tile': TILE,
        'overlap': OVERLAP,
        'limit': LIMIT,
        **cases,
        'passed': all(case['ratio'] <= LIMIT for case in cases.values()),
    }
    finish(result, args.out)
    if not result['passed']:
        sys.exit(1)


if __name__ == '__main__':
    main()
