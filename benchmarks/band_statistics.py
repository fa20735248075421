# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band statistics in one pass, against a plain loop of torch operations.

Cubes of 202 bands lie in memory, of whole numbers in float32, as datasets give them, a
fifth of the pixels without data. The plain loop adds up sums, squares and products in
float64. Both take turns with the same cubes, and medians of the processor time are
compared, so that a busy machine slows both. torch has no quantiles of a stream: there,
the plain loop sorts all cubes together, which takes memory without a bound. The last
line is one JSON object: megabytes of float32 in a second, and how much faster this
package is, with the difference from numpy in float64 with all pixels at once.

    python benchmarks/band_statistics.py --quick
    python benchmarks/band_statistics.py --out
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from common import finish, header, option_parser
from scipy.ndimage import gaussian_filter
from torch import Tensor

from torchgeo_hsi.io import read_statistics_file, write_statistics_file
from torchgeo_hsi.physics import RunningStatistics

BANDS, SIZE = 202, 256

type Cubes = list[tuple[Tensor, Tensor]]


def make(count: int, seed: int) -> Cubes:
    """Simulate cubes: smooth spectra, smooth maps and noise, whole numbers."""
    rng = np.random.default_rng(seed)
    spectra = rng.normal(size=(BANDS, 5)).cumsum(axis=0)
    spectra /= np.abs(spectra).max()
    cubes = []
    for _ in range(count):
        maps = [gaussian_filter(rng.normal(size=(SIZE, SIZE)), 3) for _ in range(5)]
        image = 2000 + 6000 * np.tensordot(spectra, np.stack(maps), 1)
        image += 40 * rng.normal(size=image.shape)
        image = np.rint(image.clip(1, 15000)).astype(np.float32)
        valid = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 8) > -0.03
        cubes.append((torch.from_numpy(image), torch.from_numpy(valid)))
    return cubes


def plain(cubes: Cubes, products: bool, quantiles: bool) -> dict[str, Tensor]:
    """Add up sums in a plain loop."""
    count = 0
    total = torch.zeros(BANDS, dtype=torch.float64)
    square = torch.zeros((BANDS, BANDS) if products else BANDS, dtype=torch.float64)
    kept = []
    low = torch.full((BANDS,), torch.inf)
    high = -low
    for image, valid in cubes:
        pixels = image[:, valid]
        low = torch.minimum(low, pixels.amin(1))
        high = torch.maximum(high, pixels.amax(1))
        if quantiles:
            kept.append(pixels)
        values = pixels.double()
        count += values.shape[1]
        total += values.sum(1)
        square += values @ values.T if products else values.square().sum(1)
    mean = total / count
    found = {'mean': mean, 'low': low, 'high': high}
    if products:
        found['covariance'] = square / count - torch.outer(mean, mean)
        found['std'] = found['covariance'].diag().sqrt()
    else:
        found['std'] = (square / count - mean.square()).sqrt()
    if quantiles:
        # torch.quantile refuses more than 16 million numbers
        rows = torch.cat(kept, 1).sort(1).values
        found['quantiles'] = rows[:, [round(q * (count - 1)) for q in (0.01, 0.99)]]
    return found


def ours(cubes: Cubes, products: bool, quantiles: bool) -> RunningStatistics:
    """Compute the same with this package."""
    running = RunningStatistics(products, 0.001 if quantiles else None)
    for image, valid in cubes:
        running.update(image.numpy(), valid.numpy())
    return running


def race(work: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Return the median processor time of each, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(turns + 1):
        for name, function in work.items():
            start = time.process_time()
            function()
            # the first turn imports and fills tables
            if turn:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def errors(cubes: Cubes) -> dict[str, float]:
    """Compare with numpy, all pixels at once."""
    pixels = np.concatenate([c[:, v].numpy() for c, v in cubes], 1).astype(np.float64)
    summary = ours(cubes, True, True).summary()
    assert summary.covariance is not None
    sloppy = plain([(c[:, :], v) for c, v in cubes], False, False)
    deviations = pixels - pixels.mean(1, keepdims=True)
    matrix = deviations @ deviations.T / pixels.shape[1]
    exact = np.quantile(pixels, list(summary.quantiles), axis=1, method='lower')
    found = np.stack(list(summary.quantiles.values()))
    std = deviations.std(1)
    return {
        'mean': float(np.abs(summary.mean / pixels.mean(1) - 1).max()),
        'std': float(np.abs(summary.std / std - 1).max()),
        'std_plain': float(np.abs(sloppy['std'].numpy() / std - 1).max()),
        'covariance': float((np.abs(summary.covariance - matrix) / matrix.max()).max()),
        'quantiles': float(np.abs(found / exact - 1).max()),
    }


def file_megabytes(cubes: Cubes) -> float:
    """Return the size of the file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'stats.json'
        write_statistics_file(path, ours(cubes[:1], True, True).summary())
        read_statistics_file(path)
        return os.path.getsize(path) / 1e6


def main() -> None:
    """Run the benchmark."""
    args = option_parser('band_statistics', __doc__).parse_args()
    torch.set_num_threads(args.threads)
    cubes = make(1 if args.quick else 3, args.seed)
    megabytes = sum(image.nbytes for image, _ in cubes) / 1e6
    rows = {}
    for name, products, quantiles in (
        ('moments', False, False),
        ('with covariance', True, False),
        ('with quantiles', False, True),
        ('all', True, True),
    ):
        flags = (products, quantiles)
        times = race(
            {
                'plain': lambda flags=flags: plain(cubes, *flags),  # type: ignore[misc]
                'ours': lambda flags=flags: ours(cubes, *flags),  # type: ignore[misc]
            },
            3 if args.quick else 7,
        )
        rows[name] = {
            'plain_mb_s': round(megabytes / times['plain'], 1),
            'ours_mb_s': round(megabytes / times['ours'], 1),
            'speedup': round(times['plain'] / times['ours'], 2),
        }
        print(name, rows[name], flush=True)
    result = header('band_statistics', args) | {
        'rows': rows,
        'relative_errors': errors(cubes),
        'file_megabytes': round(file_megabytes(cubes), 2),
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
