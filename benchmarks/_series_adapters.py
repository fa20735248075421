# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks that learn from EnMAP and see other sensors, for spectrum_series.py."""

import statistics
import time
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from _series_ground import IGNORE, Ground, add_noise, see, sensor_bands, simulate_ground
from torch import Tensor, nn

from torchgeo_hsi.models import (
    SeriesAdapter,
    SpectralAdapter,
    WavelengthAdapter,
    use_bands,
)
from torchgeo_hsi.physics import BandSet, srf_matrix
from torchgeo_hsi.physics.series import find_windows

CLASSES, PATCH, BATCH = 9, 16, 16
ADAPTERS = ('spectral', 'wavelength', 'series')
SENSORS = (
    'enmap',
    'enmap/3',
    'prisma',
    'emit',
    'sentinel2',
    'desis',
    'prisma, all bands',
)


class Statistics(NamedTuple):
    """Mean and standard deviation of the bands of EnMAP, in the training scenes."""

    mean: np.ndarray
    std: np.ndarray
    bands: BandSet

    def at(self, bands: BandSet) -> tuple[Tensor, Tensor]:
        """Carry them over to other bands, by linear interpolation."""
        return tuple(  # type: ignore[return-value]
            torch.tensor(np.interp(bands.wavelength, self.bands.wavelength, values))
            for values in (self.mean, self.std)
        )


class Network(nn.Module):
    """An adapter, and a small network behind it: scores of each pixel."""

    def __init__(self, kind: str, bands: BandSet) -> None:
        """Initialize a new Network instance."""
        super().__init__()
        layers = {'wavelength': WavelengthAdapter, 'series': SeriesAdapter}
        words = {'wavelength': bands.wavelength, 'fwhm': bands.fwhm}
        self.adapter: nn.Module = (
            SpectralAdapter(len(bands))
            if kind == 'spectral'
            else layers[kind](len(bands), **words)
        )
        self.body = nn.Sequential(
            nn.Conv2d(128, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, CLASSES, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute scores of shape (B, classes, H, W)."""
        return self.body(self.adapter(x))


def shown_bands(name: str, known: BandSet) -> BandSet:
    """Return the bands of a sensor where the training sensor has statistics."""
    sensor, _, everything = name.partition(', ')
    bands = sensor_bands(sensor)
    if everything:
        return bands
    use = np.zeros(len(bands), dtype=bool)
    for low, high in find_windows(known.wavelength):
        use |= (bands.wavelength > low - 0.005) & (bands.wavelength < high + 0.005)
    return bands.select(np.flatnonzero(use).tolist())


def view(ground: Ground, bands: BandSet, statistics_: Statistics, seed: int) -> Tensor:
    """See the ground by a sensor: standardized cube of shape (C, H, W)."""
    cube = add_noise(see(ground, bands), bands, np.random.default_rng(seed))
    mean, std = statistics_.at(bands)
    return ((torch.tensor(cube) - mean) / std).permute(2, 0, 1).float()


def resampled(
    ground: Ground, bands: BandSet, statistics_: Statistics, seed: int
) -> Tensor:
    """See the ground by a sensor, and resample to the bands of EnMAP by its SRF.

    Bands that the sensor does not cover get the mean of the training data.
    """
    target = statistics_.bands
    cube = add_noise(see(ground, bands), bands, np.random.default_rng(seed))
    if bands != target:
        cube = cube @ srf_matrix(bands, target, min_coverage=0).numpy().T
    mean, std = statistics_.at(target)
    image = (torch.tensor(cube) - mean) / std
    if bands != target:
        covered = np.zeros(len(target), dtype=bool)
        for low, high in find_windows(bands.wavelength):
            inside = (target.wavelength > low - 0.01) & (
                target.wavelength < high + 0.01
            )
            covered |= inside
        image[..., ~covered] = 0
    return image.permute(2, 0, 1).float()


def train(
    kind: str,
    cubes: list[Tensor],
    labels: list[Tensor],
    bands: BandSet,
    steps: int,
    seed: int,
) -> tuple[Network, float]:
    """Train on random patches of EnMAP; returns the network and the seconds."""
    torch.manual_seed(seed)
    network = Network(kind, bands)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    network.train()
    for _ in range(steps):
        x, y = [], []
        for _ in range(BATCH):
            i = int(rng.integers(len(cubes)))
            row, col = rng.integers(0, cubes[i].shape[1] - PATCH + 1, 2)
            part = slice(row, row + PATCH), slice(col, col + PATCH)
            x.append(cubes[i][:, *part])
            y.append(labels[i][part])
        loss = F.cross_entropy(
            network(torch.stack(x)), torch.stack(y), ignore_index=IGNORE
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval(), time.perf_counter() - start


def scores(
    network: Network, cube: Tensor, bands: BandSet, labels: Tensor
) -> dict[str, float]:
    """Compute overall accuracy, and F1 averaged over the classes that occur."""
    batch = {
        'wavelength': torch.tensor(bands.wavelength),
        'fwhm': torch.tensor(bands.fwhm),
    }
    with torch.inference_mode(), use_bands(network, batch):
        guess = network(cube[None])[0].argmax(0)
    known = labels != IGNORE
    pair = labels[known] * CLASSES + guess[known]
    matrix = torch.bincount(pair, minlength=CLASSES**2).view(CLASSES, CLASSES).double()
    hit, there = matrix.diagonal(), matrix.sum(1) > 0
    f1 = 2 * hit / (matrix.sum(0) + matrix.sum(1)).clamp(min=1)
    return {
        'oa': round(float(hit.sum() / matrix.sum()), 4),
        'f1': round(float(f1[there].mean()), 4),
    }


def compare(seeds: list[int], steps: int, size: int) -> dict[str, Any]:
    """Train each network on EnMAP, and show it the test ground by each sensor."""
    bands = sensor_bands('enmap')
    runs: dict[str, list[Any]] = {kind: [] for kind in ADAPTERS}
    for seed in seeds:
        grounds = [simulate_ground(1000 + 10 * seed + i, size) for i in range(4)]
        rng = np.random.default_rng(seed)
        seen = [add_noise(see(g, bands), bands, rng) for g in grounds[:3]]
        pixels = np.concatenate([s.reshape(-1, len(bands)) for s in seen])
        known = Statistics(pixels.mean(0), pixels.std(0), bands)
        mean, std = known.at(bands)
        cubes = [
            ((torch.tensor(s) - mean) / std).permute(2, 0, 1).float() for s in seen
        ]
        labels = [torch.tensor(g.labels) for g in grounds]
        for kind in ADAPTERS:
            network, seconds = train(kind, cubes, labels[:3], bands, steps, seed)
            row: dict[str, Any] = {'seconds': round(seconds, 1)}
            for name in SENSORS:
                other = shown_bands(name, bands)
                if kind == 'spectral':
                    cube, own = resampled(grounds[3], other, known, seed), bands
                else:
                    cube, own = view(grounds[3], other, known, seed), other
                row[name] = scores(network, cube, own, labels[3])
            runs[kind].append(row)
            found = '  '.join(f'{n} {row[n]["oa"]:.3f}' for n in SENSORS)
            print(f'seed {seed} {kind:11s} {seconds:6.1f} s   {found}', flush=True)
    return {'runs': runs, 'mean': {kind: _mean(rows) for kind, rows in runs.items()}}


def _mean(rows: list[Any]) -> dict[str, Any]:
    """Average scores over seeds, with the standard deviation."""
    result: dict[str, Any] = {}
    for name in SENSORS:
        values = [row[name]['oa'] for row in rows]
        result[name] = {
            'oa': round(float(np.mean(values)), 4),
            'std': round(float(np.std(values)), 4),
            'f1': round(float(np.mean([row[name]['f1'] for row in rows])), 4),
        }
    result['seconds'] = round(float(np.mean([row['seconds'] for row in rows])), 1)
    return result


def speed(size: int, repeats: int) -> dict[str, Any]:
    """Time the adapters in turns, for inference and for a training step."""
    bands = sensor_bands('enmap')
    adapters = {kind: Network(kind, bands).adapter for kind in ADAPTERS}
    x = torch.randn(1, len(bands), size, size)
    times: dict[str, dict[str, list[float]]] = {
        task: {kind: [] for kind in ADAPTERS} for task in ('infer', 'train')
    }
    for _ in range(repeats + 1):
        for kind, adapter in adapters.items():
            start = time.perf_counter()
            with torch.inference_mode():
                adapter.eval()(x)
            middle = time.perf_counter()
            adapter.train()(x).sum().backward()
            times['infer'][kind].append(middle - start)
            times['train'][kind].append(time.perf_counter() - middle)
    result: dict[str, Any] = {'input': list(x.shape)}
    for task, found in times.items():
        # the first turn pays for what is kept
        medians = {kind: statistics.median(t[1:]) for kind, t in found.items()}
        result[task] = {
            'ms': {kind: round(1e3 * t, 1) for kind, t in medians.items()},
            'faster_than_spectral': {
                kind: round(medians['spectral'] / t, 2) for kind, t in medians.items()
            },
        }
        print(task, result[task], flush=True)
    first = SeriesAdapter(wavelength=bands.wavelength + 1e-4, fwhm=bands.fwhm)
    start = time.perf_counter()
    first(x[..., :1, :1])
    result['new_bands_ms'] = round(1e3 * (time.perf_counter() - start), 1)
    return result
