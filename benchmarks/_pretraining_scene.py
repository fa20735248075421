# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Windows to pretrain on, and labelled pixels to probe with, for pretraining.py."""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from torchgeo_hsi.datasets import (
    EnMAPL2A,
    LabelRaster,
    SimulatedEnMAP,
    block_pixel_split,
)
from torchgeo_hsi.physics import BandSet, get_sensor, resample

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

CLASSES = (1, 2, 3, 4, 5, 6)
IGNORE = 255
#: Networks see parts of windows of so many pixels; tests keep their distance of it.
WINDOW = 8
SHARES = {'train': 0.5, 'test': 0.5}
TRIALS = 8


class Scene(NamedTuple):
    """The tiles of Potsdam at their places."""

    image: Tensor
    valid: Tensor
    labels: NDArray[np.int64]
    wavelength: Tensor
    fwhm: Tensor


def read_scene() -> Scene:
    """Read all tiles on one grid."""
    folder = DATA / 'enmap_potsdam'
    both = EnMAPL2A(folder / 'images') & LabelRaster(folder / 'labels', CLASSES, IGNORE)
    sample = both[both.bounds]
    labels = sample['mask'].numpy()
    valid = sample['valid'].bool()
    labels[~valid.numpy()] = IGNORE
    image = sample['image'].masked_fill(~valid, 0)
    return Scene(image, valid, labels, sample['wavelength'], sample['fwhm'])


class Split(NamedTuple):
    """Blocks of training and of test, apart by a window."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    near: NDArray[np.bool_]


def split_blocks(scene: Scene, seed: int) -> Split:
    """Split the labelled pixels by blocks.

    Returns:
        Label maps of both parts, and which pixels a training window may show: those
        that are nearer to a training than to a test pixel, and never a test pixel.
    """
    from scipy.ndimage import distance_transform_edt

    source = torch.Generator().manual_seed(seed)
    split = block_pixel_split(
        scene.labels,
        WINDOW,
        SHARES,
        ignore_index=IGNORE,
        generator=source,
        trials=TRIALS,
    )
    train, test = (split.select(name, IGNORE) for name in ('train', 'test'))
    far = distance_transform_edt(test == IGNORE)
    close = distance_transform_edt(train == IGNORE)
    return Split(train, test, np.asarray(close < far))


class Windows(Dataset[dict[str, Tensor]]):
    """Normalized windows without labels."""

    def __init__(self, images: Tensor, valid: Tensor, scene: Scene) -> None:
        """Initialize a new Windows instance."""
        self.images, self.valid = images, valid
        self.wavelength, self.fwhm = scene.wavelength, scene.fwhm

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a window."""
        return {
            'image': self.images[index],
            'valid': self.valid[index],
            'wavelength': self.wavelength,
            'fwhm': self.fwhm,
        }


class Statistics(NamedTuple):
    """By what images are normalized."""

    mean: Tensor
    std: Tensor

    def apply(self, image: Tensor, valid: Tensor) -> Tensor:
        """Normalize images of shape ``(..., C, H, W)``; 0 where nothing is valid."""
        scaled = (image - self.mean[:, None, None]) / self.std[:, None, None]
        return scaled.masked_fill(~valid.unsqueeze(-3), 0)


def statistics_of(image: Tensor, valid: Tensor) -> Statistics:
    """Compute the statistics of the valid pixels of ``(C, H, W)``."""
    pixels = image[:, valid].double()
    std, mean = torch.std_mean(pixels, dim=1)
    return Statistics(mean.float(), std.clamp(min=1e-3).float())


def _cut(image: Tensor, valid: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Cut windows of which at least 60 % are valid."""
    found = image.unfold(1, WINDOW, step).unfold(2, WINDOW, step)
    here = valid.unfold(0, WINDOW, step).unfold(1, WINDOW, step)
    chosen = here.float().mean((-2, -1)) >= 0.6
    return found.permute(1, 2, 0, 3, 4)[chosen].clone(), here[chosen].clone()


def simulated(scene: Scene, count: int) -> list[Tensor]:
    """Simulate scenes and give them the bands of the tiles."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count):
            data = SimulatedEnMAP(
                Path(folder) / str(seed),
                size=128,
                seed=100 + seed,
                cloud_cover=0.0,
                footprint=False,
            )
            sample = data[data.bounds]
            source = BandSet(sample['wavelength'].numpy(), sample['fwhm'].numpy())
            found.append(to_bands(sample['image'], source, bands_of(scene)))
    return found


def bands_of(scene: Scene) -> BandSet:
    """Return the bands of the tiles."""
    return BandSet(scene.wavelength.numpy(), scene.fwhm.numpy())


def to_bands(image: Tensor, source: BandSet, target: BandSet) -> Tensor:
    """Resample images ``(C, H, W)`` to the bands of another sensor."""
    return resample(image, source, target).float()


def sensor_bands(name: str, scene: Scene) -> BandSet:
    """Return the bands of a sensor that have bands of the tiles on both sides."""
    bands = get_sensor(name).default_bandset
    apart = bands.wavelength[:, None] - scene.wavelength.double().numpy()[None]
    reach = 0.015  # micrometres: more than the distance of two bands of EnMAP
    below = ((apart >= 0) & (apart < reach)).any(axis=1)
    above = ((apart <= 0) & (apart > -reach)).any(axis=1)
    inside = below & above
    return BandSet(bands.wavelength[inside], bands.fwhm[inside])


def pretraining_windows(
    scene: Scene, split: Split, extra: list[Tensor]
) -> tuple[Windows, Statistics]:
    """Cut windows out of the training blocks and of simulated scenes.

    Returns:
        The windows, real ones at every fourth pixel, and the statistics of the training
        blocks. Simulated scenes are moved to the same mean and spread.
    """
    shown = scene.valid & torch.from_numpy(split.near)
    own = statistics_of(scene.image, shown)
    image, valid = _cut(own.apply(scene.image, shown), shown, 4)
    images, valids = [image], [valid]
    for other in extra:
        every = torch.ones(other.shape[1:], dtype=torch.bool)
        scaled = statistics_of(other, every).apply(other, every)
        image, valid = _cut(scaled, every, WINDOW)
        images.append(image)
        valids.append(valid)
    return Windows(torch.cat(images), torch.cat(valids), scene), own
