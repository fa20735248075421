# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of PRISMA in the files of the toolbox."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.io
import torch
from data.prisma_pansharpening.data import (
    BANDS,
    make_arrays,
    make_root,
    wavelengths,
    write_73,
)
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datasets.prisma_pansharpening import PRISMAPansharpening
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    MetadataError,
    NodataWarning,
    UnitError,
)

type Written = dict[Path, dict[str, Any]]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return make_root(tmp_path_factory.mktemp('toolbox'))


@pytest.fixture
def root(files: Written) -> Path:
    return next(iter(files)).parents[2]


def write_one(folder: Path, arrays: dict[str, Any]) -> Path:
    """Write a file for training at reduced resolution."""
    path = folder / 'Training' / 'Reduced_Resolution' / 'a.mat'
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, arrays)
    return folder


def is_equal(tensor: torch.Tensor, array: np.ndarray) -> bool:
    return np.array_equal(tensor.numpy(), array.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ('split', 'folder'),
    [('train', 'Training'), ('val', 'Validation'), ('test', 'Test')],
)
def test_splits_at_both_resolutions(
    files: Written, root: Path, split: Any, folder: str
) -> None:
    reduced = PRISMAPansharpening(root, split)
    full = PRISMAPansharpening(root, split, 'full')
    assert len(reduced) == len(full) == 2
    for pairs, name in ((reduced, 'Reduced_Resolution'), (full, 'Full_Resolution')):
        word = 'RR' if pairs is reduced else 'FR'
        for k in range(2):
            arrays = files[root / folder / name / f'PRS_{k}_{word}.mat']
            sample = pairs[k]
            assert is_equal(sample['image'], arrays['I_MS_LR'])
            assert np.array_equal(sample['pan'][0].numpy(), arrays['I_PAN'])
            assert ('target' in sample) == (pairs is reduced)
            if pairs is reduced:
                assert is_equal(sample['target'], arrays['I_GT'])
            assert 'up' not in sample
            np.testing.assert_allclose(
                sample['wavelength'], wavelengths()[0] / 1e3, rtol=1e-6
            )
            for key in ('image', 'pan', 'wavelength'):
                assert sample[key].dtype == torch.float32
            assert sample['valid'].shape == (8, 10)
            assert sample['pan_valid'].shape == (48, 60)
            assert sample['valid'].all()
            assert sample['pan_valid'].all()


def test_interpolated_cubes_bands_and_transforms(files: Written, root: Path) -> None:
    arrays = files[root / 'Training' / 'Reduced_Resolution' / 'PRS_0_RR.mat']
    sample = PRISMAPansharpening(
        root,
        bands=[5, 0, -1],
        interpolated=True,
        transforms=lambda s: s | {'seen': torch.ones(1)},
    )[0]
    for key, name in {'image': 'I_MS_LR', 'up': 'I_MS', 'target': 'I_GT'}.items():
        assert is_equal(sample[key], arrays[name][..., [5, 0, 11]])
    np.testing.assert_allclose(sample['wavelength'][1], 0.466)
    assert sample['pan'].shape == (1, 48, 60)
    assert sample['seen'].item() == 1
    with pytest.raises(BandMismatchError, match='bands 0 to 11'):
        PRISMAPansharpening(root, bands=[BANDS])[0]


def test_version_73(tmp_path: Path) -> None:
    arrays = make_arrays(3)
    folder = write_one(tmp_path, arrays)
    sample = PRISMAPansharpening(folder, interpolated=True)[0]
    write_73(tmp_path / 'Training' / 'Reduced_Resolution' / 'a.mat', arrays)
    again = PRISMAPansharpening(folder, interpolated=True)[0]
    assert set(sample) == set(again)
    for key, value in sample.items():
        assert torch.equal(value, again[key])
    del arrays['I_GT']
    write_73(tmp_path / 'Training' / 'Reduced_Resolution' / 'a.mat', arrays)
    with pytest.raises(MetadataError, match='I_GT'):
        PRISMAPansharpening(folder)[0]


def test_where_there_is_no_data(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays['I_MS_LR'][2, 3] = 0
    arrays['I_MS_LR'][4, 5, :-1] = 0
    arrays['I_PAN'][10, 20] = 0
    arrays['I_GT'][11, 21] = 0
    sample = PRISMAPansharpening(write_one(tmp_path, arrays))[0]
    assert (~sample['valid']).nonzero().tolist() == [[2, 3]]
    assert (~sample['pan_valid']).nonzero().tolist() == [[10, 20], [11, 21]]


def test_bands_without_data_are_named_once(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays['I_MS_LR'][..., 5] = 0
    pairs = PRISMAPansharpening(write_one(tmp_path, arrays))
    with pytest.warns(NodataWarning, match=r'a\.mat the bands 5 \(982 nm\) are 0'):
        sample = pairs[0]
    # nothing is changed silently
    assert not sample['image'][5].any()
    assert sample['valid'].all()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert pairs[0]['image'].shape[0] == BANDS
        without = [band for band in range(BANDS) if band != 5]
        PRISMAPansharpening(tmp_path, bands=without)[0]
        write_one(tmp_path, arrays | {'I_MS_LR': arrays['I_MS_LR'] * 0})
        assert not PRISMAPansharpening(tmp_path)[0]['valid'].any()


def test_no_files(root: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / 'none'):
        with pytest.raises(DatasetNotFoundError, match=r'prisma\.asi\.it.*Training'):
            PRISMAPansharpening(folder)
    with pytest.raises(
        MetadataError, match="split as one of train, val, test, got 'x'"
    ):
        PRISMAPansharpening(root, 'x')  # type: ignore[arg-type]
    with pytest.raises(MetadataError, match='resolution as one of reduced, full'):
        PRISMAPansharpening(root, resolution='low')  # type: ignore[arg-type]


@pytest.mark.parametrize('content', [b'', b'no matlab', None])
def test_damaged_files(tmp_path: Path, content: bytes | None) -> None:
    folder = write_one(tmp_path, make_arrays())
    path = folder / 'Training' / 'Reduced_Resolution' / 'a.mat'
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(CorruptFileError, match=r'a\.mat'):
        PRISMAPansharpening(folder)[0]


@pytest.mark.parametrize(
    ('change', 'error', 'match'),
    [
        ({'I_PAN': np.ones((47, 60), np.uint16)}, BandMismatchError, 'pan of shape'),
        ({'I_GT': np.ones((48, 60, 3), np.uint16)}, BandMismatchError, 'target of'),
        ({'wavelengths': np.ones((1, 3))}, BandMismatchError, '12 wavelengths'),
        (
            {'wavelengths': wavelengths() / 1e3},
            UnitError,
            r'a\.mat in nanometres, got 0\.466',
        ),
        ({'I_GT': None}, MetadataError, r'no I_GT in .*Arrays: I_MS_LR, I_MS'),
        ({'wavelengths': None}, MetadataError, 'no wavelengths'),
    ],
)
def test_files_that_do_not_fit(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], match: str
) -> None:
    arrays = make_arrays() | change
    arrays = {key: value for key, value in arrays.items() if value is not None}
    folder = write_one(tmp_path, arrays)
    with pytest.raises(error, match=match):
        PRISMAPansharpening(folder)[0]


def test_plot(root: Path) -> None:
    pairs = PRISMAPansharpening(root)
    sample = pairs[0]
    sample['prediction'] = sample['target'].clone()
    figure = pairs.plot(sample, suptitle='pair')
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        'Cube\n8 x 10 pixels',
        'Panchromatic\n48 x 60 pixels',
        'Target\n48 x 60 pixels',
        'Prediction\n48 x 60 pixels',
    ]
    full = PRISMAPansharpening(root, resolution='full')
    bare = full[0]
    del bare['wavelength']
    figure = full.plot(bare, show_titles=False)
    assert len(figure.axes) == 2
    plt.close('all')
