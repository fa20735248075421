# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noises by name: each is what the literature defines, written here with loops."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from torchgeo_hsi.errors import UnknownNameError
from torchgeo_hsi.transforms import NoiseTransform, get_noise, list_noises

LEVELS = (10, 30, 50, 70)

#: Bands, rows and columns of the images: 10 bands are a third.
SHAPE = 31, 12, 64


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


# the definitions, with numpy, one band after the other


def non_iid(image: np.ndarray, rng: np.random.Generator) -> None:
    for band in image:
        band += rng.normal(0, rng.choice(LEVELS) / 255, band.shape)


def stripe(image: np.ndarray, bands: np.ndarray, rng: np.random.Generator) -> None:
    width = image.shape[2]
    for b in bands:
        number = rng.integers(math.floor(0.05 * width), math.floor(0.15 * width))
        for column in rng.permutation(width)[:number]:
            image[b, :, column] -= rng.uniform(-0.25, 0.25)


def deadline(image: np.ndarray, bands: np.ndarray, rng: np.random.Generator) -> None:
    width = image.shape[2]
    for b in bands:
        number = rng.integers(math.ceil(0.05 * width), math.ceil(0.15 * width))
        for column in rng.permutation(width)[:number]:
            image[b, :, column] = 0


def impulse(image: np.ndarray, bands: np.ndarray, rng: np.random.Generator) -> None:
    for b in bands:
        lost = rng.random(image.shape[1:]) < rng.choice([0.1, 0.3, 0.5, 0.7])
        salt = rng.random(image.shape[1:]) < 0.5
        image[b][lost & salt] = 1
        image[b][lost & ~salt] = 0


def reference(name: str, rng: np.random.Generator) -> np.ndarray:
    """Make one noisy image of a gray one."""
    image = np.full(SHAPE, 0.5)
    bands = rng.permutation(31)
    if name.startswith('t3sc'):
        if name == 't3sc_correlated':
            b = np.arange(31) / 31
            sigma = 23.08 * np.exp(-((b - 0.5) ** 2) / (4 * 0.157**2))
        elif name.startswith('t3sc_uniform'):
            sigma = rng.uniform(0, int(name[-2:]), 31)
        else:
            sigma = np.full(31, 25)
        image += rng.normal(0, 1, SHAPE) * sigma[:, None, None] / 255
        if name == 't3sc_stripes':
            stripe(image, bands[: int(0.33 * 31)], rng)
        return image
    if name.startswith('gaussian'):
        choices = {'blind': rng.uniform(10, 70), 'levels': rng.choice(LEVELS)}
        level = name.removeprefix('gaussian_')
        sigma = choices[level] if level in choices else float(level)
        return image + rng.normal(0, sigma / 255, SHAPE)
    non_iid(image, rng)
    if name in ('stripe', 'mixture'):
        stripe(image, bands[:10], rng)
    if name in ('deadline', 'mixture'):
        deadline(image, bands[10:20], rng)
    if name in ('impulse', 'mixture'):
        impulse(image, bands[20:30], rng)
    return image


def summary(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return numbers that differ between noises, one for each band or image."""
    spread = (images - 0.5).std((2, 3))
    columns = images.mean(2)
    return {
        'deviation': spread.ravel(),
        'of the image': spread.mean(1),
        'of columns': columns.std(2).ravel(),
        'brightest column': columns.max(2).ravel(),
        'darkest column': columns.min(2).ravel(),
        'largest': images.max((2, 3)).ravel(),
        'zeros': (images == 0).mean((2, 3)).ravel(),
        'ones': (images == 1).mean((2, 3)).ravel(),
        'bands with zeros': (images == 0).any((2, 3)).sum(1),
    }


@pytest.mark.parametrize(
    'name', sorted({*list_noises(), 'gaussian_12.5'} - {'complex', 'sensor'})
)
def test_as_defined(name: str) -> None:
    rng = np.random.default_rng(1)
    want = np.stack([reference(name, rng) for _ in range(100)])
    noise = get_noise(name, generator=seed())
    gray = torch.full((100, *SHAPE), 0.5, dtype=torch.float64)
    got = noise({'image': gray})['image'].numpy()
    if name.startswith('gaussian'):
        # bands of one level say the same 31 times
        want, got = want[:, :1], got[:, :1]
    pairs = zip(summary(want).items(), summary(got).values(), strict=True)
    for (key, one), other in pairs:
        assert stats.ks_2samp(one, other).pvalue > 1e-3, key


def test_the_comparison_sees_a_wrong_noise() -> None:
    rng = np.random.default_rng(1)
    images = {}
    for name in ('non_iid', 'stripe', 'deadline', 'impulse', 't3sc_stripes'):
        images[name] = summary(np.stack([reference(name, rng) for _ in range(100)]))
    for name, other in (
        ('non_iid', 'stripe'),
        ('stripe', 'deadline'),
        ('deadline', 'impulse'),
        ('t3sc_stripes', 'stripe'),
    ):
        pairs = zip(images[name].values(), images[other].values(), strict=True)
        assert min(stats.ks_2samp(*pair).pvalue for pair in pairs) < 1e-6


def kinds(noisy: torch.Tensor) -> list[str]:
    """Tell what happened to each band of a gray image without Gaussian noise."""
    names = []
    for band in noisy:
        values = set(band.unique().tolist())
        if values == {0.5}:
            names.append('clean')
        elif 1.0 in values:
            names.append('impulse')
        elif values == {0.0, 0.5}:
            names.append('deadline')
        else:
            assert torch.equal(band.amax(0), band.amin(0))
            names.append('stripe')
    return names


def test_mixture_has_three_sets_of_bands() -> None:
    noise = get_noise('mixture', sigma=0, generator=seed())
    for image in noise({'image': torch.full((20, *SHAPE), 0.5)})['image']:
        names = kinds(image)
        counts = {name: names.count(name) for name in set(names)}
        assert counts == {'clean': 1, 'stripe': 10, 'deadline': 10, 'impulse': 10}


def test_training_takes_the_kinds_in_turn_and_never_all() -> None:
    noise = get_noise('complex', sigma=0, generator=seed())
    images = noise({'image': torch.full((8, *SHAPE), 0.5)})['image']
    turns = ['clean', 'impulse', 'stripe', 'deadline'] * 2
    for image, name in zip(images, turns, strict=True):
        names = kinds(image)
        assert set(names) <= {'clean', name}
        assert names.count(name) == (31 if name == 'clean' else 10)


def test_training_at_random() -> None:
    noise = get_noise('complex', sigma=0, cyclic=False, generator=seed())
    images = noise({'image': torch.full((40, *SHAPE), 0.5)})['image']
    drawn = [(set(kinds(image)) - {'clean'} or {'clean'}).pop() for image in images]
    turns = ['clean', 'impulse', 'stripe', 'deadline'] * 10
    assert set(drawn) == set(turns)
    assert drawn != turns


def test_training_adds_gaussian_noise_always() -> None:
    sigma = get_noise('complex', generator=seed())({'image': torch.rand(8, *SHAPE)})[
        'sigma'
    ]
    assert set(sigma.unique().tolist()) == {10, 30, 50, 70}


def test_levels_in_turn() -> None:
    sigma = get_noise('gaussian_levels')({'image': torch.rand(5, *SHAPE)})['sigma']
    assert sigma[:, 0].tolist() == [10, 30, 50, 70, 10]


class TestSensor:
    def test_is_like_the_sensor(self) -> None:
        wavelength = torch.tensor([0.45, 0.6, 0.8, 1.2, 1.6, 2.0, 2.1, 2.2, 2.3, 2.4])
        given = {
            'image': torch.full((50, 10, 40, 40), 0.3),
            'wavelength': wavelength.expand(50, -1),
        }
        pair = get_noise('sensor', generator=seed())(given)
        ratio = 0.3 * 255 / pair['sigma']
        # at the level of the sensor, 4 times as much, and half of it; the map averages
        assert ratio[:, 7].max() < 149 * 2 / 0.6
        assert ratio[:, 7].min() > 149 / 4
        assert (ratio[:, 1] > 2 * ratio[:, 9]).all()
        residual = (pair['image'] - 0.3).numpy()
        # columns on top of the noise of pixels: rows are alike, bands as well
        alike = (residual[:, :, 1:] * residual[:, :, :-1]).mean((2, 3))
        share = alike / residual.var((2, 3))
        assert 0.25 < share.mean() < 0.5
        total = 255 * residual.std((2, 3)) / pair['sigma'].numpy()
        assert 1.02 < np.median(total) < 1.4

    def test_options(self) -> None:
        noise = get_noise('sensor', level=2.0, peak=1e4, clip=True)
        given = {'image': torch.full((5, 20, 20), 3000.0)}
        assert noise(given)['sigma'].min() > 0.05


@pytest.mark.parametrize('name', list_noises())
def test_every_name_takes_the_common_options(name: str) -> None:
    generator = seed()
    noise = get_noise(name, clip=True, peak=100.0, generator=generator)
    assert isinstance(noise, NoiseTransform)
    pair = noise({'image': 100 * torch.rand(2, *SHAPE, generator=seed(1))})
    assert pair['image'].min() >= 0
    assert pair['image'].max() <= 100
    modules = [m for m in noise.modules() if isinstance(m, NoiseTransform)]
    assert all(m.generator is generator for m in modules)
    # an unclipped one of this level leaves the range somewhere
    if name not in ('sensor', 't3sc_uniform_15'):
        free = get_noise(name, peak=100.0, generator=seed())
        noisy = free({'image': 100 * torch.rand(2, *SHAPE, generator=seed(1))})['image']
        assert noisy.min() < -5


def test_names() -> None:
    assert list_noises() == [
        'complex',
        'deadline',
        'gaussian_30',
        'gaussian_50',
        'gaussian_70',
        'gaussian_blind',
        'gaussian_levels',
        'impulse',
        'mixture',
        'non_iid',
        'sensor',
        'stripe',
        't3sc_constant',
        't3sc_correlated',
        't3sc_stripes',
        't3sc_uniform_15',
        't3sc_uniform_55',
        't3sc_uniform_95',
    ]
    assert list_noises('t3sc_uniform*') == list_noises()[-3:]


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean gaussian_30'):
        get_noise('gausian_30')


def test_unknown_option() -> None:
    with pytest.raises(
        TypeError, match=r"'non_iid' has no option level\. It has sigma"
    ):
        get_noise('non_iid', level=3)
