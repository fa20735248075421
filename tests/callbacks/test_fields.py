# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files and pictures of solved equations, read by others."""

import json
import logging
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy.io import netcdf_file

from torchgeo_hsi.callbacks import FieldFigure, FieldWriter
from torchgeo_hsi.datamodules import EquationDataModule
from torchgeo_hsi.errors import MetadataError, OutputError
from torchgeo_hsi.tasks import NeuralSpectral

MODES = {'periodic_poisson': [7, 7], 'column_plume': [4, 7, 7]}


def make(name: str = 'periodic_poisson', **words: Any) -> NeuralSpectral:
    torch.manual_seed(0)
    options: dict[str, Any] = {'width': 8, 'depth': 1, 'scale': 1.0}
    return NeuralSpectral(name, {'modes': MODES[name]}, model_kwargs=options, **words)


def trainer(callback: Callback, **words: Any) -> Trainer:
    return quiet_trainer(callbacks=[callback], **words)


def data() -> EquationDataModule:
    return EquationDataModule(batch_size=2, test_size=3, resolution=8)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Arrays, their axes and attributes of a file."""
    if path.suffix == '.npz':
        with np.load(path) as file:
            arrays = {name: file[name] for name in file}
        return arrays, {}, json.loads(str(arrays.pop('about')))
    with netcdf_file(path, mmap=False) as file:
        arrays = {name: np.array(v[:]) for name, v in file.variables.items()}
        axes = {name: v.dimensions for name, v in file.variables.items()}
        about = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in file._attributes.items()
        }
    return arrays, axes, about


@pytest.mark.filterwarnings('ignore:The .* does not have many workers')
class TestWriter:
    @pytest.mark.parametrize('kind', ['netcdf', 'npz'])
    @pytest.mark.parametrize('name', sorted(MODES))
    def test_writes_every_function(self, name: str, kind: Any, tmp_path: Path) -> None:
        task, module = make(name), data()
        trainer(FieldWriter(tmp_path / 'new' / 'fields', kind)).predict(task, module)
        suffix = {'netcdf': 'nc', 'npz': 'npz'}[kind]
        files = sorted((tmp_path / 'new' / 'fields').iterdir())
        assert [f.name for f in files] == [f'field_0000{k}.{suffix}' for k in range(3)]
        names = task.equation.variables
        for index, path in enumerate(files):
            known = module.predict_dataset[index]  # type: ignore[index]
            arrays, axes, about = read(path)
            expected = task.solve(known['parameter'][None], 8)[0]
            assert np.allclose(arrays['prediction'], expected, atol=1e-6)
            assert np.array_equal(arrays['solution'], known['solution'].numpy())
            points = task.equation.grid(8)
            for axis, line in zip(names, points, strict=True):
                assert np.array_equal(arrays[axis], line.numpy())
            given = task.equation.to_grid(known['parameter'][None], points)[0]
            assert np.allclose(arrays['given'], given.numpy(), atol=1e-6)
            error = (expected - known['solution']).norm() / known['solution'].norm()
            assert about['relative_l2'] == pytest.approx(float(error), rel=1e-4)
            assert about['equation'] == name
            assert json.loads(about['equation_options']) == {'modes': MODES[name]}
            if kind == 'netcdf':
                assert axes['prediction'] == names
                assert axes['given'] == ('field', *names)

    def test_other_resolution_has_no_solution(self, tmp_path: Path) -> None:
        task = make(predict_resolution=12)
        trainer(FieldWriter(tmp_path)).predict(task, data())
        arrays, _, about = read(tmp_path / 'field_00000.nc')
        assert arrays['prediction'].shape == (12, 12)
        assert 'solution' not in arrays
        assert 'relative_l2' not in about

    def test_predictions_are_forgotten(self, tmp_path: Path) -> None:
        assert trainer(FieldWriter(tmp_path)).predict(make(), data()) is None
        kept = FieldWriter(tmp_path, keep_predictions=True)
        found = trainer(kept).predict(make(), data())
        assert found is not None
        assert len(found) == 2

    def test_trial_writes_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / 'fields'
        trainer(FieldWriter(folder), fast_dev_run=True).predict(make(), data())
        assert not folder.exists()

    def test_is_not_overwritten(self, tmp_path: Path) -> None:
        trainer(FieldWriter(tmp_path)).predict(make(), data())
        before = (tmp_path / 'field_00000.nc').read_bytes()
        run = trainer(FieldWriter(tmp_path, overwrite=False))
        with pytest.raises(OutputError, match='set overwrite to true'):
            run.predict(make(), data())
        assert (tmp_path / 'field_00000.nc').read_bytes() == before

    def test_folder_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / 'file').write_text('')
        with pytest.raises(OutputError, match='Name a folder'):
            trainer(FieldWriter(tmp_path / 'file')).predict(make(), data())

    def test_nothing_half_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: Any) -> None:
            raise OSError('No space left on device')

        monkeypatch.setattr('torchgeo_hsi.io._whole.os.replace', full)
        with pytest.raises(OutputError, match='Free some space'):
            trainer(FieldWriter(tmp_path)).predict(make(), data())
        assert not list(tmp_path.iterdir())

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="'netcdf' or 'npz'"):
            FieldWriter(format='zarr')  # type: ignore[arg-type]
        with pytest.raises(MetadataError, match='solves no equation'):
            FieldWriter().setup(trainer(FieldWriter()), LightningModule(), 'predict')


@pytest.mark.filterwarnings('ignore:The .* does not have many workers')
class TestFigure:
    @pytest.mark.parametrize('stage', ['test', 'predict'])
    def test_draws_first_batch(
        self, stage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / 'new' / 'fields.png'
        run = trainer(FieldFigure(path, rows=2))
        with caplog.at_level(logging.INFO, 'torchgeo_hsi.callbacks'):
            getattr(run, stage)(make(), data())
        picture = plt.imread(path)
        assert min(picture.shape[:2]) > 400
        assert picture[..., :3].std() > 0.05
        assert [f.name for f in path.parent.iterdir()] == ['fields.png']
        assert caplog.text.count('Picture of the solutions') == 1
        assert not plt.get_fignums()

    def test_trial_draws_nothing(self, tmp_path: Path) -> None:
        run = trainer(FieldFigure(tmp_path / 'a.png'), fast_dev_run=True)
        run.test(make(), data(), verbose=False)
        assert not list(tmp_path.iterdir())

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match='suffixes'):
            FieldFigure('fields.nc')
        with pytest.raises(ValueError, match='rows'):
            FieldFigure(rows=0)
        with pytest.raises(MetadataError, match='solves no equation'):
            FieldFigure().setup(trainer(FieldFigure()), LightningModule(), 'test')
