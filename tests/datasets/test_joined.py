# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of datasets joined by ``&`` and ``|``, also more than once."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from data.enmap_l2a.data import make_product

from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster
from torchgeo_hsi.errors import BandMismatchError

NAMES = ['B10', 'B20']


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two products that overlap, and labels of the first: 1, 2, and 0 on the left."""
    root = tmp_path_factory.mktemp('joined')
    one = make_product(root / 'a', seed=1)
    two = make_product(root / 'b', seed=2, column=-4, date='20230101T101010')
    with rasterio.open(one.image) as src:
        profile = {**src.profile, 'count': 1, 'dtype': 'uint8', 'nodata': None}
    (root / 'labels').mkdir()
    labels = np.ones((profile['height'], profile['width']), dtype=np.uint8)
    labels[:, :3] = 0
    labels[4:] = np.where(labels[4:] > 0, 2, 0)
    with rasterio.open(root / 'labels' / 'map.tif', 'w', **profile) as dst:
        dst.write(labels, 1)
    return one.folder, two.folder, root / 'labels'


@pytest.fixture
def one(folders: tuple[Path, Path, Path]) -> EnMAPL2A:
    return EnMAPL2A(folders[0], bands=NAMES)


@pytest.fixture
def two(folders: tuple[Path, Path, Path]) -> EnMAPL2A:
    return EnMAPL2A(folders[1], bands=NAMES)


@pytest.fixture
def labels(folders: tuple[Path, Path, Path]) -> LabelRaster:
    return LabelRaster(folders[2], [1, 2])


def test_union_of_a_union(one: EnMAPL2A, two: EnMAPL2A) -> None:
    x, y, _ = one.bounds
    first, second = one[x, y], two[x, y]
    expected = torch.where(first['valid'], first['image'], second['image'])
    valid = first['valid'] | second['valid']
    # the test is about clouds of the first one over clear ground of the second one
    assert (first['image'].bool().all(0) & ~first['valid'] & second['valid']).any()
    for dataset in ((one | one) | two, one | (one | two), (one | two) | two):
        sample = dataset[x, y]
        assert torch.equal(sample['valid'], valid)
        assert torch.equal(sample['image'][:, valid], expected[:, valid])
        assert sample['bounds'].shape == sample['transform'].shape == (9,)
        assert dataset.bandset.names == tuple(NAMES)  # type: ignore[attr-defined]


def test_intersection_of_an_intersection(
    one: EnMAPL2A, two: EnMAPL2A, labels: LabelRaster
) -> None:
    x, y, _ = one.bounds
    # the scenes are of different days
    merged = (one | two) & labels
    for dataset, valid in (
        (merged, one[x, y]['valid'] | two[x, y]['valid']),
        ((one & labels) & one, one[x, y]['valid']),
        (labels & (one | two), one[x, y]['valid'] | two[x, y]['valid']),
        (labels & one, one[x, y]['valid']),
    ):
        sample = dataset[x, y]
        assert torch.equal(sample['valid'], valid)
        assert sample['bounds'].shape == sample['transform'].shape == (9,)
        assert sample['mask'].shape == valid.shape
    assert ((one & labels) & one).bandset is None  # type: ignore[attr-defined]
    assert merged.bandset.names == tuple(NAMES)  # type: ignore[attr-defined]
    assert merged.ignore_index == 255  # type: ignore[attr-defined]


def test_union_of_labels_keeps_labels(labels: LabelRaster, tmp_path: Path) -> None:
    with rasterio.open(labels.files[0]) as src:
        profile, codes = src.profile, src.read(1)
    with rasterio.open(tmp_path / 'map.tif', 'w', **profile) as dst:
        # says something only where the other one does not
        dst.write(np.where(codes == 0, 2, 0).astype(np.uint8), 1)
    both = labels | LabelRaster(tmp_path, [1, 2])
    x, y, _ = labels.bounds
    expected = np.where(codes == 0, 1, codes.astype(int) - 1)
    np.testing.assert_array_equal(both[x, y]['mask'], expected)


def test_union_of_other_bands_is_refused(
    folders: tuple[Path, Path, Path], one: EnMAPL2A
) -> None:
    other = EnMAPL2A(folders[1], bands=['B30', 'B40'])
    with pytest.raises(BandMismatchError, match=r'got B10, B20 and B30, B40'):
        one | other


def test_merged_samples_need_the_same_bands(one: EnMAPL2A, two: EnMAPL2A) -> None:
    both = one | two
    x, y, _ = one.bounds

    def shift(sample: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**sample, 'wavelength': sample['wavelength'] + 0.02}

    def drop(sample: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        keys = ('image', 'wavelength', 'fwhm')
        return {**sample, **{key: sample[key][:1] for key in keys}}

    two.transforms = shift
    with pytest.raises(BandMismatchError, match=r'differ by up to 0\.0'):
        both[x, y]
    two.transforms = drop
    with pytest.raises(BandMismatchError, match='2 and 1 bands'):
        both[x, y]
