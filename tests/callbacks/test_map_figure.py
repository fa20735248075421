# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The picture of a map: true colors, true shares, and the right place."""

import errno
import os
import tracemalloc
from collections.abc import Iterator
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
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter, MapFigure, draw_map, map_figure
from torchgeo_hsi.datasets.plotting import NODATA_GRAY
from torchgeo_hsi.errors import CorruptFileError, MetadataError, OutputError
from torchgeo_hsi.io import write_cog

COLORS = {1: '#ff0000', 4: '#00c814', 7: '#0a0bff', 9: '#fffe00'}
NAMES = {1: 'water', 4: 'forest', 7: 'field'}
GRAY = np.array(to_rgb(NODATA_GRAY))


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    yield
    plt.close('all')


def write_map(path: Path, codes: np.ndarray, nodata: float | None = 0) -> Path:
    table = {c: tuple(int(255 * v) for v in to_rgb(h)) for c, h in COLORS.items()}
    return write_cog(
        path, codes, UTM33, TRANSFORM, nodata, colormap=table, class_names=NAMES
    )


def some_codes(values: list[int], shape: tuple[int, int] = (30, 20)) -> np.ndarray:
    codes: np.ndarray = np.random.default_rng(0).choice(values, shape)
    return codes.astype(np.uint8)


def painted(codes: np.ndarray, nodata: int | None = 0) -> np.ndarray:
    """Paint a map by looking every code up."""
    table = np.tile(np.nan, (256, 3))
    for code, color in COLORS.items():
        table[code] = to_rgb(color)
    if nodata is not None:
        table[nodata] = GRAY
    picture: np.ndarray = table[codes]
    return picture


def pictures(fig: Figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in fig.axes]


def legend(fig: Figure) -> dict[str, str]:
    """Return the color of each label."""
    (found,) = fig.legends
    colors = [to_hex(patch.get_facecolor()) for patch in found.get_patches()]
    texts = [text.get_text() for text in found.get_texts()]
    return dict(zip(texts, colors, strict=True))


class TestDrawMap:
    def test_colors_and_shares(self, tmp_path: Path) -> None:
        codes = some_codes([0, 1, 1, 1, 4, 4, 7])
        fig = draw_map(write_map(tmp_path / 'map.tif', codes))
        (picture,) = pictures(fig)
        np.testing.assert_allclose(picture, painted(codes), atol=1e-6)
        seen = codes[codes != 0]
        assert legend(fig) == {
            f'{name} ({100 * np.mean(seen == code):.0f}%)': COLORS[code]
            for code, name in NAMES.items()
        }

    def test_shares_are_of_the_pixels_with_data(self, tmp_path: Path) -> None:
        codes = np.zeros((10, 10), dtype=np.uint8)
        codes[0, :3], codes[0, 3:4] = 4, 7
        fig = draw_map(write_map(tmp_path / 'map.tif', codes))
        assert list(legend(fig)) == ['forest (75%)', 'field (25%)']

    def test_class_without_a_name(self, tmp_path: Path) -> None:
        codes = np.full((5, 5), 9, dtype=np.uint8)
        fig = draw_map(write_map(tmp_path / 'map.tif', codes))
        assert legend(fig) == {'class 9 (100%)': COLORS[9]}

    def test_nothing_but_nodata(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / 'map.tif', np.zeros((4, 6), dtype=np.uint8))
        fig = draw_map(path, np.zeros((4, 6, 3), dtype=np.float32))
        np.testing.assert_allclose(pictures(fig)[1], np.broadcast_to(GRAY, (4, 6, 3)))
        assert not legend(fig)

    def test_every_pixel_counts_where_there_is_no_nodata(self, tmp_path: Path) -> None:
        path = tmp_path / 'map.tif'
        codes = some_codes([0, 0, 0, 1])
        table = {0: (1, 2, 3), 1: (255, 0, 0)}
        write_cog(path, codes, UTM33, TRANSFORM, colormap=table)
        fig = draw_map(path)
        assert (pictures(fig)[0][codes == 0] * 255).round().tolist()[0] == [1, 2, 3]
        share = (codes == 0).mean()
        assert f'class 0 ({share:.0%})' in legend(fig)

    def test_codes_beyond_a_byte(self, tmp_path: Path) -> None:
        path = tmp_path / 'map.tif'
        codes = np.array([[300, 300], [65535, 11]], dtype=np.uint16)
        table = {300: (255, 0, 0), 11: (0, 0, 255)}
        write_cog(path, codes, UTM33, TRANSFORM, 65535, colormap=table)
        fig = draw_map(path)
        assert legend(fig) == {
            'class 11 (33%)': '#0000ff',
            'class 300 (67%)': '#ff0000',
        }
        np.testing.assert_allclose(pictures(fig)[0][1, 0], GRAY)

    @pytest.mark.parametrize('classes', [1, 4, 9, 30])
    @pytest.mark.parametrize('shape', [(30, 20), (10, 40)])
    def test_legend_is_inside_of_the_figure(
        self, tmp_path: Path, classes: int, shape: tuple[int, int]
    ) -> None:
        path = tmp_path / 'map.tif'
        codes = np.arange(np.prod(shape)).reshape(shape) % classes
        colors = {code: (code, 255 - code, 0) for code in range(classes)}
        names = {code: f'a long name of class {code}' for code in colors}
        table: dict[str, Any] = {'colormap': colors, 'class_names': names}
        write_cog(path, codes.astype(np.uint8), UTM33, TRANSFORM, 255, **table)
        fig = draw_map(path)
        assert len(legend(fig)) == classes
        fig.canvas.draw()
        box = fig.legends[0].get_window_extent()
        assert box.y0 >= 0
        assert fig.bbox.x0 <= box.x0 < box.x1 <= fig.bbox.x1
        (panel,) = (ax.get_window_extent() for ax in fig.axes)
        assert panel.y0 >= box.y1
        # and the map does not shrink
        assert max(panel.width, panel.height) > 400

    @pytest.mark.parametrize(
        ('shape', 'beside'), [((20, 20), True), ((30, 20), True), ((10, 40), False)]
    )
    def test_view_beside_or_above(
        self, tmp_path: Path, shape: tuple[int, int], beside: bool
    ) -> None:
        codes = some_codes([0, 1, 4], shape)
        view = np.random.default_rng(1).random((*shape, 3)).astype(np.float32)
        fig = draw_map(write_map(tmp_path / 'map.tif', codes), view, 'My map')
        assert fig.get_suptitle() == 'My map'
        assert [ax.get_title() for ax in fig.axes] == ['True color', 'Classes']
        first, second = pictures(fig)
        np.testing.assert_array_equal(first, view)
        np.testing.assert_allclose(second, painted(codes), atol=1e-6)
        fig.canvas.draw()
        left, right = (ax.get_window_extent() for ax in fig.axes)
        assert (left.x1 <= right.x0) == beside
        assert (left.y0 >= right.y1) != beside
        # both have the same size
        assert left.width == pytest.approx(right.width, rel=0.01)
        assert left.height == pytest.approx(right.height, rel=0.01)

    def test_colors_on_paper(self, tmp_path: Path) -> None:
        codes = np.kron(some_codes([0, 1, 4, 7], (4, 4)), np.ones((5, 5), np.uint8))
        fig = draw_map(write_map(tmp_path / 'map.tif', codes))
        fig.savefig(tmp_path / 'map.png')
        got = (imread(tmp_path / 'map.png')[..., :3] * 255).round().astype(int)
        for code in (0, 1, 4, 7):
            color = np.array(to_rgb(COLORS.get(code, NODATA_GRAY))) * 255
            count = (abs(got - color).max(axis=2) < 2).sum()
            # as many pixels as the class has, whatever the scale
            scale = (5.2 * 100 / 20) ** 2
            assert count > 0.8 * scale * (codes == code).sum() / 1.5


class TestHugeMap:
    def test_is_read_decimated(self, tmp_path: Path) -> None:
        size, tile = 20_000, 512
        path = tmp_path / 'huge.tif'
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            width=size,
            height=size,
            count=1,
            dtype='uint8',
            nodata=0,
            tiled=True,
            blockxsize=tile,
            blockysize=tile,
            SPARSE_OK=True,
            compress='deflate',
        ) as dst:
            dst.write_colormap(1, {1: (255, 0, 0), 4: (0, 0, 255)})
            block = np.full((1, 5000, 5000), 4, dtype=np.uint8)
            dst.write(block, window=rasterio.windows.Window(15_000, 0, 5000, 5000))
        tracemalloc.start()
        try:
            fig = draw_map(path, max_size=200)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # the map itself takes 400 MB
        assert peak < 40e6
        (picture,) = pictures(fig)
        assert picture.shape == (200, 200, 3)
        want = np.tile(GRAY, (200, 200, 1))
        want[:50, 150:] = (0, 0, 1)
        np.testing.assert_allclose(picture, want, atol=1e-6)
        assert list(legend(fig)) == ['class 4 (100%)']

    @pytest.mark.parametrize('max_size', [1, 7, 100, 1199, 1200, 5000])
    def test_no_side_is_longer(self, tmp_path: Path, max_size: int) -> None:
        codes = np.kron(some_codes([1, 7], (4, 3)), np.ones((300, 300), np.uint8))
        fig = draw_map(write_map(tmp_path / 'map.tif', codes), max_size=max_size)
        (picture,) = pictures(fig)
        assert max(picture.shape[:2]) <= max_size
        # the middle of each pixel of the picture
        height, width = picture.shape[:2]
        rows = ((np.arange(height) + 0.5) / height * 1200).astype(int)
        columns = ((np.arange(width) + 0.5) / width * 900).astype(int)
        want = painted(codes[np.ix_(rows, columns)])
        # at the border of two fields, either may win
        wrong = (abs(picture - want).max(axis=2) > 1e-6).mean()
        assert wrong < 0.02

    def test_no_class_is_invented(self, tmp_path: Path) -> None:
        # the mean of 1 and 7 would be 4
        codes = np.indices((1400, 1400)).sum(axis=0) % 2 * 6 + 1
        path = write_map(tmp_path / 'map.tif', codes.astype(np.uint8))
        fig = draw_map(path, max_size=130)
        assert {name.split()[0] for name in legend(fig)} <= {'water', 'field'}


class TestBadInput:
    def test_no_class_map(self, tmp_path: Path) -> None:
        path = tmp_path / 'cube.tif'
        write_cog(path, np.ones((2, 5, 5), np.float32), UTM33, TRANSFORM)
        with pytest.raises(MetadataError, match=r"cube\.tif has no color.*'classes'"):
            draw_map(path)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r'no file .*gone\.tif'):
            draw_map(tmp_path / 'gone.tif')

    @pytest.mark.parametrize('content', [b'', b'no raster'])
    def test_damaged_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / 'map.tif').write_bytes(content)
        with pytest.raises(CorruptFileError, match=r'map\.tif'):
            draw_map(tmp_path / 'map.tif')

    def test_size(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / 'map.tif', some_codes([1]))
        with pytest.raises(ValueError, match='max_size of 1 pixel or more, got 0'):
            draw_map(path, max_size=0)
        with pytest.raises(ValueError, match='max_size'):
            MapFigure(max_size=-3)

    def test_format(self) -> None:
        # found before hours of prediction, not after
        with pytest.raises(ValueError, match=r'suffixes .*png.*, got .*map\.xyz'):
            MapFigure('map.xyz')
        for name in ('map.PNG', 'map.pdf', 'map'):
            MapFigure(name)


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
