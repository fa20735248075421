# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HySpecNet-11k: each band is the one that its wavelength says."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.hyspecnet.data import HOLE, write_hyspecnet
from torchgeo.datasets import DatasetNotFoundError, HySpecNet11k, RGBBandsMissingError

from torchgeo_hsi.datasets import HSIHySpecNet11k
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError

#: Bands that the product has but nobody uses, as positions in the file from 0.
REMOVED = [*range(126, 141), *range(160, 167)]

#: Position in the file (from 0) and center of bands around the overlap of the
#: detectors, where the file goes back and forth between them.
PLACES = {
    'B1': (0, 0.418416),
    'B79': (78, 0.895789),
    'B92': (79, 0.901961),
    'B80': (80, 0.90387),
    'B93': (81, 0.911571),
    'B101': (99, 0.993144),
    'B91': (100, 0.993338),
    'B102': (101, 1.00388),
    'B142': (141, None),
    'B224': (223, 2.4453),
}


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp('hyspecnet')
    return folder, write_hyspecnet(folder)


def test_sample(tree: tuple[Path, Any]) -> None:
    root, truth = tree
    kept = [k for k in range(224) if k not in REMOVED]
    for split, images in truth.items():
        dataset = HSIHySpecNet11k(str(root), split)
        assert len(dataset) == len(images)
        for k, image in enumerate(images):
            sample = dataset[k]
            want = image[kept].astype(np.float32)
            valid = (want != -32768).all(axis=0)
            want[want == -32768] = 0
            np.testing.assert_array_equal(sample['image'], want)
            np.testing.assert_array_equal(sample['valid'], valid)
            assert valid.all() == (k > 0)
            assert sample['image'].dtype == torch.float32
            assert sample['valid'].dtype == torch.bool
            assert sample['wavelength'].shape == sample['fwhm'].shape == (202,)
            assert sample['wavelength'].dtype == sample['fwhm'].dtype == torch.float32


def test_hole(tree: tuple[Path, Any]) -> None:
    invalid = ~HSIHySpecNet11k(str(tree[0]))[0]['valid']
    assert invalid[HOLE].all()
    assert int(invalid.sum()) == 4
    # only selected bands count
    sample = HSIHySpecNet11k(str(tree[0]), bands=['B5', 'B12'])[0]
    assert sample['valid'].all()


def test_hole_in_a_removed_band(tmp_path: Path) -> None:
    write_hyspecnet(tmp_path, hole_band=130)
    assert HSIHySpecNet11k(str(tmp_path))[0]['valid'].all()


def test_no_number_is_no_data(tree: tuple[Path, Any], tmp_path: Path) -> None:
    def spoil(sample: Any) -> Any:
        sample['image'][3, 5, 5] = torch.nan
        return sample

    dataset = HSIHySpecNet11k(str(tree[0]))
    dataset.transforms = spoil
    sample = dataset[1]
    assert (~sample['valid']).nonzero().tolist() == [[5, 5]]
    assert sample['image'][3, 5, 5] == 0


def test_wavelengths(tree: tuple[Path, Any]) -> None:
    root = str(tree[0])
    ours, theirs = HSIHySpecNet11k(root)[0], HySpecNet11k(root)[0]
    center = ours['wavelength'].double().numpy()
    assert (np.diff(center) > 0).all()
    assert 0.41 < center[0] < center[-1] < 2.46
    assert (ours['fwhm'] > 0.004).all()
    assert (ours['fwhm'] < 0.02).all()
    # the numbers are the same, but torchgeo tells other wavelengths in the overlap
    assert torch.equal(ours['image'][:, 5:], theirs['image'][:, 5:])
    off = np.abs(center - theirs['wavelength'].double().numpy())
    assert np.flatnonzero(off > 1e-6).tolist() == list(range(79, 101))
    assert off.max() == pytest.approx(0.050647, abs=1e-6)


@pytest.mark.parametrize('band', PLACES)
def test_named_band_is_read_from_its_place(band: str, tree: tuple[Path, Any]) -> None:
    place, center = PLACES[band]
    sample = HSIHySpecNet11k(str(tree[0]), 'val', bands=[band])[1]
    # band k of patch 7 is 20 k + 7 in the first column
    assert sample['image'][0, 0, 0] == 20 * place + 7
    assert sample['image'].shape == (1, 8, 8)
    if center is not None:
        assert float(sample['wavelength'][0]) == pytest.approx(center, abs=1e-6)


def test_bands_in_the_order_wanted(tree: tuple[Path, Any]) -> None:
    dataset = HSIHySpecNet11k(str(tree[0]), bands=['B92', 0.66, 0, -1])
    names = list(dataset.bandset.names)
    assert (names[0], names[2], names[3]) == ('B92', 'B1', 'B224')
    sample = dataset[0]
    assert sample['image'][[0, 2, 3], 0, 0].tolist() == [20 * 79, 0, 20 * 223]
    assert sample['wavelength'].tolist() == pytest.approx(
        [0.901961, 0.66, 0.418416, 2.4453], abs=0.004
    )
    assert len(sample['fwhm']) == 4


@pytest.mark.parametrize(
    ('bands', 'error'),
    [
        (['B130'], UnknownNameError),
        (['red'], UnknownNameError),
        ([202], BandMismatchError),
        (['B1', 0], BandMismatchError),
        ([], EmptyDataError),
    ],
)
def test_no_such_bands(
    bands: list[Any], error: type[Exception], tree: tuple[Path, Any]
) -> None:
    with pytest.raises(error):
        HSIHySpecNet11k(str(tree[0]), bands=bands)


def test_scenes(tree: tuple[Path, Any]) -> None:
    scenes = HSIHySpecNet11k(str(tree[0])).scenes
    assert len(scenes) == 6
    assert [scenes.count(scene) for scene in scenes] == [2] * 6
    assert all(scene.startswith('ENMAP01-____L2A-DT0000004950_') for scene in scenes)
    assert not set(scenes) & set(HSIHySpecNet11k(str(tree[0]), 'val').scenes)


def test_strategy_chooses_the_list(tmp_path: Path) -> None:
    write_hyspecnet(tmp_path)
    table = tmp_path / 'hyspecnet-11k' / 'splits' / 'easy' / 'train.csv'
    table.write_text(''.join(table.read_text().splitlines(True)[:1]))
    assert len(HSIHySpecNet11k(str(tmp_path), strategy='easy')) == 1
    # by scene unless told otherwise
    assert len(HSIHySpecNet11k(str(tmp_path))) == 6


def test_place_and_time_are_those_of_torchgeo(tree: tuple[Path, Any]) -> None:
    ours, theirs = (
        cls(str(tree[0]), 'test')[1] for cls in (HSIHySpecNet11k, HySpecNet11k)
    )
    for key in ('x', 'y', 't', 'res'):
        assert torch.equal(ours[key], theirs[key])


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        HSIHySpecNet11k(str(tmp_path))


def test_plot(tree: tuple[Path, Any]) -> None:
    dataset = HSIHySpecNet11k(str(tree[0]))
    figure = dataset.plot(dataset[0], suptitle='A patch')
    assert figure.get_suptitle() == 'A patch'
    infrared = HSIHySpecNet11k(str(tree[0]), bands=['B200'])
    with pytest.raises(RGBBandsMissingError):
        infrared.plot(infrared[0])
    plt.close('all')
