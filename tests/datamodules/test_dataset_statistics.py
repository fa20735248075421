# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics of whole datasets, and data modules that normalize by them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from data.cubes.data import CENTRES, make_cube, write_envi
from data.hyspecnet.data import write_hyspecnet
from rasterio.transform import Affine
from torch.utils.data import Dataset
from torchgeo.datasets import RasterDataset

from torchgeo_hsi.datamodules import (
    EnMAPL2ADataModule,
    HSIHySpecNet11kDataModule,
    dataset_statistics,
)
from torchgeo_hsi.datamodules import _statistics_parts as parts
from torchgeo_hsi.datasets import EnMAPL2A, HSICube, HSIHySpecNet11k, LabelRaster
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
)
from torchgeo_hsi.io import write_statistics_file
from torchgeo_hsi.physics import BandSummary

Make = Callable[..., EnMAPL2ADataModule]


class Patches(Dataset[dict[str, Any]]):
    """Patches of whole numbers, some of which cannot be read."""

    def __init__(self, count: int = 40, broken: tuple[int, ...] = ()) -> None:
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> np.ndarray:
        rng = np.random.default_rng(index)
        image = rng.integers(1, 9000, (5, 8, 8)).astype(np.float32)
        image[:, :2, : index % 8] = -1
        return image

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index in self.broken:
            raise OSError(f'patch {index} is torn')
        return {'image': torch.from_numpy(self.image(index))}


def same(a: BandSummary, b: BandSummary) -> bool:
    vectors = ('count', 'mean', 'std', 'minimum', 'maximum', 'covariance')
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in vectors
    ) and all(np.array_equal(a.quantiles[k], b.quantiles[k]) for k in a.quantiles)


def test_patches_without_valid() -> None:
    patches = Patches()
    got, failures = dataset_statistics(patches, nodata=-1)
    pixels = np.concatenate([patches.image(i).reshape(5, -1) for i in range(40)], 1)
    pixels = pixels[:, pixels[0] != -1].astype(np.float64)
    np.testing.assert_allclose(got.mean, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got.covariance, np.cov(pixels, bias=True), rtol=1e-9)
    assert got.valid_share[0] == pixels.shape[1] / (40 * 64)
    assert got.names == ('1', '2', '3', '4', '5')
    assert got.source == 'Patches'
    assert failures == ()
    both, _ = dataset_statistics([patches, patches], nodata=-1)
    assert both.pixels == 2 * got.pixels
    np.testing.assert_allclose(both.std, got.std, rtol=1e-13)


def test_workers_do_not_matter() -> None:
    """They are threads that talk over TCP: jobs are tested with processes."""
    distributed = pytest.importorskip('distributed')
    alone, _ = dataset_statistics(Patches(70, (3,)), workers=0, retries=0)
    options = {'processes': False, 'protocol': 'tcp', 'dashboard_address': None}
    with distributed.LocalCluster(2, threads_per_worker=1, **options) as cluster:
        got, failures = dataset_statistics(
            Patches(70, (3,)),
            workers=None,
            scheduler=cluster.scheduler_address,
            retries=0,
        )
    assert same(got, alone)
    assert [failure.name for failure in failures] == ['sample 3']


def test_what_cannot_be_read_is_left_out() -> None:
    got, failures = dataset_statistics(Patches(40, (5, 33)), nodata=-1, retries=1)
    assert [str(failure) for failure in failures] == [
        'sample 5: OSError: patch 5 is torn (tried 2 times)',
        'sample 33: OSError: patch 33 is torn (tried 2 times)',
    ]
    assert got.pixels == 38 * 64
    with pytest.raises(EmptyDataError, match=r'No sample could be read.*patch 0 is'):
        dataset_statistics(Patches(20, tuple(range(20))))
    with pytest.raises(EmptyDataError, match='no sample'):
        dataset_statistics(Patches(0))


def test_few_parts_of_large_datasets() -> None:
    _, cut = parts.cut(range(100_000))
    assert len(cut) <= 512
    assert [place for part in cut for _, place in part] == list(range(100_000))
    packed = parts.PartStatistics(Patches(), -1, True, 0.001, 0)(cut[0][:16])
    # quantiles of so many bins alone take 200 kB
    assert len(packed) < 100_000


def test_samples_of_others() -> None:
    class NoImage(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return {'label': torch.tensor(1)}

    class OtherBands(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return {'image': torch.ones(3 + index // 20, 4, 4)}

    class OtherSensor(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            centre = torch.tensor([0.5, 0.6 + 0.1 * (index // 20)])
            return {'image': torch.ones(2, 4, 4), 'wavelength': centre}

    with pytest.raises(MetadataError, match='with an image, got label'):
        dataset_statistics(NoImage())
    with pytest.raises(BandMismatchError, match='Expected 3 bands in every sample'):
        dataset_statistics(OtherBands())
    with pytest.raises(BandMismatchError, match=r'Band 2 lies at 0\.7000'):
        dataset_statistics(OtherSensor())


def test_two_dates_in_one_sample() -> None:
    class Pairs(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            image = torch.stack([torch.ones(3, 4, 4), torch.full((3, 4, 4), 3.0)])
            valid = torch.ones(2, 4, 4, dtype=torch.bool)
            valid[1, :2] = False
            return {'image': image.flatten(0, 1), 'valid': valid}

    got, _ = dataset_statistics(Pairs(2))
    # 16 ones and 8 threes in each sample
    np.testing.assert_allclose(got.mean, [5 / 3] * 3)
    assert got.valid_share.tolist() == [0.75] * 3


def test_scenes(tiles: tuple[Path, Path]) -> None:
    scenes = EnMAPL2A(str(tiles[0]), quality=())
    got, _ = dataset_statistics(scenes)
    pixels = []
    for file in sorted(tiles[0].glob('*.tif')):
        with rasterio.open(file) as src:
            cube = src.read()
        pixels.append(cube.reshape(len(cube), -1))
    stacked = np.concatenate(pixels, axis=1).astype(np.float64)
    assert got.pixels == stacked.shape[1]
    stacked = stacked[:, stacked[0] != -32768]
    assert got.count.tolist() == [stacked.shape[1]] * 202
    assert got.names == scenes.bandset.names
    np.testing.assert_allclose(got.wavelength, scenes.bandset.wavelength)
    # the tiles hold all bands in the order of wavelength
    nominal = EnMAPL2A(str(tiles[0]), bands=list(range(224))).bandset.names
    at = [nominal.index(name) for name in got.names]
    np.testing.assert_allclose(got.mean, stacked[at].mean(axis=1), rtol=1e-10)
    np.testing.assert_allclose(got.std, stacked[at].std(axis=1), rtol=1e-9)


@pytest.fixture
def plain(tmp_path: Path) -> tuple[RasterDataset, np.ndarray]:
    """A dataset of torchgeo, which has no ``valid``; a band has nodata of its own."""
    rng = np.random.default_rng(0)
    cube = rng.integers(1, 900, (3, 300, 280)).astype(np.int16)
    cube[:, :40] = 0
    cube[1, 100:120] = 0
    with rasterio.open(
        tmp_path / 'scene.tif',
        'w',
        driver='GTiff',
        count=3,
        height=300,
        width=280,
        dtype='int16',
        crs='EPSG:32633',
        transform=Affine(30, 0, 366000, 0, -30, 5810000),
    ) as dst:
        dst.write(cube)
    return RasterDataset(str(tmp_path)), cube


def test_scenes_of_torchgeo(plain: tuple[RasterDataset, np.ndarray]) -> None:
    dataset, cube = plain
    got, _ = dataset_statistics(dataset, nodata=0)
    assert got.pixels == 300 * 280
    for band in range(3):
        values = cube[band][cube[band] != 0].astype(np.float64)
        assert got.count[band] == len(values)
        assert got.mean[band] == pytest.approx(values.mean(), rel=1e-12)
        assert got.std[band] == pytest.approx(values.std(), rel=1e-12)
    whole = cube.reshape(3, -1)[:, (cube != 0).all(axis=0).ravel()].astype(np.float64)
    np.testing.assert_allclose(got.covariance, np.cov(whole, bias=True), rtol=1e-9)
    everything, _ = dataset_statistics(dataset)
    assert everything.valid_share.tolist() == [1, 1, 1]
    assert everything.minimum.tolist() == [0, 0, 0]


def test_joined_scenes(tiles: tuple[Path, Path]) -> None:
    labels = LabelRaster(str(tiles[1]), classes=[1, 4, 7])
    scenes = EnMAPL2A(str(tiles[0]), bands=['B1', 'B40'])
    got, _ = dataset_statistics(scenes & labels)
    alone, _ = dataset_statistics(scenes)
    assert got.names == ('B1', 'B40')
    np.testing.assert_allclose(got.mean, alone.mean, rtol=1e-13)


def test_cubes_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, '_WINDOW', 4)
    fields = {'wavelength': '{' + ', '.join(map(str, CENTRES)) + '}'}
    fields['wavelength units'] = 'nm'
    cubes = [make_cube(seed=seed) for seed in range(2)]
    for number, cube in enumerate(cubes):
        cube[2, :3, number] = 0
        fields['data ignore value'] = '0'
        write_envi(tmp_path / f'{number}.bsq', cube, fields=fields)
    dataset = HSICube(tmp_path, patch_size=5, stride=2)
    got, _ = dataset_statistics(dataset)
    assert got.pixels == 2 * 63
    pixels = np.concatenate([cube.reshape(6, -1) for cube in cubes], 1)
    pixels = pixels[:, (pixels != 0).all(axis=0)].astype(np.float64)
    assert got.count.tolist() == [pixels.shape[1]] * 6
    np.testing.assert_allclose(got.mean, pixels.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(got.wavelength, np.array(CENTRES) / 1000)
    # the dataset of the caller is as it was
    assert len(dataset) == len(HSICube(tmp_path, patch_size=5, stride=2))


class TestFile:
    """A file gives the very same normalization as reading the training data."""

    def write(self, path: Path, dataset: Any) -> str:
        summary, _ = dataset_statistics(dataset)
        write_statistics_file(path, summary)
        return str(path)

    def test_is_as_good_as_training_data(self, make: Make, tmp_path: Path) -> None:
        want = make()
        want.setup('fit')
        file = self.write(tmp_path / 'stats.json', make().make_dataset('train'))
        got = make(statistics=file)
        got.setup('fit')
        assert torch.equal(got.mean, want.mean)
        assert torch.equal(got.std, want.std)
        sample = want.train_dataset[want.train_dataset.bounds]
        batch = {key: sample[key][None] for key in ('image', 'valid', 'mask')}
        a, b = (m.aug({k: v.clone() for k, v in batch.items()}) for m in (got, want))
        assert torch.equal(a['image'], b['image'])

    def test_some_of_its_bands(self, make: Make, tmp_path: Path) -> None:
        file = self.write(tmp_path / 'stats.json', make().make_dataset('train'))
        want = make(bands=['B60', 'B3']).normalization()
        got = make(bands=['B60', 'B3'], statistics=file).normalization()
        assert torch.equal(got.mean, want.mean)
        assert torch.equal(got.std, want.std)

    def test_bands_of_other_names(self, make: Make, tmp_path: Path) -> None:
        summary, _ = dataset_statistics(make().make_dataset('train'))
        other = {**vars(summary), 'names': tuple(f'x{i}' for i in range(202))}
        write_statistics_file(tmp_path / 'stats.json', BandSummary(**other))
        got = make(statistics=str(tmp_path / 'stats.json')).normalization()
        assert torch.equal(got.mean, make().normalization().mean)

    def test_bands_that_do_not_fit(self, make: Make, tmp_path: Path) -> None:
        few = make(bands=['B60', 'B3']).make_dataset('train')
        file = self.write(tmp_path / 'stats.json', few)
        with pytest.raises(
            BandMismatchError, match=r'stats\.json does not fit.*2 band'
        ):
            make(statistics=file).setup('fit')
        summary, _ = dataset_statistics(few)
        empty = {**vars(summary), 'count': np.array([0, 5])}
        write_statistics_file(tmp_path / 'empty.json', BandSummary(**empty))
        with pytest.raises(BandMismatchError, match=r'empty\.json has no statist.*B60'):
            make(bands=['B60'], statistics=str(tmp_path / 'empty.json')).normalization()

    def test_no_such_file(self, make: Make, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"'train', 'spectral_earth', or the path"):
            make(statistics='trian')
        (tmp_path / 'stats.json').write_text('{}')
        module = make(statistics=str(tmp_path / 'stats.json'))
        with pytest.raises(CorruptFileError, match='holds no band statistics'):
            module.setup('fit')

    def test_patches(self, tmp_path: Path) -> None:
        write_hyspecnet(tmp_path)
        train = HSIHySpecNet11k(str(tmp_path), 'train')
        file = self.write(tmp_path / 'stats.json', train)
        options: dict[str, Any] = {'batch_size': 2, 'bands': ['B60', 'B3']}
        module = HSIHySpecNet11kDataModule(str(tmp_path), statistics=file, **options)
        module.setup('fit')
        images = [s['image'][:, s['valid']] for s in (train[i] for i in range(6))]
        pixels = torch.cat(images, 1).double()
        at = train.bandset.indices(['B60', 'B3'])
        torch.testing.assert_close(module.mean.double(), pixels[at].mean(1))
        torch.testing.assert_close(module.std.double(), pixels[at].std(1, correction=0))
        published = HSIHySpecNet11kDataModule(str(tmp_path), **options)
        published.setup('fit')
        assert not torch.equal(published.mean, module.mean)
        with pytest.raises(ValueError, match=r"'enmap_spectral_earth'.*or the path"):
            HSIHySpecNet11kDataModule(str(tmp_path), statistics='other')
