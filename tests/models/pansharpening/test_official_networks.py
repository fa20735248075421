# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks for pansharpening against the official checkpoints."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models.pansharpening.networks import (
    PCAZPNN,
    dhp_darn,
    dip_hyperkite,
    hspenet,
    hyper_dsnet,
    hyperpnn,
    r_pnn,
)

#: Bands of the published checkpoints.
B = 159

OFFICIAL = os.environ.get('TORCHGEO_HSI_PANSHARPENING_WEIGHTS', '')

PLACES = ((0, 60, 60), (80, 120, 120), (158, 180, 17))

#: Mean, standard deviation and three pixels of what the published checkpoints make.
FORWARD: list[tuple[str, Callable[[Path], Any], list[float]]] = [
    (
        'HyperPNN',
        lambda path: hyperpnn(B, weights=path),
        [2416.6594, 2145.0819, 1814.4647, -822.7814, 6080.8569],
    ),
    (
        'HSpeNet',
        lambda path: hspenet(B, weights=path),
        [5670.5053, 1442.1480, 5310.6826, 4901.9878, 8048.3037],
    ),
    (
        'HyperDSNet',
        lambda path: hyper_dsnet(B, weights=path),
        [7250.5873, 3216.7823, 6554.5068, 1469.1899, 13514.1904],
    ),
    (
        'DHPDarn',
        lambda path: dhp_darn(B, as_published=True, weights=path),
        [561.5873, 1194.1127, -20.8169, -148.5820, 1394.5615],
    ),
]


def fuse(model: Any, crop: int = 192) -> Tensor:
    scene = golden_scene(B)
    up, pan, cube = (scene.batch(name).float() / 65536 for name in ('ms', 'pan', 'lr'))
    with torch.inference_mode():
        fused = model.eval().fuse(up[..., :crop, :crop], pan[..., :crop, :crop], cube)
    return fused[0].double() * 65536


@pytest.mark.skipif(not OFFICIAL, reason='needs the checkpoints of the toolbox')
@pytest.mark.parametrize(('folder', 'load', 'expected'), FORWARD)
def test_official_checkpoints(
    folder: str, load: Callable[[Path], Any], expected: list[float]
) -> None:
    fused = fuse(load(Path(OFFICIAL) / folder / 'weights' / 'PRISMA.tar'))
    found = [fused.mean(), fused.std(), *(fused[place] for place in PLACES)]
    # 0.01 digital numbers for the mean, and rounding of single precision for pixels
    assert [float(x) for x in found[:2]] == pytest.approx(expected[:2], abs=0.01)
    assert [float(x) for x in found[2:]] == pytest.approx(expected[2:], abs=0.05)


@pytest.mark.skipif(not OFFICIAL, reason='needs the checkpoints of the toolbox')
def test_official_hyperkite() -> None:
    path = Path(OFFICIAL) / 'DIPHyperKite' / 'weights' / 'PRISMA.tar'
    model = dip_hyperkite(B, weights=path)
    fused = fuse(model, 48)
    assert float(fused.mean()) == pytest.approx(9131.328, abs=0.01)
    assert float(fused[0, 20, 20]) == pytest.approx(7127.6948, abs=0.05)
    assert float(fused[158, 40, 7]) == pytest.approx(12565.7705, abs=0.05)


@pytest.mark.skipif(not OFFICIAL, reason='needs the checkpoints of the toolbox')
def test_official_r_pnn() -> None:
    model = r_pnn(1, weights=Path(OFFICIAL) / 'R_PNN' / 'weights' / 'PRISMA.tar')
    scene = golden_scene(B)
    up, pan = (scene.batch(name).float()[:, :1] / 65536 for name in ('ms', 'pan'))
    with torch.inference_mode():
        fused = model.eval().fuse(up, pan, up)[0, 0].double() * 65536
    assert float(fused.mean()) == pytest.approx(6552.4106, abs=0.01)
    assert float(fused[60, 60]) == pytest.approx(6258.0855, abs=0.05)
    error = (fused - torch.from_numpy(scene.gt[0])).square().mean().sqrt()
    assert float(error) == pytest.approx(322.038, abs=0.01)


@pytest.mark.skipif(not OFFICIAL, reason='needs the checkpoints of the toolbox')
def test_official_files_refuse_other_bands_and_the_corrected_darn() -> None:
    folder = Path(OFFICIAL)
    with pytest.raises(BandMismatchError, match='159 bands of PRISMA L2D'):
        hyperpnn(5, weights=folder / 'HyperPNN' / 'weights' / 'PRISMA.tar')
    with pytest.raises(CorruptFileError, match='as_published=True'):
        dhp_darn(B, weights=folder / 'DHPDarn' / 'weights' / 'PRISMA.tar')


def test_pca_z_pnn_has_two_networks_of_the_published_size() -> None:
    wavelength = np.linspace(0.46, 2.3, B)
    model = PCAZPNN(B, wavelength=wavelength)
    sizes = [sum(p.numel() for p in block.parameters()) for block in model.blocks]
    assert sizes == [51_396, 51_396]
    assert {k: tuple(v.shape) for k, v in model.blocks[1].state_dict().items()} == {
        'conv1.weight': (48, 5, 7, 7),
        'conv1.bias': (48,),
        'conv2.weight': (32, 48, 5, 5),
        'conv2.bias': (32,),
        'conv3.weight': (4, 32, 3, 3),
        'conv3.bias': (4,),
    }
