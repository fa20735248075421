# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The picture of a tuning shows its records, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from torchgeo_hsi.callbacks.zero_shot_figures import ZeroShotFigures, plot_records
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.models.pansharpening.rho_pnn import BandRecord

WAVELENGTH = [0.9, 0.4, 1.3]


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    yield
    assert not plt.get_fignums()
    plt.close('all')


def make_records() -> list[BandRecord]:
    first = BandRecord(
        0, 0.02, 0.0117, 0.013, 2.0, [0.03, 0.011, 0.014], [0.5, 0.4, 0.3]
    )
    first.weights = [0.0, 2.0, 0.0]
    first.final, first.final_spatial = 0.012, 0.2
    last = BandRecord(2, 0.01, 0.00585, 0.0065, final=0.007, final_spatial=0.4)
    return [first, BandRecord(1, 0.0, 0.0, 0.0), last]


def line(ax: Axes, label: str) -> Line2D:
    (found,) = [one for one in ax.get_lines() if one.get_label() == label]
    return found


def test_bands_against_their_thresholds() -> None:
    figure = plot_records(make_records())
    (ax,) = figure.axes
    shares = line(ax, 'Spectral loss / interpolated')
    np.testing.assert_array_equal(shares.get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(shares.get_ydata(), [0.6, np.nan, 0.7])
    spatial = line(ax, 'Spatial loss, 1 - |ρ|')
    np.testing.assert_allclose(spatial.get_ydata(), [0.2, np.nan, 0.4])
    np.testing.assert_array_equal(line(ax, 'Left interpolated').get_xdata(), [1])
    plt.close(figure)


def test_bands_are_in_the_order_of_wavelengths() -> None:
    figure = plot_records(make_records(), WAVELENGTH)
    (ax,) = figure.axes
    shares = line(ax, 'Spectral loss / interpolated')
    np.testing.assert_allclose(shares.get_xdata(), [0.4, 0.9, 1.3])
    np.testing.assert_allclose(shares.get_ydata(), [np.nan, 0.6, 0.7])
    assert ax.get_xlabel() == 'Wavelength (µm)'
    plt.close(figure)


def test_course_of_a_band() -> None:
    figure = plot_records(make_records(), band=0)
    ax = figure.axes[1]
    course = line(ax, 'Spectral loss / interpolated')
    np.testing.assert_array_equal(course.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(course.get_ydata(), [1.5, 0.55, 0.7])
    assert ax.get_title() == 'Course of band 0'
    plt.close(figure)
    # a band that was left as it is has no course, but a place
    figure = plot_records(make_records(), band=1)
    assert [text.get_text() for text in figure.axes[1].texts] == ['Left interpolated']
    plt.close(figure)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(EmptyDataError, match='Sharpen an image first'):
        plot_records([])
    with pytest.raises(EmptyDataError, match='no record of band 7'):
        plot_records(make_records(), band=7)
    with pytest.raises(ValueError, match='suffixes'):
        ZeroShotFigures('tuning.xyz')


@pytest.mark.parametrize(
    ('wavelength', 'error'),
    [([400.0, 500.0, 600.0], UnitError), ([0.4, 0.5], BandMismatchError)],
)
def test_wrong_wavelengths(wavelength: list[float], error: type[Exception]) -> None:
    try:
        with pytest.raises(error):
            plot_records(make_records(), wavelength)
    finally:
        plt.close('all')


def run(callback: ZeroShotFigures, records: Any, batch: Any, stage: str) -> None:
    """Call the hooks as a trainer does."""
    trainer: Any = SimpleNamespace(is_global_zero=True)
    module: Any = SimpleNamespace(model=SimpleNamespace(records=records))
    callback.setup(trainer, module, stage)
    getattr(callback, f'on_{stage}_batch_end')(trainer, module, None, batch, 0)
    getattr(callback, f'on_{stage}_end')(trainer, module)


@pytest.mark.parametrize('stage', ['predict', 'test'])
def test_picture_is_written(tmp_path: Path, stage: str) -> None:
    path = tmp_path / 'new' / 'tuning.png'
    batch = {'wavelength': torch.tensor([WAVELENGTH])}
    run(ZeroShotFigures(path, band=2), make_records(), batch, stage)
    image = plt.imread(path)
    assert image.shape[0] > 500
    assert image[..., :3].std() > 0.05
    assert [p.name for p in path.parent.iterdir()] == ['tuning.png']


def test_wavelengths_of_other_bands_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / 'tuning.png'
    batch = {'wavelength': torch.tensor([0.4, 0.5])}
    run(ZeroShotFigures(path), make_records(), batch, 'predict')
    assert path.is_file()


def test_no_picture_without_records(tmp_path: Path) -> None:
    path = tmp_path / 'tuning.png'
    run(ZeroShotFigures(path), [], {}, 'predict')
    assert not path.exists()


def test_models_that_keep_no_records() -> None:
    with pytest.raises(TypeError, match='rho_pnn'):
        run(ZeroShotFigures(), None, {}, 'predict')
