# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the figures of restoration."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import Logger
from matplotlib.colors import to_rgb
from tasks.restoration import BANDS, Half, Pairs, Residual, loader, registered, trainer
from torch import Tensor

from torchgeo_hsi.callbacks import SpectralFigures, draw_restoration
from torchgeo_hsi.callbacks._cube_figure import choose_pixels
from torchgeo_hsi.datasets.plotting import NODATA_GRAY
from torchgeo_hsi.errors import OutputError, UnitError
from torchgeo_hsi.metrics import mpsnr
from torchgeo_hsi.tasks import HSIDenoising


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    with registered(residual=Residual, half=Half):
        yield
    assert not plt.get_fignums()


class FigureLogger(Logger):
    """Keeps what it gets, as that of TensorBoard does."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[tuple[str, int]] = []

    @property
    def experiment(self) -> Any:
        return self

    def add_figure(self, name: str, figure: Any, global_step: int, close: bool) -> None:
        assert len(figure.axes) >= 5
        self.figures.append((name, global_step))

    name = version = 'figures'

    def log_metrics(self, *args: Any, **kwargs: Any) -> None: ...

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...


def test_logger_and_folder(tmp_path: Path) -> None:
    figures = SpectralFigures(tmp_path, count=2, every_n_epochs=2)
    logger = FigureLogger()
    run = trainer(tmp_path, epochs=3, callbacks=[figures], logger=logger)
    run.fit(HSIDenoising('residual'), loader(Pairs(4)), loader(Pairs(3), 1))
    # not in the check before the training; each batch has one sample
    names = [f'val/restoration_{k}' for k in range(2)]
    assert logger.figures == [(n, 1) for n in names] + [(n, 3) for n in names]
    written = sorted(path.name for path in tmp_path.glob('*.png'))
    assert written == [f'val_{k}_epoch_{e:04d}.png' for k in range(2) for e in (0, 2)]
    run.test(HSIDenoising('residual'), loader(Pairs(1)), verbose=False)
    assert logger.figures[-1][0] == 'test/restoration_0'
    assert plt.imread(tmp_path / 'test_0_epoch_0003.png').ndim == 3


def test_without_a_place_nothing_is_written(tmp_path: Path) -> None:
    run = trainer(tmp_path, callbacks=[SpectralFigures()])
    run.test(HSIDenoising('half'), loader(Pairs()), verbose=False)
    assert not list(tmp_path.iterdir())


def sample(**more: Tensor) -> dict[str, Tensor]:
    return Pairs(1, **more)[0]


def test_panels() -> None:
    wavelength = torch.linspace(0.46, 0.66, BANDS)
    valid = torch.ones(16, 16, dtype=torch.bool)
    valid[:4] = False
    given = sample(wavelength=wavelength, valid=valid)
    restored = (given['image'] + given['target']) / 2
    figure = draw_restoration(given, restored, num_spectra=2)
    try:
        axes = figure.axes
        titles = [ax.get_title() for ax in axes[:4]]
        noisy = mpsnr(given['image'], given['target'], valid)
        better = mpsnr(restored, given['target'], valid)
        assert titles[:3] == [
            f'Noisy\n{noisy:.2f} dB',
            f'Restored\n{better:.2f} dB',
            'Truth',
        ]
        assert titles[3].startswith('Error')
        views = [np.asarray(ax.images[0].get_array()) for ax in axes[:3]]
        for view in views:
            assert np.allclose(view[:4], to_rgb(NODATA_GRAY), atol=1e-6)
        # one stretch for all: where nothing is cut off, the middle stays the middle
        inside = np.all([(v > 0) & (v < 1) for v in views], axis=0)
        inside[:4] = False
        assert inside.sum() > 50
        middle = (views[0] + views[2]) / 2
        assert np.allclose(views[1][inside], middle[inside], atol=1e-4)
        error = np.asarray(axes[3].images[0].get_array())
        assert np.isnan(error[:4]).all()
        rms = (restored - given['target']).square().mean(0).sqrt()
        assert np.allclose(error[4:], rms[4:], atol=1e-6)
        spectra = next(ax for ax in axes if ax.get_xlabel() == 'Wavelength (µm)')
        assert len(spectra.lines) == 6
        assert np.allclose(spectra.lines[0].get_xdata(), wavelength)
    finally:
        plt.close(figure)


def test_unknown_truth_and_wavelength() -> None:
    given = Pairs(1, clean=False)[0]
    figure = draw_restoration(given, given['image'] / 2)
    try:
        assert [ax.get_title() for ax in figure.axes[:2]] == ['Noisy', 'Restored']
        assert figure.axes[2].get_title().startswith('What was taken out')
        assert any(ax.get_xlabel() == 'Band' for ax in figure.axes)
    finally:
        plt.close(figure)


def spectra_of(given: dict[str, Tensor], restored: Tensor, **options: int) -> Any:
    figure = draw_restoration(given, restored, **options)
    (axes,) = (ax for ax in figure.axes if ax.get_xlabel() == 'Wavelength (µm)')
    plt.close(figure)
    return axes


def test_no_line_where_no_band_has_measured() -> None:
    wavelength = torch.cat(
        [torch.linspace(0.9, 1.33, 40), torch.linspace(1.48, 1.8, 30)]
    )
    image = torch.rand(70, 12, 12)
    given = {'image': image, 'target': image, 'wavelength': wavelength}
    axes = spectra_of(given, image, num_spectra=1)
    assert len(axes.lines) == 3
    for line in axes.lines:
        # neither a measurement is lost nor one added
        x, y = (np.asarray(part, float) for part in line.get_data())
        assert (
            np.isnan(x).tolist() == np.isnan(y).tolist() == [k == 40 for k in range(71)]
        )
        np.testing.assert_allclose(np.delete(x, 40), wavelength, rtol=1e-6)
    (shade,) = axes.patches
    assert 1.33 < shade.get_x() < shade.get_x() + shade.get_width() < 1.48
    # a few bands are no curve
    few = {'image': image[::7], 'wavelength': wavelength[::7]}
    assert not spectra_of(few, image[::7]).patches


def test_a_network_that_changes_nothing_hides_nothing() -> None:
    given = sample(wavelength=torch.linspace(0.46, 0.66, BANDS))
    lines = {
        line.get_label(): line
        for line in spectra_of(given, given['image'], num_spectra=1).lines
    }
    noisy, restored = lines['Noisy'], lines['Restored']
    assert noisy.get_marker() not in ('', 'None')
    assert noisy.get_linestyle() == 'None'
    assert noisy.get_zorder() > restored.get_zorder()
    assert noisy.get_markeredgecolor() != restored.get_color()


@pytest.mark.parametrize('count', [1, 3, 5])
def test_pixels_lie_apart(count: int) -> None:
    # shades that change slowly from left to right: neighbors have neighboring ranks
    rows, cols = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing='ij')
    shade = cols + 0.001 * rows
    pixels = choose_pixels(
        shade.expand(4, -1, -1).numpy(), np.ones((30, 40), bool), count
    )
    assert len(pixels) == count
    values = [shade[pixel].item() for pixel in pixels]
    assert values == sorted(values)
    gaps = [math.dist(a, b) for a, b in itertools.combinations(pixels, 2)]
    assert all(gap >= 39 / (count + 1) for gap in gaps)
    # a field of one shade whose pixels differ by noise alone
    noise = torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0)).numpy()
    flat = choose_pixels(noise, np.ones((30, 40), bool), count)
    gaps = [math.dist(a, b) for a, b in itertools.combinations(flat, 2)]
    assert all(gap >= 39 / (count + 1) for gap in gaps)


def test_fewer_pixels_than_spectra() -> None:
    valid = np.zeros((4, 4), bool)
    valid[1, 2] = True
    assert choose_pixels(np.ones((3, 4, 4), np.float32), valid, 3) == [(1, 2)] * 3
    valid[3, 0] = True
    assert set(choose_pixels(np.ones((3, 4, 4), np.float32), valid, 3)) == {
        (1, 2),
        (3, 0),
    }


def test_nothing_valid() -> None:
    given = sample(valid=torch.zeros(16, 16, dtype=torch.bool))
    figure = draw_restoration(given, given['image'])
    plt.close(figure)


def test_nanometres_are_refused() -> None:
    given = sample(wavelength=torch.linspace(460, 660, BANDS))
    with pytest.raises(UnitError):
        draw_restoration(given, given['image'])


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    figures = SpectralFigures(tmp_path / 'file' / 'figures')
    with pytest.raises(OutputError, match='SpectralFigures'):
        trainer(tmp_path, callbacks=[figures]).test(
            HSIDenoising('half'), loader(Pairs()), verbose=False
        )


@pytest.mark.parametrize('name', ['count', 'every_n_epochs', 'num_spectra'])
def test_options_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match='of 1 or more'):
        SpectralFigures(**{name: 0})
