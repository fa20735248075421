# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pictures of maps, drawn by Lightning at the end of a prediction."""

import errno
import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from callbacks import cube_scenes
from callbacks.cube_scenes import (
    TRANSFORM,
    UTM33,
    Pixelwise,
    SceneData,
    leftovers,
    make_scene,
    make_trainer,
)
from callbacks.painted_maps import GRAY, pictures
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter, MapFigure, map_figure
from torchgeo_hsi.errors import MetadataError, OutputError
from torchgeo_hsi.io import write_cog

#: Classes of the fields of a scene; -1 has no data. Channels are in the order of
#: wavelength, so class 2 is red, class 1 is green, and class 0 is blue.
FIELDS = np.array(
    [
        [0, 1, 2, 3, 4, 0, 1, 2],
        [2, 2, 0, 1, -1, 3, 4, 0],
        [1, 0, 4, 2, 3, -1, 0, 1],
        [3, 4, 1, 0, 2, 1, 2, 3],
        [0, 2, 3, 4, 1, 0, -1, 2],
        [4, 1, 0, 2, 0, 3, 1, 4],
    ]
)

CLASS_COLORS = ['#0000ff', '#00ff00', '#ff0000', '#aa5500', '#00ffff']


def make_fields(folder: Path, height: int = 48, width: int = 64) -> np.ndarray:
    """Write a scene whose class and color are known; return the class of each pixel."""
    classes = np.kron(FIELDS, np.ones((8, 8), int))[:height, :width]
    cube = np.full((5, height, width), 100, dtype=np.float32)
    for band in range(5):
        cube[band, classes == band] = 300
    cube[:, classes < 0] = -9999
    folder.mkdir(parents=True, exist_ok=True)
    write_cog(folder / 'scene.tif', cube, UTM33, TRANSFORM, -9999)
    return classes


def seen_and_mapped(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paint the view and the map of classes by hand."""
    view = np.stack([classes == c for c in (2, 1, 0)], axis=-1).astype(float)
    view[classes < 0] = GRAY
    table = np.array([*map(to_rgb, CLASS_COLORS), GRAY])
    return view, table[classes]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[np.ndarray]]:
    """Keep the panels of each figure that is saved."""
    found: list[list[np.ndarray]] = []
    save = map_figure.save_figure

    def keep(fig: Figure, path: Path, owner: str) -> None:
        found.append(pictures(fig))
        save(fig, path, owner)

    monkeypatch.setattr(map_figure, 'save_figure', keep)
    return found


def predict(
    root: Path,
    out: Path,
    data: dict[str, Any] | None = None,
    trainer: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    writer = GeoTIFFCubeWriter(out / 'map.tif', nodata=255, colors=CLASS_COLORS)
    figure = MapFigure(**({'path': out / 'map.png'} | options))
    make_trainer(writer, figure, **(trainer or {})).predict(
        Pixelwise('probabilities'), SceneData(str(root), **(data or {}))
    )


type Panels = list[list[np.ndarray]]


class TestCallback:
    @pytest.mark.parametrize('data', [{}, {'seed': 3}, {'size': 20, 'stride': 20}])
    def test_view_and_map_show_the_same_place(
        self, tmp_path: Path, drawn: Panels, data: dict[str, Any]
    ) -> None:
        classes = make_fields(tmp_path / 'in')
        predict(tmp_path / 'in', tmp_path, data)
        ((view, painted_map),) = drawn
        want_view, want_map = seen_and_mapped(classes)
        np.testing.assert_allclose(view, want_view, atol=1e-5)
        np.testing.assert_allclose(painted_map, want_map, atol=1e-5)
        assert not plt.get_fignums()

    @pytest.mark.parametrize(('height', 'width'), [(48, 64), (44, 60)])
    def test_and_so_they_do_thinned_out(
        self, tmp_path: Path, drawn: Panels, height: int, width: int
    ) -> None:
        make_fields(tmp_path / 'in', height, width)
        predict(tmp_path / 'in', tmp_path, max_size=8)
        ((view, painted_map),) = drawn
        # one pixel for each field
        want_view, want_map = seen_and_mapped(FIELDS)
        assert view.shape == painted_map.shape == (6, 8, 3)
        np.testing.assert_allclose(view, want_view, atol=1e-5)
        np.testing.assert_allclose(painted_map, want_map, atol=1e-5)

    def test_at_most_one_pixel_apart(self, tmp_path: Path, drawn: Panels) -> None:
        # the last fields are cut off: one pixel wide and high
        make_fields(tmp_path / 'in', 41, 57)
        predict(tmp_path / 'in', tmp_path, max_size=8)
        view, painted_map = drawn[0]
        want_view, want_map = seen_and_mapped(FIELDS)
        np.testing.assert_allclose(view, want_view, atol=1e-5)
        before = np.pad(want_map, ((1, 0), (1, 0), (0, 0)), mode='edge')
        near = [want_map, before[1:, :-1], before[:-1, 1:], before[:-1, :-1]]
        found = [np.isclose(painted_map, other).all(axis=2) for other in near]
        assert np.any(found, axis=0).all()

    @pytest.mark.parametrize('step', [1, 3, 7])
    def test_view_is_stretched_over_valid_pixels(
        self, root: Path, tmp_path: Path, drawn: Panels, step: int
    ) -> None:
        max_size = -(-101 // step)
        predict(root, tmp_path, {'seed': 1}, max_size=max_size)
        # tiles of 32 every 20 pixels start at any phase of the step
        thin = make_scene()[[2, 1, 0], ::step, ::step]
        valid = (thin != -9999).all(axis=0)
        want = np.tile(GRAY, (*valid.shape, 1))
        for channel, band in enumerate(thin):
            low, high = np.percentile(band[valid], [2, 98])
            want[valid, channel] = np.clip((band[valid] - low) / (high - low), 0, 1)
        view, painted_map = drawn[0]
        assert view.shape == painted_map.shape
        np.testing.assert_allclose(view, want, atol=1e-4)

    def test_file(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        classes = make_fields(tmp_path / 'in')
        caplog.set_level('INFO', 'torchgeo_hsi.callbacks')
        path = tmp_path / 'deep' / 'deeper' / 'map.png'
        predict(tmp_path / 'in', tmp_path, path=path, title='Fields')
        assert f'Picture of the map written to {path}' in caplog.text
        pixels = (imread(path)[..., :3] * 255).round().astype(int)
        for code, color in enumerate(CLASS_COLORS):
            assert code in classes
            rgb = np.array(to_rgb(color)) * 255
            assert (abs(pixels - rgb).max(axis=2) < 2).sum() > 1000
        assert os.listdir(path.parent) == ['map.png']

    @pytest.mark.parametrize(
        ('name', 'start'),
        [('map.pdf', b'%PDF'), ('map.jpg', b'\xff\xd8'), ('map', b'\x89PNG')],
    )
    def test_format(self, tmp_path: Path, name: str, start: bytes) -> None:
        make_fields(tmp_path / 'in')
        predict(tmp_path / 'in', tmp_path, path=tmp_path / 'a' / name)
        assert (tmp_path / 'a' / name).read_bytes().startswith(start)

    def test_no_visible_band(
        self, tmp_path: Path, drawn: Panels, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        infrared = torch.tensor([0.9, 1.2, 1.5, 2.0, 2.3])
        monkeypatch.setattr(cube_scenes, 'WAVELENGTH', infrared)
        classes = make_fields(tmp_path / 'in')
        predict(tmp_path / 'in', tmp_path)
        ((painted_map,),) = drawn
        np.testing.assert_allclose(painted_map, seen_and_mapped(classes)[1], atol=1e-5)

    def test_no_wavelengths(
        self, tmp_path: Path, drawn: Panels, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        get = cube_scenes.Cubes.__getitem__

        def without(self: cube_scenes.Cubes, index: Any) -> dict[str, Any]:
            sample = get(self, index)
            return {k: v for k, v in sample.items() if k not in ('wavelength', 'fwhm')}

        monkeypatch.setattr(cube_scenes.Cubes, '__getitem__', without)
        classes = make_fields(tmp_path / 'in')
        predict(tmp_path / 'in', tmp_path)
        ((painted_map,),) = drawn
        np.testing.assert_allclose(painted_map, seen_and_mapped(classes)[1], atol=1e-5)

    def test_trial_run_writes_nothing(self, tmp_path: Path) -> None:
        make_fields(tmp_path / 'in')
        predict(tmp_path / 'in', tmp_path / 'out', trainer={'fast_dev_run': True})
        assert not list(tmp_path.rglob('*.png'))

    def test_second_run_starts_anew(self, tmp_path: Path, drawn: Panels) -> None:
        writer = GeoTIFFCubeWriter(tmp_path / 'map.tif', nodata=255)
        trainer = make_trainer(writer, MapFigure(tmp_path / 'map.png'))
        for name, size in (('a', (48, 64)), ('b', (40, 32))):
            make_fields(tmp_path / name, *size)
            data = SceneData(str(tmp_path / name))
            trainer.predict(Pixelwise('probabilities'), data)
        assert [[p.shape[:2] for p in panels] for panels in drawn] == [
            [(48, 64)] * 2,
            [(40, 32)] * 2,
        ]


class TestNothingIsLost:
    def folder_is_a_file(self, out: Path) -> Path:
        (out / 'file').write_text('keep me')
        return out / 'file' / 'map.png'

    @pytest.mark.parametrize('callbacks', ['none', 'wrong order', 'no classes'])
    def test_known_before_the_first_tile(
        self, root: Path, tmp_path: Path, callbacks: str
    ) -> None:
        figure = MapFigure(tmp_path / 'map.png')
        writer = GeoTIFFCubeWriter(tmp_path / 'map.tif')
        cube = GeoTIFFCubeWriter(tmp_path / 'cube.tif', output='cube')
        chosen, match = {
            'none': ([figure], 'there is none'),
            'wrong order': ([figure, writer], 'List MapFigure behind'),
            'no classes': ([cube, figure], r"output='classes'"),
        }[callbacks]
        task = Pixelwise('probabilities')
        called: list[int] = []
        task.predict_step = lambda batch, batch_idx: called.append(1)  # type: ignore[method-assign]
        with pytest.raises(MetadataError, match=match):
            make_trainer(*chosen).predict(task, SceneData(str(root)))
        assert not called
        assert not leftovers(tmp_path)

    def test_class_map_among_other_outputs(self, tmp_path: Path, drawn: Panels) -> None:
        classes = make_fields(tmp_path / 'in')
        make_trainer(
            GeoTIFFCubeWriter(tmp_path / 'share.tif', output='probabilities'),
            GeoTIFFCubeWriter(tmp_path / 'map.tif', nodata=255, colors=CLASS_COLORS),
            MapFigure(tmp_path / 'map.png'),
        ).predict(Pixelwise('probabilities'), SceneData(str(tmp_path / 'in')))
        np.testing.assert_allclose(drawn[0][1], seen_and_mapped(classes)[1], atol=1e-5)

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        classes = make_fields(tmp_path / 'in')
        path = self.folder_is_a_file(tmp_path)
        with pytest.raises(OutputError, match=r'choose another path for MapFigure'):
            predict(tmp_path / 'in', tmp_path, path=path)
        # the map is there
        with rasterio.open(tmp_path / 'map.tif') as src:
            np.testing.assert_array_equal(
                src.read(1), np.where(classes < 0, 255, classes)
            )
        assert (tmp_path / 'file').read_text() == 'keep me'
        assert not plt.get_fignums()

    @pytest.mark.parametrize('failing', ['savefig', 'replace'])
    def test_full_disk_keeps_the_old_picture(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
    ) -> None:
        make_fields(tmp_path / 'in')
        picture = tmp_path / 'map.png'
        picture.write_text('old')
        full = OSError(errno.ENOSPC, 'No space left on device')
        replace = os.replace

        def savefig(self: Figure, path: Path, **kwargs: Any) -> None:
            Path(path).write_bytes(b'\x89PNG half')
            raise full

        def no_replace(source: Any, target: Any) -> None:
            if Path(target).suffix == '.png':
                raise full
            replace(source, target)

        if failing == 'savefig':
            monkeypatch.setattr(Figure, 'savefig', savefig)
        else:
            monkeypatch.setattr(os, 'replace', no_replace)
        with pytest.raises(OutputError, match=r'Free some space'):
            predict(tmp_path / 'in', tmp_path)
        assert picture.read_text() == 'old'
        assert not leftovers(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            'in',
            'map.png',
            'map.tif',
        ]
        assert not plt.get_fignums()
