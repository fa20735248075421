# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Soil parameters of HYPERVIEW."""

import csv
import hashlib
import pickle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.spectral_earth_downstream.data import write_downstream, write_hyperview
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datasets import Hyperview
from torchgeo_hsi.datasets.spectral_earth import splits
from torchgeo_hsi.errors import BandMismatchError, CorruptFileError, EmptyDataError


@pytest.fixture(scope='session')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('hyperview') / 'data'
    write_downstream(root, 'hyperview')
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a data set that a test may change."""
    write_hyperview(tmp_path)
    return tmp_path


def table(root: Path, split: str) -> list[dict[str, str]]:
    path = root / 'hyperview' / 'splits' / 'hyperview' / f'{split}.csv'
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_samples(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    for split, size in (('train', 8), ('val', 4)):
        dataset = Hyperview(split=split)
        rows = table(tree, split)
        assert len(dataset) == len(rows) == size
        assert dataset.files == [f'{row["sample_index"]}.npz' for row in rows]
        assert dataset.scenes == [f'{row["company"]}/{row["field"]}' for row in rows]
        for row, sample in zip(rows, dataset, strict=True):
            path = tree / 'hyperview' / 'images' / f'{row["sample_index"]}.npz'
            arrays = np.load(path)
            assert sample['image'].dtype == sample['label'].dtype == torch.float32
            np.testing.assert_array_equal(sample['image'], arrays['data'])
            np.testing.assert_array_equal(sample['valid'], ~arrays['mask'][0])
            assert not sample['valid'][:2].any()
            assert sample['valid'][2:].all()
            wanted = [float(row[name]) for name in ('P', 'K', 'Mg', 'pH')]
            assert sample['label'].tolist() == pytest.approx(wanted, rel=1e-6)
    assert sample.keys() == {'image', 'valid', 'label', 'wavelength'}


def test_wavelengths(tree: Path) -> None:
    wavelength = Hyperview(tree)[0]['wavelength']
    assert wavelength.shape == (150,)
    assert wavelength[0].item() == pytest.approx(0.46208)
    assert wavelength[-1].item() == pytest.approx(0.93837)
    steps = wavelength.diff()
    assert steps.min() > 0.00315
    assert steps.max() < 0.00325


def test_official_sizes() -> None:
    known = splits.official_files()
    sizes = {s: known[f'hyperview/{s}.csv'][0] for s in ('train', 'val')}
    assert Hyperview.split_sizes == sizes


def test_bands(tree: Path) -> None:
    whole = Hyperview(tree)[1]
    part = Hyperview(tree, bands=['B100', 0.66, 0])[1]
    index = [99, 62, 0]
    assert torch.equal(part['image'], whole['image'][index])
    assert torch.equal(part['wavelength'], whole['wavelength'][index])


def cubic(values: np.ndarray, size: int) -> np.ndarray:
    """Resize a row by cubic convolution (a = -0.75), ends on ends."""

    def kernel(x: float) -> float:
        x, a = abs(x), -0.75
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    out = []
    for i in range(size):
        place = i * (len(values) - 1) / (size - 1)
        base = int(np.floor(place))
        total = 0.0
        for j in range(base - 1, base + 3):
            total += kernel(place - j) * values[min(max(j, 0), len(values) - 1)]
        out.append(total)
    return np.array(out)


def test_size(tree: Path) -> None:
    own, resized = Hyperview(tree), Hyperview(tree, size=24)
    for i in range(3):
        before, after = own[i], resized[i]
        assert after['image'].shape == (150, 24, 24)
        assert after['image'].dtype == torch.float32
        assert after['valid'].shape == (24, 24)
        assert after['valid'].dtype == torch.bool
        band = before['image'][7].numpy().astype(np.float64)
        rows = np.stack([cubic(row, 24) for row in band])
        expected = np.stack([cubic(column, 24) for column in rows.T]).T
        np.testing.assert_allclose(after['image'][7], expected, rtol=1e-4)
        height = before['valid'].shape[0]
        nearest = [before['valid'][row * height // 24, 0].item() for row in range(24)]
        assert after['valid'][:, 0].tolist() == nearest
    batch = next(iter(DataLoader(resized, batch_size=8, num_workers=1)))
    assert batch['image'].shape == (8, 150, 24, 24)
    assert batch['label'].shape == (8, 4)


def test_numbers_that_are_none(own: Path) -> None:
    dataset = Hyperview(own)
    path = own / 'hyperview' / 'images' / dataset.files[0]
    data = np.ones((150, 6, 7), np.float32)
    data[3, 4, 5] = np.nan
    # files without a mask are valid wherever there are numbers
    np.savez(path, data=data)
    sample = dataset[0]
    assert sample['image'][3, 4, 5] == 0
    assert (~sample['valid']).nonzero().tolist() == [[4, 5]]
    assert torch.equal(sample['image'].sum(), torch.tensor(150 * 42 - 1.0))


@pytest.mark.parametrize('shape', [(6, 7), (1, 6, 7), (150, 6, 7)])
def test_shapes_of_the_mask(own: Path, shape: tuple[int, ...]) -> None:
    dataset = Hyperview(own)
    mask = np.zeros(shape, np.uint8)
    mask[..., 2, 3] = 1
    path = own / 'hyperview' / 'images' / dataset.files[0]
    np.savez(path, data=np.ones((150, 6, 7)), mask=mask)
    assert (~dataset[0]['valid']).nonzero().tolist() == [[2, 3]]


def test_splits_by_field(tmp_path: Path) -> None:
    write_hyperview(tmp_path, sizes=(32, 8), fields=9)
    official = {s: Hyperview(tmp_path, s) for s in ('train', 'val')}
    parts = {s: Hyperview(tmp_path, s, split_by='scene') for s in official}
    assert set(official['train'].scenes) & set(official['val'].scenes)
    assert not set(parts['train'].scenes) & set(parts['val'].scenes)
    files = parts['train'].files + parts['val'].files
    assert sorted(files) == sorted(official['train'].files + official['val'].files)
    assert len(parts['train']) == pytest.approx(32, abs=2)
    # targets follow their samples
    truth = write_hyperview(tmp_path / 'again', sizes=(32, 8), fields=9)
    for file, sample in zip(parts['val'].files, parts['val'], strict=True):
        np.testing.assert_allclose(sample['label'], truth[file], rtol=1e-6)
    assert Hyperview(tmp_path, 'val', split_by='scene').files == parts['val'].files


def test_label_efficiency(tree: Path) -> None:
    # int(12 * 0.5) = 6 labels, of which int(6 * 0.7) = 4 train
    assert len(Hyperview(tree, fraction=0.5)) == 4
    assert len(Hyperview(tree, 'val', fraction=0.5)) == 2
    with pytest.raises(EmptyDataError, match='leaves no sample'):
        Hyperview(tree, fraction=0.05)


@pytest.mark.parametrize('images', ['train_data', 'train_data/train_data'])
def test_layout_of_the_challenge(tmp_path: Path, images: str) -> None:
    truth = write_hyperview(tmp_path, images=images)
    dataset = Hyperview(tmp_path / 'hyperview')
    expected = [truth[file] for file in dataset.files]
    got = [sample['label'].numpy() for sample in dataset]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_there_is_no_test_split(tree: Path) -> None:
    with pytest.raises(ValueError, match=r'no test split of HYPERVIEW.*split="val"'):
        Hyperview(tree, 'test')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'dev'}, 'Expected split'),
        ({'split_by': 'field'}, 'Expected split_by'),
        ({'fraction': -1}, 'Expected a fraction'),
        ({'size': 0}, 'Expected a positive size'),
    ],
)
def test_wrong_options(tree: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hyperview(tree, **options)


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        Hyperview(tmp_path)
    assert 'platform.ai4eo.eu' in caught.value.__notes__[0]


def test_missing_images(own: Path) -> None:
    gone = Hyperview(own).files[3]
    (own / 'hyperview' / 'images' / gone).unlink()
    with pytest.raises(FileNotFoundError, match=f'1 of 8 images .* e.g. {gone}'):
        Hyperview(own)


def test_missing_tables(own: Path) -> None:
    folder = own / 'hyperview' / 'splits'
    folder.rename(own / 'mine')
    with pytest.raises(FileNotFoundError, match=r'no train\.csv .* download=True'):
        Hyperview(own)
    assert len(Hyperview(own, split_dir=own / 'mine')) == 8


def test_download(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = own / 'published'
    (own / 'hyperview' / 'splits').rename(published)
    known = {
        f'hyperview/{path.name}': (0, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in published.rglob('*.csv')
    }
    monkeypatch.setattr(splits, 'official_files', lambda: known)
    monkeypatch.setattr(splits, 'URL', f'{published.as_uri()}/')
    assert len(Hyperview(own, download=True)) == 8
    assert len(Hyperview(own, 'val')) == 4


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        ('', EmptyDataError),
        ('sample_index,company,field,P,K,Mg,pH\n', EmptyDataError),
        ('<html>\n<body>\n', CorruptFileError),
        ('sample_index,company,field,P,K,Mg\n0,A,1,0,0,0\n', CorruptFileError),
        ('sample_index,field,P,K,Mg,pH\n0,1,0,0,0,0\n', CorruptFileError),
        ('sample_index,company,field,P,K,Mg,pH\n0,A,1,0,0,0\n', CorruptFileError),
        ('sample_index,company,field,P,K,Mg,pH\n0,A,1,0,0,nan,0\n', CorruptFileError),
        ('sample_index,company,field,P,K,Mg,pH\nx,A,1,0,0,0,0\n', CorruptFileError),
        (b'\xff\xfe noise', CorruptFileError),
        ('x' * 200_000, CorruptFileError),
    ],
)
def test_damaged_tables(own: Path, text: str | bytes, error: type[Exception]) -> None:
    path = own / 'hyperview' / 'splits' / 'hyperview' / 'train.csv'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(error, match=r'train\.csv'):
        Hyperview(own)


@pytest.mark.parametrize('damage', ['cut', 'empty', 'text', 'other', 'pickle'])
def test_damaged_images(own: Path, damage: str) -> None:
    dataset = Hyperview(own)
    path = own / 'hyperview' / 'images' / dataset.files[2]
    whole = path.read_bytes()
    if damage == 'other':
        np.savez(path, image=np.ones((150, 2, 2)))
    elif damage == 'pickle':
        np.savez(path, data=np.array([{}], dtype=object))
    else:
        text = {'cut': whole[:5000], 'empty': b'', 'text': b'<html></html>'}
        path.write_bytes(text[damage])
    with pytest.raises(CorruptFileError, match=path.name):
        dataset[2]


def test_other_shapes(own: Path) -> None:
    dataset = Hyperview(own)
    path = own / 'hyperview' / 'images' / dataset.files[0]
    for shape in ((149, 4, 4), (150, 16)):
        np.savez(path, data=np.ones(shape))
        with pytest.raises(BandMismatchError, match='Expected 150 bands'):
            dataset[0]


def test_plot_transforms_and_pickle(tree: Path) -> None:
    dataset = Hyperview(tree)
    sample = dataset[0]
    figure = dataset.plot(sample)
    words = figure.get_suptitle().split(', ')
    assert [word.split()[0] for word in words] == ['P', 'K', 'Mg', 'pH']
    shown = [float(word.split()[1]) for word in words]
    assert shown == pytest.approx(sample['label'].tolist(), abs=0.006)
    plt.close(figure)
    changed = Hyperview(tree, transforms=lambda s: {'label': s['label'] + 1})
    assert torch.equal(changed[0]['label'], sample['label'] + 1)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0]['image'], sample['image'])
