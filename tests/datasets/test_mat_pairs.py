# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs in MATLAB files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datasets import MatPairs
from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnitError

RNG = np.random.default_rng(0)
CLEAN = RNG.random((7, 5, 4)).astype(np.float32)
NOISY = CLEAN + RNG.normal(0, 0.1, CLEAN.shape).astype(np.float32)


def write(path: Path, **arrays: Any) -> Path:
    scipy.io.savemat(path, arrays)
    return path


def is_equal(tensor: Tensor, array: np.ndarray) -> bool:
    return np.array_equal(tensor.numpy(), array.transpose(2, 0, 1))


def test_pairs(tmp_path: Path) -> None:
    write(tmp_path / 'b.mat', input=NOISY, gt=CLEAN, sigma=30.0)
    write(tmp_path / 'a.mat', input=CLEAN, gt=NOISY)
    (tmp_path / 'notes.txt').write_text('no cube')
    pairs = MatPairs(tmp_path)
    assert len(pairs) == 2
    assert 'sigma' not in pairs[0]
    sample = pairs[1]
    assert is_equal(sample['image'], NOISY)
    assert is_equal(sample['target'], CLEAN)
    assert sample['valid'].all()
    assert sample['sigma'].tolist() == [30.0] * 4


def test_clean_cubes_cut_and_turned(tmp_path: Path) -> None:
    path = tmp_path / 'icvl.mat'
    with h5py.File(path, 'w', userblock_size=512) as file:
        # MATLAB writes axes the other way round
        file['rad'] = CLEAN.transpose(2, 1, 0)
    with path.open('r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file')
    options: dict[str, Any] = {'noisy_key': None, 'clean_key': 'rad', 'scale': 2}
    middle = 2 * CLEAN[2:5, 1:4]
    sample = MatPairs(path, crop_size=3, **options)[0]
    assert set(sample) == {'image', 'valid'}
    assert is_equal(sample['image'], middle)
    turned = MatPairs(path, crop_size=(3, 3), rotate=1, **options)[0]
    assert is_equal(turned['image'], np.rot90(middle))


def test_pixels_in_columns(tmp_path: Path) -> None:
    flat = CLEAN.transpose(2, 1, 0).reshape(4, -1)
    # pixel 1 is the second row of the first column
    assert np.array_equal(flat[:, 1], CLEAN[1, 0])
    path = write(tmp_path / 'scene.mat', Y=flat)
    pairs = MatPairs(path, noisy_key=None, clean_key='Y', shape=(7, 5))
    assert is_equal(pairs[0]['image'], CLEAN)
    with pytest.raises(BandMismatchError, match='4 x 6 pixels'):
        MatPairs(path, noisy_key=None, clean_key='Y', shape=(4, 6))[0]


def test_holes_are_not_valid(tmp_path: Path) -> None:
    broken = NOISY.copy()
    broken[1, 2, 3] = np.nan
    sample = MatPairs(write(tmp_path / 'a.mat', input=broken, gt=CLEAN))[0]
    assert (~sample['valid']).nonzero().tolist() == [[1, 2]]
    assert sample['image'].isfinite().all()


def test_wavelengths_and_plot(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mat', input=NOISY, gt=CLEAN)
    pairs = MatPairs(path, wavelength=[0.45, 0.55, 0.65, 0.86])
    sample = pairs[0]
    assert sample['wavelength'].tolist() == pytest.approx([0.45, 0.55, 0.65, 0.86])
    assert len(pairs.plot(sample).axes) > 1
    with pytest.raises(UnitError):
        MatPairs(path, wavelength=[450, 550, 650, 860])
    with pytest.raises(BandMismatchError):
        MatPairs(path, wavelength=[0.45, 0.55])[0]


def test_transforms(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mat', input=NOISY, gt=CLEAN)
    pairs = MatPairs(path, transforms=lambda sample: {'image': -sample['image']})
    assert is_equal(pairs[0]['image'], -NOISY)


def test_bad_input(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mat', input=NOISY, gt=CLEAN[:-1], sigma=[1.0, 2.0])
    with pytest.raises(BandMismatchError, match='input and gt of the same shape'):
        MatPairs(path)[0]
    with pytest.raises(BandMismatchError, match='1 or 4 numbers in sigma'):
        MatPairs(path, clean_key=None)[0]
    with pytest.raises(BandMismatchError, match='Lower crop'):
        MatPairs(path, clean_key=None, sigma_key=None, crop_size=6)[0]
    with pytest.raises(MetadataError, match="no 'rad'"):
        MatPairs(path, clean_key='rad')[0]
    with pytest.raises(ValueError, match='got neither'):
        MatPairs(path, noisy_key=None, clean_key=None)
    with pytest.raises(ValueError, match='positive crop'):
        MatPairs(path, crop_size=0)
    with pytest.raises(DatasetNotFoundError):
        MatPairs(tmp_path / 'nowhere')
    (tmp_path / 'tiff').mkdir()
    (tmp_path / 'tiff' / 'a.tif').write_bytes(b'')
    with pytest.raises(DatasetNotFoundError, match='MATLAB files'):
        MatPairs(tmp_path / 'tiff')


@pytest.mark.realdata
def test_jasper_ridge(real_data: Path) -> None:
    path = real_data / 'aviris' / 'jasper_ridge.mat'
    pairs = MatPairs(path, noisy_key=None, clean_key='Y', shape=(100, 100))
    image = pairs[0]['image']
    assert image.shape == (198, 100, 100)
    # neighbors resemble each other only if pixels are cut into columns of 100
    mean = image.mean(0)
    for axis in (0, 1):
        assert mean.diff(dim=axis).abs().mean() < 0.2 * mean.std()
