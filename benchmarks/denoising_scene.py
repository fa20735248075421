# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole scenes through ``restore_scene``: peak memory, time, and what tiles change.

Memory: simulated EnMAP scenes of 202 bands, int16, each method in a process of its own,
imports included. The copy is a method that does nothing, so it shows what reading,
blending and writing take, and whether that grows with the scene.

Seam: a scene is denoised in tiles and in one piece, and the difference is compared with
what the method has changed at all. Networks that pool over the image are run with the
statistics of the scene, and with those of each tile. The default of ``restore denoise``
has the weights that ship; other networks have random ones that keep the variance, which
is the worst case. The last line is one JSON object.

    python benchmarks/denoising_scene.py --quick
    python benchmarks/denoising_scene.py --out --side 1024
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import finish, header, option_parser
from rasterio.windows import Window
from torch import nn

from torchgeo_hsi.io import CubeWriter, open_cube, simulate_enmap, write_cog
from torchgeo_hsi.models import get_model
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.scenes import restore_scene

#: Largest peak memory in MiB of a scene of 1,024 x 1,024 pixels and 202 bands.
LIMIT = 2500

NETWORKS = ('hsdt_s', 'man_s', 'man_v1_s')
#: Restored at full size, the default of ``restore denoise`` last.
WHOLE = ('svd', 'pretrained_subspace')
SEAMS = (*NETWORKS, *WHOLE, 'hyres')
#: Rows, columns and bands of the seam, and its tiles.
SEAM = {'side': 192, 'bands': 24, 'tile_size': 96, 'overlap': 32}


class Copy(nn.Module):
    """Does nothing."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image."""
        return image


def build(method: str, num_bands: int) -> tuple[nn.Module, str]:
    """Build a method; return it and the name of its weights."""
    if method == 'copy':
        return Copy(), 'none'
    if method not in NETWORKS:
        shipped = method == 'pretrained_subspace'
        return get_model(method), 'shipped' if shipped else 'none'
    torch.manual_seed(0)
    bands = {'num_bands': num_bands} if 'hsdt' in method else {}
    return keep_variance(get_model(method, **bands)), 'random'


def keep_variance(model: nn.Module) -> nn.Module:
    """Draw weights that neither shrink nor blow up what passes through."""
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim > 1:
            drawn = torch.randn(value.shape, generator=generator)
            value.copy_(drawn * (value.shape[0] / value.numel()) ** 0.5)
    return model.eval()


def make_scene(folder: Path, side: int, seed: int) -> Path:
    """Simulate a scene and keep the 202 bands that are commonly used."""
    product = simulate_enmap(folder / f'product_{side}', side, seed, footprint=False)
    path = folder / f'scene_{side}.tif'
    with open_cube(product) as reader:
        info = reader.info
        kept = set(get_sensor('enmap').default_bands)
        indexes = [i for i, name in enumerate(info.bands.names) if name in kept]
        with CubeWriter(
            path,
            (len(indexes), side, side),
            'int16',
            info.crs,
            info.transform,
            info.nodata,
            bands=info.bands.select([info.bands.names[i] for i in indexes]),
        ) as out:
            for row in range(0, side, 64):
                window = Window(0, row, side, min(64, side - row))
                out.write(window, reader._read_raw(indexes, window))
    return path


def child(method: str, source: str, output: str) -> None:
    """Restore a scene in this process, and print what it took."""
    model, weights = build(method, 202)
    start = time.perf_counter()
    restore_scene(model, source, output, overwrite=True)
    seconds = time.perf_counter() - start
    # kilobytes, but bytes on macOS
    unit = 2**20 if sys.platform == 'darwin' else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    figures = {
        'weights': weights,
        'peak_mib': round(peak),
        'seconds': round(seconds, 1),
    }
    print(json.dumps(figures))


def measure_memory(method: str, scene: Path, side: int) -> dict[str, Any]:
    """Restore a scene in a new process."""
    output = scene.with_name('out.tif')
    command = [sys.executable, __file__, '--child', method, str(scene), str(output)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    output.unlink()
    print(
        f'{method:19s} {side:5d} x {side:<5d} x 202: peak {figures["peak_mib"]:5d} MiB, '
        f'{figures["seconds"]:.0f} s (weights: {figures["weights"]})',
        flush=True,
    )
    return {'side': side, **figures}


def measure_seam(method: str, scene: Path, folder: Path) -> dict[str, Any]:
    """Compare tiles with the scene in one piece."""
    side, bands = SEAM['side'], SEAM['bands']
    with open_cube(scene) as reader:
        chosen = list(range(0, 202, 202 // bands))[:bands]
        values, _ = reader.read(chosen, Window(0, 0, side, side))
    source = write_cog(folder / 'crop.tif', values, overwrite=True)
    model, weights = build(method, bands)

    def run(**options: int) -> np.ndarray:
        path = restore_scene(
            model, source, folder / 'out.tif', overwrite=True, **options
        )
        with open_cube(path) as restored:
            found, _ = restored.read()
        return found

    whole = run(tile_size=side, overlap=0)
    change = float((whole - values).std())
    found: dict[str, Any] = {'weights': weights, 'change_std': round(change, 2)}
    tiles = {'tile_size': SEAM['tile_size'], 'overlap': SEAM['overlap']}
    needs_scene = bool(getattr(model, 'needs_scene', False))
    for kind in ('scene', 'tile') if needs_scene else ('scene',):
        if needs_scene:
            model.needs_scene = kind == 'scene'
        error = np.abs(run(**tiles) - whole) / change
        found[f'{kind}_mean'] = float(f'{error.mean():.3g}')
        found[f'{kind}_max'] = float(f'{error.max():.3g}')
        print(
            f'{method:19s} seam, statistics of the {kind}: mean {error.mean():.1e}, '
            f'largest {error.max():.1e} of what it changes ({change:.1f} x 1e-4; '
            f'weights: {weights})',
            flush=True,
        )
    return found


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('denoising_scene', __doc__)
    parser.add_argument('--side', type=int, default=1024)
    parser.add_argument('--network-side', type=int, default=192)
    parser.add_argument('--folder', type=Path, help='for the scenes; temporary')
    parser.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        child(*args.child)
        return
    os.environ['OMP_NUM_THREADS'] = str(args.threads)
    small, large = (128, 192) if args.quick else (256, args.side)
    memory: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        scenes = {s: make_scene(folder, s, args.seed) for s in {small, large}}
        memory['copy'] = [measure_memory('copy', scenes[s], s) for s in (small, large)]
        for method in WHOLE[:1] if args.quick else WHOLE:
            memory[method] = [measure_memory(method, scenes[large], large)]
        seam = {}
        for method in () if args.quick else (*NETWORKS, 'hyres'):
            side = args.network_side
            scenes.setdefault(side, folder / f'scene_{side}.tif')
            if not scenes[side].exists():
                make_scene(folder, side, args.seed)
            memory[method] = [measure_memory(method, scenes[side], side)]
        for method in WHOLE[:1] if args.quick else SEAMS:
            seam[method] = measure_seam(method, scenes[large], folder)
    peak = max(case['peak_mib'] for cases in memory.values() for case in cases)
    result = {
        **header('denoising_scene', args),
        'limit_mib': LIMIT,
        'peak_mib': peak,
        'memory': memory,
        'seam_of': SEAM,
        'seam': seam,
        'passed': peak < LIMIT,
    }
    finish(result, args.out)
    if not result['passed']:
        sys.exit(1)


if __name__ == '__main__':
    main()
