# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_hsi.datasets import (
    EnMAPL2A,
    class_map,
    false_color,
    plot_sample,
    plot_spectrum,
    true_color,
)
from torchgeo_hsi.datasets.plotting import CLASS_COLORS, NODATA_GRAY
from torchgeo_hsi.errors import BandMismatchError, UnitError

#: VNIR and SWIR with the two gaps of the water vapour windows.
WAVELENGTH = torch.cat(
    [
        torch.linspace(0.42, 1.28, 60),
        torch.linspace(1.53, 1.73, 20),
        torch.linspace(1.98, 2.44, 40),
    ]
)
GRAY = to_rgb(NODATA_GRAY)


@pytest.fixture(autouse=True)
def close_figures() -> None:
    plt.close('all')


def make_sample() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(len(WAVELENGTH), 8, 9, generator=generator) * 3000 + 100
    valid = torch.ones(8, 9, dtype=torch.bool)
    valid[:2, :3] = False
    mask = torch.arange(72).reshape(8, 9) % 4
    return {'image': image, 'valid': valid, 'mask': mask, 'wavelength': WAVELENGTH}


def nearest(target: float) -> int:
    return int((WAVELENGTH - target).abs().argmin())


def test_true_color_is_stretched_over_valid_pixels() -> None:
    sample = make_sample()
    image, valid = sample['image'], sample['valid'].numpy()
    rgb = true_color(image, WAVELENGTH, valid)
    for channel, target in enumerate((0.640, 0.555, 0.468)):
        values = image[nearest(target)].numpy()[valid].astype(float)
        low, high = np.percentile(values, [2, 98])
        expected = np.clip((values - low) / (high - low), 0, 1)
        np.testing.assert_allclose(rgb[..., channel][valid], expected, atol=1e-6)
    np.testing.assert_allclose(rgb[~valid], np.tile(GRAY, (6, 1)), atol=1e-6)


@pytest.mark.parametrize('stored', [-32768.0, 1e9, float('nan')])
def test_invalid_pixels_change_nothing(stored: float) -> None:
    sample = make_sample()
    changed = {**sample, 'image': sample['image'].clone()}
    changed['image'][:, ~sample['valid']] = stored
    figures = [plot_sample(s) for s in (sample, changed)]
    for one, two in zip(*(fig.axes for fig in figures), strict=True):
        for first, second in zip(one.images, two.images, strict=True):
            np.testing.assert_array_equal(first.get_array(), second.get_array())
        for left, right in zip(one.lines, two.lines, strict=True):
            np.testing.assert_array_equal(left.get_ydata(), right.get_ydata())


def test_nan_is_gray_even_if_nobody_says_so() -> None:
    image = make_sample()['image']
    image[:, 0, 0] = float('nan')
    np.testing.assert_allclose(true_color(image, WAVELENGTH)[0, 0], GRAY, atol=1e-6)


def test_constant_band() -> None:
    image = torch.full((3, 4, 4), 7.0)
    rgb = true_color(image, [0.64, 0.555, 0.468])
    np.testing.assert_array_equal(rgb, 0.5)


def test_missing_visible_bands() -> None:
    image = make_sample()['image']
    keep = WAVELENGTH > 0.8
    with pytest.raises(RGBBandsMissingError):
        true_color(image[keep], WAVELENGTH[keep])
    with pytest.raises(RGBBandsMissingError):
        plot_sample({'image': image[keep], 'wavelength': WAVELENGTH[keep]})
    # one visible band is enough for a view in gray
    rgb = true_color(image[:1], [0.65])
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])


def test_false_color() -> None:
    image = make_sample()['image']
    result = false_color(image, WAVELENGTH)
    assert result is not None
    rgb, shown = result
    assert rgb.shape == (8, 9, 3)
    np.testing.assert_allclose(shown, [0.860, 0.660, 0.560], atol=0.01)
    infrared = WAVELENGTH > 1.2
    result = false_color(image[infrared], WAVELENGTH[infrared])
    assert result is not None
    np.testing.assert_allclose(result[1], [2.2, 1.65, 1.23], atol=0.02)
    visible = WAVELENGTH < 0.7
    assert false_color(image[visible], WAVELENGTH[visible]) is None


def test_units() -> None:
    image = make_sample()['image']
    for function in (true_color, false_color, plot_spectrum):
        with pytest.raises(UnitError):
            function(image, WAVELENGTH * 1e3)
        with pytest.raises(BandMismatchError):
            function(image, WAVELENGTH[:-1])


def test_class_map() -> None:
    mask = torch.tensor([[0, 1], [2, 15]])
    valid = torch.tensor([[True, False], [True, True]])
    rgb = class_map(mask, valid, ignore_index=0)
    np.testing.assert_allclose(rgb[0, 0], GRAY, atol=1e-6)
    np.testing.assert_allclose(rgb[0, 1], GRAY, atol=1e-6)
    np.testing.assert_allclose(rgb[1, 0], to_rgb(CLASS_COLORS[2]), atol=1e-6)
    repeated = CLASS_COLORS[15 % len(CLASS_COLORS)]
    np.testing.assert_allclose(rgb[1, 1], to_rgb(repeated), atol=1e-6)
    named = class_map(mask, colors={2: 'red'})
    np.testing.assert_allclose(named[1, 0], to_rgb('red'))
    np.testing.assert_allclose(named[0, 0], GRAY, atol=1e-6)


def test_panels_and_titles() -> None:
    sample = make_sample()
    sample['prediction'] = sample['mask']
    fig = plot_sample(sample, suptitle='scene', class_names=['a', 'b', 'c', 'd'])
    titles = [ax.get_title().split('\n')[0] for ax in fig.axes]
    assert titles == [
        'True color',
        'False color',
        'Mask',
        'Prediction',
        'Mean spectrum of the valid pixels',
    ]
    assert fig.get_suptitle() == 'scene'
    legend = fig.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list('abcd')
    bare = plot_sample(sample, show_titles=False)
    assert not any(ax.get_title() for ax in bare.axes)


def test_legend_lists_what_is_there() -> None:
    sample = make_sample()
    sample['mask'][sample['valid']] = 3
    sample['mask'][~sample['valid']] = 1
    fig = plot_sample(sample, class_names={3: 'water'}, ignore_index=0)
    legend = fig.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ['water']


def test_many_classes() -> None:
    sample = make_sample()
    sample['mask'] = torch.arange(72).reshape(8, 9)
    legend = plot_sample(sample).axes[2].get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    # all classes of any of the standard benchmarks
    assert texts[-1] == 'and 42 more'
    assert len(texts) == 25


def test_long_names_leave_room_for_the_maps() -> None:
    sample = make_sample()
    sample['mask'] = torch.arange(72).reshape(8, 9) % 2 + 1
    names = {1: 'Buildings-Grass-Trees-Drives', 2: 'Stone-Steel-Towers'}
    legend = plot_sample(sample, class_names=names).axes[2].get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ['Buildings-Grass-Tr…', 'Stone-Steel-Towers']


def test_spectrum_is_not_drawn_over_gaps() -> None:
    sample = make_sample()
    good = torch.ones(len(WAVELENGTH), dtype=torch.bool)
    good[30:33] = False
    ax = plot_spectrum(sample['image'], WAVELENGTH, sample['valid'], good=good)
    lines = [line for line in ax.lines if len(line.get_xdata())]
    ranges = [(min(line.get_xdata()), max(line.get_xdata())) for line in lines]
    centers = WAVELENGTH.double().numpy()
    expected = [(0, 29), (33, 59), (60, 79), (80, 119)]
    np.testing.assert_allclose(ranges, [(centers[a], centers[b]) for a, b in expected])
    valid = sample['valid']
    mean = torch.cat(
        [sample['image'][a : b + 1][:, valid].double().mean(1) for a, b in expected]
    )
    drawn = np.concatenate([line.get_ydata() for line in lines])
    np.testing.assert_allclose(drawn, mean / 1e4, rtol=1e-6)
    assert ax.get_xlabel() == 'Wavelength (µm)'
    assert ax.get_ylabel() == 'Reflectance'


def test_spectrum_in_the_order_of_the_detectors() -> None:
    image = make_sample()['image']
    order = torch.randperm(len(WAVELENGTH), generator=torch.Generator().manual_seed(1))
    straight = plot_spectrum(image, WAVELENGTH)
    shuffled = plot_spectrum(image[order], WAVELENGTH[order])
    for one, two in zip(straight.lines, shuffled.lines, strict=True):
        np.testing.assert_array_equal(one.get_ydata(), two.get_ydata())


def test_few_bands_are_joined() -> None:
    image = torch.rand(4, 3, 3)
    ax = plot_spectrum(image, [0.49, 0.56, 0.86, 2.2], scale=None)
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert len(lines) == 1
    assert ax.get_ylabel() == 'Value'


def test_single_band_and_no_wavelengths() -> None:
    assert plot_spectrum(torch.rand(1, 3, 3), [0.5]).get_xlabel() == 'Wavelength (µm)'
    assert plot_spectrum(torch.rand(5, 3, 3)).get_xlabel() == 'Band'


def test_no_valid_pixel() -> None:
    sample = make_sample()
    sample['valid'][:] = False
    fig = plot_sample(sample)
    assert fig.axes[-1].texts[0].get_text() == 'no valid pixel'
    np.testing.assert_allclose(fig.axes[0].images[0].get_array()[0, 0], GRAY, atol=1e-6)


def test_bad_flags() -> None:
    with pytest.raises(BandMismatchError, match='120 flags'):
        plot_spectrum(make_sample()['image'], WAVELENGTH, good=[True])


def test_half_precision() -> None:
    sample = make_sample()
    sample['image'] = sample['image'].bfloat16()
    assert len(plot_sample(sample).axes) == 4


@pytest.mark.realdata
def test_potsdam(potsdam: Path, tmp_path: Path) -> None:
    dataset = EnMAPL2A(potsdam / 'images')
    x, y, _ = dataset.bounds
    fig = dataset.plot(dataset[x, y], suptitle='Potsdam')
    assert fig.axes[0].get_title() == 'True color\n0.641/0.556/0.468 µm'
    # the picture is neither empty nor saturated
    view = fig.axes[0].images[0].get_array()
    seen = view[~np.isclose(view, GRAY, atol=1e-3).all(axis=-1)]
    assert 0.2 < seen.mean() < 0.6
    fig.savefig(tmp_path / 'potsdam.png')
    assert (tmp_path / 'potsdam.png').stat().st_size > 20_000
