# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what goes wrong with whole-scene output."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from callbacks.cube_scenes import (
    QUIET,
    TRANSFORM,
    UTM33,
    WAVELENGTH,
    Cubes,
    Pixelwise,
    SceneData,
    leftovers,
    make_scene,
    make_trainer,
    run_predict,
)
from rasterio.env import get_gdal_config
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import stack_samples

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.callbacks._mosaic import PartWriter
from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    NodataWarning,
    OutputError,
)
from torchgeo_hsi.io.cog import CubeWriter, write_cog

pytestmark = QUIET


class TestFailures:
    def test_nan_becomes_nodata_with_a_warning(self, tmp_path: Path) -> None:
        scene = make_scene()
        scene[2, 60:70, 5:9] = 500
        write_cog(tmp_path / 'scene.tif', scene, UTM33, TRANSFORM, -9999)
        with pytest.warns(NodataWarning, match='NaN or infinite'):
            path, _ = run_predict(
                tmp_path,
                'nan',
                output='cube',
                dtype='int16',
                output_path=tmp_path / 'map.tif',
                data={'stride': 32},
            )
        with rasterio.open(path) as src:
            missing = src.read(1) == -32768
        truth = scene[0] == -9999
        truth[60:70, 5:9] = True
        np.testing.assert_array_equal(missing, truth)

    def test_nothing_valid(self, tmp_path: Path) -> None:
        scene = np.full((5, 40, 40), -9999, dtype='float32')
        write_cog(tmp_path / 'scene.tif', scene, UTM33, TRANSFORM, -9999)
        with pytest.warns(NodataWarning, match='nothing but nodata'):
            path, _ = run_predict(
                tmp_path, output='cube', output_path=tmp_path / 'map.tif'
            )
        with rasterio.open(path) as src:
            assert np.isnan(src.read()).all()

    def test_error_in_the_middle(self, root: Path) -> None:
        class Breaks(Pixelwise):
            def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Any:
                if batch_idx == 3:
                    raise RuntimeError('out of luck')
                return batch['image']

        path = root.parent / 'out' / 'map.tif'
        before = get_gdal_config('GDAL_CACHEMAX')
        with pytest.raises(RuntimeError, match='out of luck'):
            make_trainer(GeoTIFFCubeWriter(path)).predict(
                Breaks(), SceneData(str(root))
            )
        assert list(path.parent.iterdir()) == []
        assert get_gdal_config('GDAL_CACHEMAX') == before

    @pytest.mark.parametrize('place', ['tiles', 'raster'])
    def test_full_disk(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        path = root.parent / 'out' / 'map.tif'
        write_cog(path, np.ones((4, 4), 'uint8'))
        before = path.read_bytes()

        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if place == 'tiles':
            monkeypatch.setattr(PartWriter, 'add', full)
        else:
            monkeypatch.setattr(CubeWriter, '_to_cog', full)
        with pytest.raises(OutputError, match='No space left'):
            run_predict(root, output='cube')
        assert [p.name for p in path.parent.iterdir()] == ['map.tif']
        assert path.read_bytes() == before

    def test_tiles_of_a_killed_run_are_not_used(self, root: Path) -> None:
        scratch = root.parent / 'scratch'
        leftover = scratch / '.map.tif.killed.part'
        leftover.mkdir(parents=True)
        for name in ('lock', '0.index', '0.values', '0.scene'):
            (leftover / name).write_bytes(bytes(960))
        path, _ = run_predict(root, output='cube', scratch_dir=scratch)
        assert list(scratch.iterdir()) == []
        with rasterio.open(path) as src:
            truth = np.where(make_scene() == -9999, np.nan, make_scene())
            np.testing.assert_array_equal(src.read(), truth)

    def test_little_space_is_told_early(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        usage = type('Usage', (), {'free': 1000})
        monkeypatch.setattr('shutil.disk_usage', lambda _: usage)
        with caplog.at_level(logging.WARNING, 'torchgeo_hsi'):
            run_predict(root, output='cube')
        assert 'The tiles need at least' in caplog.text

    def test_overwrite(self, root: Path) -> None:
        path, _ = run_predict(root, output='cube')
        run_predict(root, output='cube')
        before = path.read_bytes()
        with pytest.raises(OutputError, match='exists already'):
            run_predict(root, output='cube', overwrite=False)
        assert path.read_bytes() == before

    def test_input_is_not_overwritten(self, root: Path) -> None:
        before = (root / 'scene.tif').read_bytes()
        with pytest.raises(OutputError, match='is an input'):
            run_predict(root, output_path=root / 'scene.tif')
        assert (root / 'scene.tif').read_bytes() == before

    def test_trial_run_writes_nothing(self, root: Path, caplog: Any) -> None:
        path, _ = run_predict(root, output='cube')
        before = path.read_bytes()
        trainer = make_trainer(GeoTIFFCubeWriter(path), fast_dev_run=True)
        with caplog.at_level(logging.INFO, 'torchgeo_hsi'):
            trainer.predict(Pixelwise('probabilities'), SceneData(str(root)))
        assert 'is not written' in caplog.text
        assert path.read_bytes() == before
        assert leftovers(path.parent) == []

    def test_clipped_values_are_told(self, root: Path, caplog: Any) -> None:
        with caplog.at_level(logging.INFO, 'torchgeo_hsi'):
            path, _ = run_predict(root, output='cube', dtype='uint8')
        assert 'values were clipped to the range of uint8' in caplog.text
        assert f'Prediction written to {path}' in caplog.text

    def test_tiles_off_the_grid(self, root: Path) -> None:
        class Shifted(SceneData):
            def predict_dataloader(self) -> DataLoader[Any]:
                loader = super().predict_dataloader()
                tiles = [(slice(x.start + 9, x.stop + 9), y) for x, y in loader.sampler]
                return DataLoader(
                    self.predict_dataset, sampler=tiles, collate_fn=stack_samples
                )

        path = root.parent / 'out' / 'map.tif'
        with pytest.raises(MetadataError, match=r'0\.30 pixels off'):
            make_trainer(GeoTIFFCubeWriter(path)).predict(
                Pixelwise(), Shifted(str(root))
            )
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize(
        ('kind', 'options', 'error', 'message'),
        [
            ('labels', {}, MetadataError, 'cannot be blended'),
            ('small', {}, MetadataError, 'Expected predictions of 32 x 32'),
            ('two', {}, MetadataError, 'got a, b'),
            ('two', {'key': 'c'}, MetadataError, "entry 'c'"),
            ('cube', {'class_values': [1, 2]}, BandMismatchError, '5 predicted'),
            ('cube', {'overlap': 17}, ValueError, 'at most 32'),
            (
                'one',
                {'output': 'cube', 'denormalize': True},
                BandMismatchError,
                'mean and std of the 1',
            ),
        ],
    )
    def test_predictions_that_do_not_fit(
        self,
        root: Path,
        kind: str,
        options: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            run_predict(root, kind, **options)
        assert list((root.parent / 'out').iterdir()) == []

    def test_no_tile_at_all(self, root: Path) -> None:
        # torchgeo's sampler finds no place where the stride is much smaller than the
        # tile, and the tile larger than the scene
        with (
            pytest.warns(UserWarning, match='length'),
            pytest.raises(EmptyDataError, match='not a single tile'),
        ):
            run_predict(root, output='cube', data={'size': 200, 'stride': 10})
        writer = GeoTIFFCubeWriter(root.parent / 'map.tif')
        trainer = make_trainer(writer, limit_predict_batches=0)
        assert trainer.predict(Pixelwise(), SceneData(str(root))) is None

    def test_no_georeference_in_the_batch(self, root: Path) -> None:
        class Forgets(Pixelwise):
            def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Any:
                del batch['bounds'], batch['transform']
                return batch['image']

        with pytest.raises(MetadataError, match='nobody'):
            make_trainer(GeoTIFFCubeWriter(root.parent / 'map.tif')).predict(
                Forgets(), SceneData(str(root))
            )

    def test_no_geodataset(self, tmp_path: Path) -> None:
        class Plain(torch.utils.data.Dataset[Any]):
            def __len__(self) -> int:
                return 2

            def __getitem__(self, index: int) -> dict[str, Tensor]:
                transform = torch.tensor([1.0, 0, 0, 0, -1, 0, 0, 0, 1])
                zeros = torch.zeros(5, 4, 4)
                return {'image': zeros, 'transform': transform, 'bounds': transform}

        writer = GeoTIFFCubeWriter(tmp_path / 'map.tif')
        with pytest.raises(MetadataError, match='got Plain'):
            make_trainer(writer).predict(Pixelwise(), DataLoader(Plain()))

    def test_several_loaders(self, root: Path) -> None:
        data = SceneData(str(root))
        data.setup('predict')
        loaders = [data.predict_dataloader(), data.predict_dataloader()]

        class Two(Pixelwise):
            def predict_step(
                self, batch: Any, batch_idx: int, dataloader_idx: int = 0
            ) -> Any:
                return batch['image']

        with pytest.raises(MetadataError, match='one dataset at a time'):
            make_trainer(GeoTIFFCubeWriter(root.parent / 'map.tif')).predict(
                Two(), loaders
            )

    def test_different_wavelengths_are_told(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        original = Cubes.__getitem__

        def drifting(self: Cubes, index: Any) -> dict[str, Any]:
            sample = original(self, index)
            sample['wavelength'] = WAVELENGTH + 0.001 * (sample['bounds'][0] > 367500)
            return sample

        monkeypatch.setattr(Cubes, '__getitem__', drifting)
        with caplog.at_level(logging.WARNING, 'torchgeo_hsi'):
            run_predict(root, output='cube')
        assert 'differ by up to 1.00 nm' in caplog.text

    @pytest.mark.parametrize(
        'options',
        [
            {'denormalize': True},
            {'overlap': -1},
            {'delta': -1},
            {'blend_method': 'max'},
            {'compress': 'jpeg'},
            {'overview_resampling': 'best'},
            {'crs': 'EPSG:0'},
        ],
    )
    def test_bad_options(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r'no effect|at least 0|jpeg|best|EPSG'):
            GeoTIFFCubeWriter('map.tif', **options)

    def test_denormalize_without_statistics(self, root: Path) -> None:
        data = SceneData(str(root))
        data.setup('predict')
        writer = GeoTIFFCubeWriter(
            root.parent / 'map.tif', output='cube', denormalize=True
        )
        with pytest.raises(MetadataError, match='mean and std'):
            make_trainer(writer).predict(Pixelwise(), data.predict_dataloader())
