# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the figures of masked autoencoding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from callbacks.test_spectral_figures import FigureLogger
from matplotlib.colors import to_rgb
from tasks.pretraining import BANDS, SIZE, TINY, batches, state_of, trainer
from torch import Tensor

from torchgeo_hsi.callbacks.reconstruction_figures import (
    _HIDDEN_GRAY,
    ReconstructionFigures,
    draw_reconstruction,
)
from torchgeo_hsi.datasets.plotting import NODATA_GRAY
from torchgeo_hsi.errors import UnitError
from torchgeo_hsi.tasks.mae import HSIMAE
from torchgeo_hsi.tasks.moco import HSIMoCo

WAVES = torch.tensor([0.47, 0.55, 0.64, 0.86, 1.65])


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    assert not plt.get_fignums()


def make(**kwargs: Any) -> HSIMAE:
    torch.manual_seed(0)
    words = {'decoder_dim': 16, 'decoder_heads': 4, 'mask_ratio': 0.5}
    return HSIMAE(**(TINY | words | kwargs))


def test_validation(tmp_path: Path) -> None:
    figures = ReconstructionFigures(tmp_path, count=2, every_n_epochs=2)
    logger = FigureLogger()
    host = trainer(3, callbacks=[figures], logger=logger, enable_checkpointing=False)
    host.fit(make(), batches(), batches())
    names = [f'val/reconstruction_{k}' for k in range(2)]
    assert logger.figures == [(n, 2) for n in names] + [(n, 6) for n in names]
    written = sorted(path.name for path in tmp_path.glob('*.png'))
    assert written == [f'val_{k}_epoch_{e:04d}.png' for k in range(2) for e in (0, 2)]


def test_without_validation(tmp_path: Path) -> None:
    figures = ReconstructionFigures(tmp_path, count=1)
    trainer(2, callbacks=[figures], enable_checkpointing=False).fit(make(), batches())
    written = sorted(path.name for path in tmp_path.glob('*.png'))
    assert written == ['train_0_epoch_0000.png', 'train_0_epoch_0001.png']


def test_training_goes_on_as_if_nothing_had_been_drawn(tmp_path: Path) -> None:
    states, modes = [], []
    for callbacks in ([], [ReconstructionFigures(tmp_path)]):
        task = make(masking='both')
        # somebody wants this to stay as it is
        task.backbone.norm.eval()  # type: ignore[operator, union-attr]
        host = trainer(2, callbacks=callbacks, enable_checkpointing=False)
        host.fit(task, batches())
        states.append(state_of(task))
        modes.append([module.training for module in task.modules()])
    assert modes[0] == modes[1]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert list(tmp_path.glob('*.png'))


def sample() -> dict[str, Tensor]:
    torch.manual_seed(0)
    valid = torch.ones(SIZE, SIZE, dtype=torch.bool)
    valid[:2] = False
    image = torch.rand(BANDS, SIZE, SIZE).masked_fill(~valid, 1e9)
    return {'image': image, 'valid': valid, 'wavelength': WAVES}


def test_panels() -> None:
    one = sample()
    hidden = torch.zeros(BANDS, SIZE, SIZE, dtype=torch.bool)
    hidden[:, :, 4:] = True
    found = torch.where(hidden, one['image'] + 0.5, one['image'])
    figure = draw_reconstruction(one, found, hidden)
    image, seen, full, error, *_ = figure.axes
    pictures = [ax.get_images()[0].get_array() for ax in (image, seen, full, error)]
    plt.close(figure)
    gray, dark = to_rgb(NODATA_GRAY), to_rgb(_HIDDEN_GRAY)
    for view in pictures[:3]:
        np.testing.assert_allclose(view[:2], np.broadcast_to(gray, (2, SIZE, 3)))
    np.testing.assert_allclose(pictures[1][2:, 4:], np.broadcast_to(dark, (6, 4, 3)))
    np.testing.assert_array_equal(pictures[1][:, :4], pictures[0][:, :4])
    assert (pictures[2][2:, 4:] >= pictures[0][2:, 4:]).all()
    drawn = np.ma.filled(pictures[3].astype(float), np.nan)
    np.testing.assert_allclose(drawn[2:, 4:], 0.5, rtol=1e-5)
    assert np.isnan(drawn).sum() == SIZE * SIZE - 6 * 4


def test_hidden_bands() -> None:
    one = sample()
    hidden = torch.zeros(BANDS, SIZE, SIZE, dtype=torch.bool)
    # green is hidden everywhere, so nowhere a color is seen
    hidden[1] = True
    found = torch.where(hidden, one['image'] - 0.25, one['image'])
    figure = draw_reconstruction(one, found, hidden, num_spectra=2)
    axes = figure.axes
    error = axes[3].get_images()[0].get_array()
    np.testing.assert_allclose(error[2:], 0.25, rtol=1e-5)
    np.testing.assert_allclose(
        axes[1].get_images()[0].get_array()[2:],
        np.broadcast_to(to_rgb(_HIDDEN_GRAY), (6, SIZE, 3)),
    )
    lines = next(ax for ax in axes if ax.get_ylabel() == 'Value').get_lines()
    labels = [line.get_label() for line in lines]
    assert labels[:3] == ['True', 'Predicted', 'Seen']
    assert np.isfinite(np.asarray(lines[1].get_ydata())).sum() == 1
    assert np.isfinite(np.asarray(lines[2].get_ydata())).sum() == BANDS - 1
    plt.close(figure)


def test_without_wavelengths_and_valid_pixels() -> None:
    one = {'image': torch.rand(BANDS, SIZE, SIZE)}
    nothing = torch.zeros(BANDS, SIZE, SIZE, dtype=torch.bool)
    plt.close(draw_reconstruction(one, one['image'], nothing))
    one['valid'] = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    plt.close(draw_reconstruction(one, one['image'], ~nothing))


def test_wrong_unit() -> None:
    one = sample() | {'wavelength': WAVES * 1000}
    nothing = torch.zeros(BANDS, SIZE, SIZE, dtype=torch.bool)
    with pytest.raises(UnitError):
        draw_reconstruction(one, one['image'], nothing)


def test_other_tasks(tmp_path: Path) -> None:
    host = trainer(callbacks=[ReconstructionFigures()], enable_checkpointing=False)
    task = HSIMoCo(**TINY, hidden_dim=8, output_dim=4, queue_size=8)
    with pytest.raises(TypeError, match=r'needs a task that reconstructs.*HSIMoCo'):
        host.fit(task, batches())


@pytest.mark.parametrize('option', ['count', 'every_n_epochs', 'num_spectra'])
def test_options(option: str) -> None:
    with pytest.raises(ValueError, match='1 or more'):
        ReconstructionFigures(**{option: 0})
