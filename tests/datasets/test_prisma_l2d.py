# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.enmap_l2a.data import make_product as make_enmap
from data.prisma_l2d.data import (
    ERRORS,
    NORTH,
    OUTSIDE,
    PIXEL,
    SCALES,
    WEST,
    Scene,
    make_file,
    nominal,
)
from pyproj import CRS
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from torchgeo_hsi.datasets import PRISMAL2D, HSICube
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    MetadataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.io import PRISMAL2DReader
from torchgeo_hsi.io.store import write_stored_scene

HEIGHT, WIDTH, RATIO = 16, 14, 6


def query(
    column: float = 0, row: float = 0, width: int = WIDTH, height: int = HEIGHT
) -> tuple[slice, slice]:
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    return (
        slice(west, west + width * PIXEL, PIXEL),
        slice(north - height * PIXEL, north, PIXEL),
    )


def reflectance(scene: Scene, name: str) -> np.ndarray:
    cube, number = name[:4], int(name[4:])
    low, high = SCALES[cube.capitalize()]
    stored = np.maximum(scene.stored[cube][:, number - 1].astype(float), 1)
    return np.where(scene.inside, (low + stored / 65535 * (high - low)) * 1e4, 0)


def pan_of(scene: Scene) -> np.ndarray:
    low, high = SCALES['Pan']
    return np.where(scene.pan > 0, (low + scene.pan / 65535 * (high - low)) * 1e4, 0)


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_file(tmp_path_factory.mktemp('prisma'))


def test_default_bands(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path.parent)
    sample = dataset[query()]
    table = {name: centre / 1e3 for name, (centre, _) in nominal().items()}
    kept = {
        name
        for name, centre in table.items()
        if not 1.29 < centre < 1.525
        and not 1.733 < centre < 1.972
        and name not in ('VNIR4', 'VNIR5', 'VNIR6', 'VNIR7')
    }
    assert set(dataset.bands) == kept
    assert len(kept) == 182
    assert dataset.files == [str(scene.path)]
    assert (sample['wavelength'].diff() > 0).all()
    assert set(sample) == {
        'image',
        'valid',
        'wavelength',
        'fwhm',
        'bounds',
        'transform',
    }
    for k, name in enumerate(dataset.bands):
        cube, number = name[:4], int(name[4:])
        np.testing.assert_allclose(
            sample['image'][k].numpy(), reflectance(scene, name), rtol=1e-5
        )
        assert sample['wavelength'][k].item() * 1e3 == pytest.approx(
            scene.wavelength[cube][number - 1], abs=1e-3
        )
    np.testing.assert_array_equal(sample['valid'].numpy(), scene.inside)
    assert sample['transform'].tolist()[:6] == [30, 0, WEST, 0, -30, NORTH]


@pytest.mark.parametrize(('overlap', 'count'), [('vnir', 182), ('all', 186)])
def test_overlap(scene: Scene, overlap: str, count: int) -> None:
    dataset = PRISMAL2D(scene.path, overlap=overlap)
    assert len(dataset.bands) == count
    assert dataset.bandset.is_sorted
    sample = dataset[query(3, 3, 4, 4)]
    assert sample['image'].shape == (count, 4, 4)
    # the doubled bands can be chosen
    (near,) = PRISMAL2D(scene.path, overlap=overlap, bands=[0.970]).bands
    assert near in ({'VNIR4'} if overlap == 'vnir' else {'VNIR4', 'SWIR168'})


def test_scenes_that_are_shifted_give_the_same_bands(tmp_path: Path) -> None:
    make_file(tmp_path, shift=-4.5, date='20200813')
    make_file(tmp_path, shift=4.5, date='20210813')
    dataset = PRISMAL2D(tmp_path)
    assert len(dataset.files) == 2
    assert len({scene.bands.names for scene in dataset._scenes.values()}) == 1
    # by the time of a query
    centres = [
        dataset[(*query(), slice(time.left, time.right))]['wavelength'][0]
        for time in dataset.index.index
    ]
    assert centres[1] - centres[0] == pytest.approx(0.009, abs=1e-5)


def test_quality(scene: Scene) -> None:
    names = sorted({f'{cube}{number}' for cube, number, _, _ in ERRORS})
    dataset = PRISMAL2D(scene.path, bands=names, quality=['invalid', 'saturated'])
    sample = dataset[query()]
    expected = scene.inside.copy()
    for (_, _, row, column), code in ERRORS.items():
        expected[row, column] &= code == 2
    np.testing.assert_array_equal(sample['valid'].numpy(), expected)
    # what is only flagged keeps its number
    row, column = 5, 5
    assert sample['image'][:, row, column].any()
    with pytest.raises(MetadataError, match=r"'cloud'. Known: invalid, negative"):
        PRISMAL2D(scene.path, quality=['cloud'])


def test_pan(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path, bands=['VNIR37'], pan=True)
    sample = dataset[query(2, 3, 8, 5)]
    expected = pan_of(scene)[18:48, 12:60]
    assert sample['pan'].shape == (1, 30, 48)
    assert sample['pan'].dtype == torch.float32
    np.testing.assert_allclose(sample['pan'][0].numpy(), expected, rtol=1e-5)
    assert 'pan' not in PRISMAL2D(scene.path)[query()]
    few = dataset.few_bands()
    assert 'pan' not in few[query()]
    assert dataset.pan


def test_pan_moves_with_the_cube(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path, bands=['VNIR37'], pan=True)
    aligned, shifted = dataset[query(2, 3, 4, 4)], dataset[query(2.3, 3.4, 4, 4)]
    torch.testing.assert_close(shifted['image'], aligned['image'])
    torch.testing.assert_close(shifted['pan'], aligned['pan'])


def test_pan_reaches_over_the_edge(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path, bands=['VNIR37'], pan=True)
    sample = dataset[query(10, 12, 8, 8)]
    expected = np.zeros((48, 48))
    expected[:24, :24] = pan_of(scene)[72:, 60:]
    np.testing.assert_allclose(sample['pan'][0].numpy(), expected, rtol=1e-5)


def test_pan_is_warped_with_the_cube(tmp_path: Path) -> None:
    scene = make_file(tmp_path, height=40, width=40, outside=False)
    # a ramp in both images, so that interpolation can be told
    rows, columns = np.mgrid[:240, :240]
    ramp = (20000 + 50 * (rows + 0.5) + 70 * (columns + 0.5)).astype(np.uint16)
    coarse = ramp.reshape(40, 6, 40, 6).mean((1, 3)).astype(np.uint16)
    with h5py.File(scene.path, 'r+') as file:
        file['HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields/Cube'][:] = ramp
        file['HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube'][:, 36] = coarse
    dataset = PRISMAL2D(
        scene.path, bands=['VNIR37'], pan=True, crs=CRS.from_epsg(32632), res=30
    )
    xmin, xmax, ymin, ymax = (dataset.index.total_bounds[i] for i in (0, 2, 1, 3))
    x, y = round((xmin + xmax) / 2), round((ymin + ymax) / 2)
    sample = dataset[(slice(x - 150, x + 150, 30), slice(y - 150, y + 150, 30))]
    assert sample['valid'].all()
    assert sample['pan'].shape == (1, 60, 60)
    means = sample['pan'].reshape(10, 6, 10, 6).mean((1, 3))
    # both scales are of reflectance
    ratio = SCALES['Pan'][1] / SCALES['Vnir'][1]
    torch.testing.assert_close(means, sample['image'][0] * ratio, rtol=2e-3, atol=0)


def test_overlapping_scenes_take_both_images_from_one(tmp_path: Path) -> None:
    first = make_file(tmp_path, seed=1, date='20200813')
    second = make_file(tmp_path, seed=2, date='20200814', outside=False)
    dataset = PRISMAL2D(tmp_path, bands=['VNIR37', 'SWIR9'], pan=True)
    sample = dataset[query()]
    assert sample['valid'].all()
    expected = pan_of(first)
    expected[: 3 * RATIO, : 4 * RATIO] = pan_of(second)[: 3 * RATIO, : 4 * RATIO]
    np.testing.assert_allclose(sample['pan'][0].numpy(), expected, rtol=1e-5)
    cube = reflectance(first, 'VNIR37')
    cube[OUTSIDE] = reflectance(second, 'VNIR37')[OUTSIDE]
    np.testing.assert_allclose(sample['image'][0].numpy(), cube, rtol=1e-5)
    # the same by hand
    parts = [PRISMAL2D(s.path, bands=dataset.bands, pan=True) for s in (first, second)]
    merged = (parts[0] | parts[1])[query()]
    for key in ('image', 'valid', 'pan'):
        torch.testing.assert_close(merged[key], sample[key])


def test_fewer_files_than_asked_for(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='holds no PRISMA L2D product'):
        PRISMAL2D(tmp_path)
    make_file(tmp_path, level='2C')
    with pytest.raises(DatasetNotFoundError, match=r'but PRISMA of level L2C'):
        PRISMAL2D(tmp_path)
    with pytest.raises(MetadataError, match='got level 2C'):
        PRISMAL2D(next(tmp_path.glob('*.he5')))
    with pytest.raises(DatasetNotFoundError, match='does not exist'):
        PRISMAL2D([scene.path, tmp_path / 'none.he5'])
    make_file(tmp_path)
    assert len(PRISMAL2D(tmp_path).files) == 1
    (tmp_path / 'broken.he5').write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(100))
    with pytest.raises(CorruptFileError, match=r'broken\.he5'):
        PRISMAL2D(tmp_path)


def test_unknown_options(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"swir, vnir, all, got 'both'"):
        PRISMAL2D(scene.path, overlap='both')
    with pytest.raises(UnitError):
        PRISMAL2D(scene.path, bands=[660.0])
    with pytest.raises(UnknownNameError, match='VNIR4'):
        PRISMAL2D(scene.path, bands=['VNIR4'])
    bare = make_file(tmp_path, pan=False)
    with pytest.raises(MetadataError, match='no HDFEOS/SWATHS/PRS_L2D_PCO'):
        PRISMAL2D(bare.path, pan=True)


def test_a_scene_without_a_default_band(tmp_path: Path) -> None:
    centres = make_file(tmp_path / 'a').wavelength['SWIR'].copy()
    centres[20] = 0
    scene = make_file(tmp_path / 'b', change={'List_Cw_Swir': centres})
    with pytest.raises(BandMismatchError, match='SWIR21'):
        PRISMAL2D(scene.path)


def test_scenes_of_another_sensor(tmp_path: Path) -> None:
    enmap = make_enmap(tmp_path)
    with pytest.raises(CorruptFileError, match='not HDF5'):
        PRISMAL2D(enmap.image)


@pytest.mark.parametrize('workers', [0, 2])
def test_loader(scene: Scene, workers: int) -> None:
    dataset = PRISMAL2D(scene.path, bands=[0.66, 0.86, 2.2], pan=True)
    sampler = GriddedPatchSampler(dataset, size=7, stride=7)
    loader: Any = DataLoader(
        dataset,
        sampler=sampler,
        batch_size=2,
        collate_fn=stack_samples,
        num_workers=workers,
    )
    batches = list(loader)
    assert sum(len(batch['image']) for batch in batches) == len(sampler)
    assert batches[0]['pan'].shape == (2, 1, 42, 42)
    assert batches[0]['image'].shape == (2, 3, 7, 7)


def test_threads_and_copies_read_the_same(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path, bands=[0.66, 2.2], pan=True)
    queries = [query(column, row, 6, 6) for column in range(8) for row in range(8)]
    expected = [dataset[q] for q in queries]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(dataset.__getitem__, queries))
    copy = pickle.loads(pickle.dumps(dataset))
    for first, second, q in zip(expected, found, queries, strict=True):
        for key in ('image', 'pan', 'valid'):
            torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
            torch.testing.assert_close(first[key], copy[q][key], rtol=0, atol=0)


def test_plot(scene: Scene) -> None:
    dataset = PRISMAL2D(scene.path, pan=True)
    figure = dataset.plot(dataset[query()], suptitle='Scene')
    titles = [ax.get_title() for ax in figure.axes]
    assert 'Panchromatic' in titles
    shown = figure.axes[titles.index('Panchromatic')].images[0].get_array()
    assert shown is not None
    assert shown.shape == (96, 84, 3)
    # grey outside of the swath, as in the other panels
    assert np.ptp(np.asarray(shown)[:18, :24].reshape(-1, 3), axis=0).max() == 0
    plt.close(figure)


def test_as_a_cube_of_any_sensor(scene: Scene) -> None:
    cube = HSICube(scene.path, patch_size=8)
    sample = cube[0]
    assert sample['image'].shape == (230, 8, 8)
    assert cube.bandset is not None
    k = cube.bandset.names.index('VNIR37')
    np.testing.assert_allclose(
        sample['image'][k].numpy(), reflectance(scene, 'VNIR37')[:8, :8], rtol=1e-5
    )


def test_memory_does_not_grow_with_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = PRISMAL2DReader._read

    def spy(self: Any, places: Any, window: Any, errors: bool = False) -> Any:
        result = original(self, places, window, errors)
        sizes.append(result.nbytes)
        return result

    monkeypatch.setattr(PRISMAL2DReader, '_read', spy)
    peaks = []
    for size in (20, 80):
        sizes.clear()
        scene = make_file(tmp_path / str(size), height=size, width=size)
        dataset = PRISMAL2D(scene.path, quality=['invalid'])
        dataset[query(5, 5, 8, 8)]
        peaks.append(max(sizes))
    assert peaks[0] == peaks[1] == 182 * 8 * 8 * 2


def test_a_stored_scene_gives_the_same(scene: Scene, tmp_path: Path) -> None:
    with PRISMAL2DReader(scene.path) as reader:
        write_stored_scene(reader, tmp_path / 'store', shard=16)
    names = sorted({f'{cube}{number}' for cube, number, _, _ in ERRORS})
    options: dict[str, Any] = {'bands': names, 'quality': ['invalid', 'negative']}
    stored = PRISMAL2D(tmp_path / 'store', **options)[query()]
    original = PRISMAL2D(scene.path, **options)[query()]
    for key, value in original.items():
        torch.testing.assert_close(stored[key], value, rtol=0, atol=0)
    with pytest.raises(MetadataError, match='holds no panchromatic image'):
        PRISMAL2D(tmp_path / 'store', pan=True)
