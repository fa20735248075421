# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The super-resolution data module: pairs, and the kinds of its batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import scipy.io
import torch
from datamodules.superresolution.parts import AXIS, BANDS, drawn, module
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnitError
from torchgeo_hsi.physics.resampling import imresize_down
from torchgeo_hsi.physics.rgb import conversion_matrix, rgb_to_groups
from torchgeo_hsi.transforms import Downscale, SpectralMixup


def stored(root: Path, name: str) -> np.ndarray[Any, Any]:
    with rasterio.open(root / f'{name}.tif') as src:
        return src.read().astype('float64')


def test_pairs_are_parts_of_the_cubes(root: Path) -> None:
    data = module(root, train=str(root / 'b.tif'), patch_size=16, dihedral=False)
    found = drawn(data)
    assert len(found) == 4
    for batch in found:
        assert batch['modality'] == 'spectral'
        assert 'kind' not in batch
        image, target = batch['image'], batch['target']
        assert image.shape == (2, BANDS, 16, 16)
        physical = target * batch['scale'][:, None, None, None]
        physical += batch['offset'][:, None, None, None]
        assert np.allclose(physical, stored(root, 'b'), atol=0.01)
        # inside of the image, antialiased bicubic is what it is everywhere
        other = F.interpolate(
            target, (16, 16), mode='bicubic', antialias=True, align_corners=False
        )
        assert torch.allclose(image[..., 4:-4, 4:-4], other[..., 4:-4, 4:-4], atol=1e-4)
        assert batch['valid'].shape == (2, 16, 16)
        assert batch['target_valid'].shape == (2, 32, 32)
        assert batch['wavelength'].shape == (2, BANDS)


def test_crops_are_moved(root: Path) -> None:
    torch.manual_seed(0)
    cube = torch.from_numpy(stored(root, 'b'))
    places = {
        tuple(move.flip(-1).flatten().tolist() if flip else move.flatten().tolist())
        for move in (torch.rot90(cube, turns, (1, 2)) for turns in range(4))
        for flip in (False, True)
    }
    assert len(places) == 8
    data = module(root, train=str(root / 'b.tif'), patch_size=16, length=40)
    seen = set()
    for batch in drawn(data):
        physical = batch['target'].double() * batch['scale'][:, None, None, None]
        physical += batch['offset'][:, None, None, None]
        seen |= {tuple(one.round().flatten().tolist()) for one in physical}
    assert seen == places


@pytest.mark.parametrize(
    ('options', 'transform'),
    [
        ({'degradation': 'gaussian'}, {'kernel': 'gaussian', 'sigma': 1.0}),
        ({'degradation': 'mtf'}, {'kernel': 'mtf', 'gain': 0.3}),
        ({'degradation': Downscale(4, 'box'), 'scale': 4}, {'kernel': 'box'}),
    ],
)
def test_degradations(
    root: Path, options: dict[str, Any], transform: dict[str, Any]
) -> None:
    (batch, *_) = drawn(module(root, **options, patch_size=8))
    downscale = Downscale(options.get('scale', 2), **transform)
    assert torch.allclose(batch['image'], downscale.reduce(batch['target']), atol=1e-6)
    assert batch['image'].shape[-2:] == (8, 8)


def test_noise_is_in_the_coarse_image(root: Path) -> None:
    data = module(root, noise='gaussian_30', patch_size=16, length=40)
    noise = torch.cat([b['image'] - imresize_down(b['target'], 2) for b in drawn(data)])
    assert noise.std() == pytest.approx(30 / 255, rel=0.05)


def test_validation_is_the_same_every_time(root: Path) -> None:
    path = str(root / 'c.tif')
    data = module(root, val=path, noise='gaussian_20', scale=3, eval_patch_size=12)
    data.setup('validate')
    first, second = ([sample['image'] for sample in data.val_dataset] for _ in range(2))
    assert len(first) == 4
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0] - first[1], first[2] - first[3])
    sample = data.val_dataset[0]
    assert sample['image'].shape == (BANDS, 4, 4)
    assert sample['target'].shape == (BANDS, 12, 12)
    physical = sample['target'] * sample['scale'] + sample['offset']
    assert np.allclose(physical, stored(root, 'c')[:, :12, :12], atol=0.01)
    state = torch.get_rng_state()
    data.val_dataset[1]
    assert torch.equal(state, torch.get_rng_state())


def test_mixup_is_one_matrix_for_both(root: Path) -> None:
    torch.manual_seed(0)
    options = {'cycle': {'spectral': 0}, 'patch_size': 16, 'dihedral': False}
    data = module(root, train=str(root / 'b.tif'), mixup=True, **options)
    cube = torch.from_numpy(stored(root, 'b')).float().flatten(1)
    seen = []
    for batch in drawn(data):
        assert batch['modality'] == 'spectral'
        assert torch.allclose(
            batch['image'], imresize_down(batch['target'], 2), atol=1e-4
        )
        before = (cube - batch['offset'][0]) / batch['scale'][0]
        after = batch['target'][0].flatten(1)
        matrix = torch.linalg.lstsq(before.mT.double(), after.mT.double()).solution
        mixing = 2 * matrix - torch.eye(BANDS)
        assert mixing.sum(0).mean() == pytest.approx(1, abs=1e-3)
        assert mixing.min() > -1e-3
        assert torch.allclose(batch['target'][0], batch['target'][1])
        seen.append(mixing)
    assert not torch.allclose(seen[0], seen[1], atol=1e-2)
    # its options are those of the transform
    data = module(root, mixup=SpectralMixup(keep=1.0), **options)
    for batch in drawn(data):
        assert batch['target'].min() >= 0
        assert batch['target'].max() <= 1.01


def test_photographs(root: Path) -> None:
    torch.manual_seed(0)
    options = {'rgb': str(root / 'photographs'), 'cycle': {'spectral': 0}}
    data = module(root, **options, dihedral=False, rgb_channels=5, length=16)
    photos = [
        np.asarray(Image.open(root / 'photographs' / f'{n}.png')) / 255 for n in (0, 1)
    ]
    windows = [
        np.lib.stride_tricks.sliding_window_view(photo, (16, 16), (0, 1))
        for photo in photos
    ]
    matrix = rgb_to_groups(5).numpy()
    for batch in drawn(data):
        assert batch['modality'] == 'rgb'
        assert 'wavelength' not in batch
        image, target = batch['image'], batch['target']
        assert image.shape == (2, 5, 8, 8)
        assert torch.allclose(image, imresize_down(target, 2), atol=1e-5)
        for one in target.numpy():
            # the first and the last channel are red and blue
            ends = np.stack([one[0], one[-1]])
            error = min(
                np.abs(w[:, :, [0, 2]] - ends).max((2, 3, 4)).min() for w in windows
            )
            assert error < 1e-5
            color = np.linalg.lstsq(matrix.T, one.reshape(5, -1), rcond=None)
            assert np.abs(color[1]).max() < 1e-8
    in_memory = drawn(module(root, **options, rgb_options={'in_memory': True}))
    assert in_memory[0]['target'].shape == (2, 8, 16, 16)


class Photographs(NonGeoDataset):
    """Images as data sets of torchgeo return them."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'image': self.image}


def test_color_images_of_datasets(root: Path) -> None:
    torch.manual_seed(0)
    cycle = {'spectral': 0}
    image = 200 * torch.rand(4, 20, 20) + 2
    data = module(
        root, rgb=Photographs(image), cycle=cycle, rgb_options={'bands': [3, 1, 0]}
    )
    (batch, *_) = drawn(data)
    red = batch['target'][:, 0]
    assert torch.isin(red.flatten(), (image[3] / 255).flatten()).all()
    for wrong, error, words in (
        (image[:2], BandMismatchError, 'rgb_options'),
        (100 * image, UnitError, 'rgb_options'),
    ):
        with pytest.raises(error, match=words):
            drawn(module(root, rgb=Photographs(wrong), cycle=cycle))
    data = module(
        root, rgb=Photographs(100 * image), cycle=cycle, rgb_options={'peak': 25_500}
    )
    assert drawn(data)[0]['target'].max() <= 1
    # reflectance of snow is above 1, and no image of 8 bits
    snow = 1.2 * torch.rand(4, 20, 20) + 0.2
    target = drawn(module(root, rgb=Photographs(snow), cycle=cycle))[0]['target']
    assert torch.isin(target[:, 0].flatten(), snow[0].flatten()).all()
    with pytest.raises(DatasetNotFoundError, match='No image fits'):
        drawn(module(root, rgb=str(root / 'nowhere')))


def test_what_a_camera_would_see(root: Path) -> None:
    options = {'rgb': 'synthetic', 'cycle': {'spectral': 0}, 'dihedral': False}
    data = module(root, train=str(root / 'b.tif'), patch_size=16, **options)
    (batch, *_) = drawn(data)
    matrix = conversion_matrix(AXIS.wavelength, AXIS.fwhm)
    cube = data.train_dataset.crops['rgb'].cubes[0].cut()['image']
    expected = torch.einsum('chw,cn->nhw', cube.double(), matrix)
    assert torch.allclose(batch['target'][0].double(), expected, atol=1e-5)
    data = module(root, **options, visible_bands=[9, 5, 1])
    (batch, *_) = drawn(data)
    assert batch['image'].shape == (2, 8, 8, 8)


def test_coarse_cubes_have_no_target(root: Path) -> None:
    data = module(root, coarse=str(root / 'c.tif'), patch_size=24, length=4)
    found = drawn(data, epochs=4)
    (batch, *_) = [batch for batch in found if batch['modality'] == 'coarse']
    assert batch['image'].shape == (2, BANDS, 24, 24)
    assert 'target' not in batch
    assert batch['wavelength'].shape == (2, BANDS)


def test_colors_of_bands_from_anywhere(root: Path) -> None:
    """Positions of colors mean nothing in a part of the spectrum that is drawn."""
    for options, word in (
        ({'rgb': 'synthetic'}, "rgb='synthetic'"),
        ({'rgb': 'synthetic', 'visible_bands': [5, 3, 1]}, "rgb='synthetic'"),
        ({'coarse': str(root / 'c.tif')}, 'coarse='),
    ):
        with pytest.raises(BandMismatchError, match=f'{word} needs red'):
            module(root, num_bands=8, **options).setup('fit')
        module(root, num_bands=BANDS, **options).setup('fit')
    module(root, num_bands=8, rgb=str(root / 'photographs')).setup('fit')


def test_colors_of_cubes_without_wavelengths(root: Path, tmp_path: Path) -> None:
    cube = np.random.default_rng(0).integers(1, 3000, (24, 24, 6)).astype('int16')
    scipy.io.savemat(tmp_path / 'plain.mat', {'data': cube})
    options = {'train': str(tmp_path / 'plain.mat'), 'rgb': 'synthetic'}
    with pytest.raises(MetadataError, match='Pass visible_bands='):
        module(root, **options).setup('fit')
    found = drawn(module(root, **options, visible_bands=[5, 3, 1]))
    assert {batch['modality'] for batch in found} == {'spectral', 'rgb'}
    with pytest.raises(BandMismatchError, match='red, green and blue'):
        module(root, **options, visible_bands=[5, 3])


def test_bands_by_position_or_wavelength(root: Path) -> None:
    wanted = [0.70, 0.44, 0.5]
    nearest = [int(np.abs(AXIS.wavelength - w).argmin()) for w in wanted]
    for bands in (wanted, nearest):
        (batch, *_) = drawn(module(root, bands=bands))
        assert batch['image'].shape[1] == 3
        axis = batch['wavelength'][0].tolist()
        assert axis == pytest.approx(AXIS.wavelength[nearest])
    data = module(root, bands=wanted, predict=str(root / 'c.tif'))
    data.setup('predict')
    (sample,) = data.predict_dataset
    physical = sample['image'] * sample['scale'] + sample['offset']
    assert np.allclose(physical, stored(root, 'c')[nearest], atol=0.01)
    assert sample['wavelength'].tolist() == pytest.approx(AXIS.wavelength[nearest])
    with pytest.raises(BandMismatchError, match='more than one'):
        drawn(module(root, bands=[1, 1]))
    (batch, *_) = drawn(module(root, num_bands=5))
    assert batch['image'].shape[1] == 5


def test_bands_of_cubes_without_wavelengths(root: Path, tmp_path: Path) -> None:
    cube = np.random.default_rng(0).integers(1, 3000, (24, 24, 6)).astype('int16')
    scipy.io.savemat(tmp_path / 'plain.mat', {'data': cube})
    train = str(tmp_path / 'plain.mat')
    (batch, *_) = drawn(module(root, train=train, bands=[4, 2]))
    assert batch['image'].shape[1] == 2
    with pytest.raises(MetadataError, match='by position'):
        drawn(module(root, train=train, bands=[0.5]))


class Patches(NonGeoDataset):
    """Patches that are read one by one, with a clean image."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        clean = torch.full((BANDS, 20, 20), 0.25 + index / 10)
        noisy = clean + torch.rand(BANDS, 20, 20)
        return {
            'image': noisy,
            'target': clean,
            'wavelength': torch.tensor(AXIS.wavelength),
        }


def test_patches_that_do_not_fit_into_memory(root: Path) -> None:
    options = {'train': Patches(), 'val': Patches(), 'in_memory': False}
    data = module(root, **options, scaling=1.0, bands=[3, 1], predict=Patches())
    for batch in drawn(data):
        assert batch['target'].shape == (2, 2, 16, 16)
        # the clean image is the target
        assert torch.allclose(batch['target'].std((1, 2, 3)), torch.zeros(2), atol=1e-6)
    data.setup('validate')
    assert len(data.val_dataset) == 5
    assert data.val_dataset[3]['image'].shape == (2, 10, 10)
    data.setup('predict')
    assert data.predict_dataset[0]['image'].shape == (2, 20, 20)
