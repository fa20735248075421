# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The picture of a map: true colors, true shares, and the right place."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from callbacks.cube_scenes import TRANSFORM, UTM33
from callbacks.painted_maps import GRAY, pictures
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from torchgeo_hsi.callbacks import MapFigure, draw_map
from torchgeo_hsi.datasets.plotting import NODATA_GRAY
from torchgeo_hsi.errors import CorruptFileError, MetadataError
from torchgeo_hsi.io import write_cog

COLORS = {1: '#ff0000', 4: '#00c814', 7: '#0a0bff', 9: '#fffe00'}

NAMES = {1: 'water', 4: 'forest', 7: 'field'}


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
