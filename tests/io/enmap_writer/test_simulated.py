# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Simulated EnMAP products that we write."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
import pytest
import rasterio
from helpers.enmap_parts import PARTS, SIZE, parts_of, read
from rasterio.windows import Window

from torchgeo_hsi.errors import CorruptFileError, OutputError
from torchgeo_hsi.io import EnMAPL2AReader, open_cube, simulated
from torchgeo_hsi.io.simulated import read_config, simulate_enmap, truth_file
from torchgeo_hsi.physics.simulation import (
    LAND_COVER,
    EnMAPScene,
    SceneConfig,
    SceneTile,
)

TRUTH = {
    'TRUTH_CLASSES.TIF',
    'TRUTH_ABUNDANCES.TIF',
    'TRUTH_CLEAN_IMAGE.TIF',
    'TRUTH.JSON',
}


@pytest.fixture(scope='module')
def tile() -> SceneTile:
    scene = EnMAPScene(SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.2))
    return scene.render(0, 0, SIZE, SIZE)


class TestSimulated:
    def test_product_holds_the_scene(self, root: Path, tile: SceneTile) -> None:
        assert parts_of(root) == PARTS | TRUTH
        scene = EnMAPScene(SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.2))
        with EnMAPL2AReader(root) as reader:
            values, valid = reader.read()
            info = reader.info
            for name, field in (
                ('cloud', tile.cloud),
                ('cloudshadow', tile.shadow),
                ('haze', tile.haze),
                ('cirrus', tile.cirrus > 0),
                ('defective', (tile.defects == 1).any(axis=0)),
            ):
                flagged = reader.read_quality((name,))
                np.testing.assert_array_equal(flagged, field, err_msg=name)
        np.testing.assert_array_equal(valid, tile.image != -32768)
        np.testing.assert_array_equal(values[valid], tile.image[valid])
        assert info.bands is not None
        assert info.bands.names == scene.bands.names
        np.testing.assert_allclose(
            info.bands.wavelength, scene.bands.wavelength, atol=6e-7
        )
        np.testing.assert_array_equal(info.bands.good, scene.filled)

    def test_truth(self, root: Path, tile: SceneTile) -> None:
        np.testing.assert_array_equal(read(root, 'TRUTH_CLASSES')[0], tile.classes)
        np.testing.assert_array_equal(read(root, 'TRUTH_ABUNDANCES'), tile.abundances)
        np.testing.assert_array_equal(read(root, 'TRUTH_CLEAN_IMAGE'), tile.clean)
        file = truth_file(root, 'TRUTH_CLASSES')
        assert file is not None
        with rasterio.open(file) as src:
            names = json.loads(src.tags(1)['class_names'])
            assert names == {str(i): c.name for i, c in enumerate(LAND_COVER)}
            assert src.colormap(1)[8][:3] == LAND_COVER[8].color
            assert src.nodata == 255

    def test_quality_layers_fit_the_truth(self, root: Path, tile: SceneTile) -> None:
        classes = read(root, 'QL_QUALITY_CLASSES')[0]
        np.testing.assert_array_equal(classes == 3, ~tile.inside)
        np.testing.assert_array_equal(classes == 2, tile.classes == 0)
        flags = read(root, 'QL_QUALITY_TESTFLAGS')[0]
        dead = (tile.defects == 1).any(axis=0)
        np.testing.assert_array_equal(flags & 0b1100 > 0, dead)

    def test_cloud_cover_in_the_metadata(self, root: Path, tile: SceneTile) -> None:
        tree = defusedxml.ElementTree.parse(next(root.glob('*.XML')))
        percent = tree.getroot().findtext('specific/qualityFlag/cloudCover')
        share = tile.cloud.sum() / tile.inside.sum()
        assert int(percent) == round(100 * share)

    def test_nothing_happens_if_it_is_there(self, root: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
        simulate_enmap(root, SIZE, seed=3, cloud_cover=0.2)
        assert {p: p.stat().st_mtime_ns for p in root.iterdir()} == before

    def test_another_scene_is_not_replaced(self, root: Path) -> None:
        with pytest.raises(OutputError, match=r'with seed=3.*seed=4 was asked for'):
            simulate_enmap(root, SIZE, seed=4, cloud_cover=0.2)
        assert read_config(root) == SceneConfig(SIZE, SIZE, 3, 0.2)

    def test_threads_do_not_matter(self, tmp_path: Path) -> None:
        shares: list[float] = []
        for name, workers in (('a', 1), ('b', 3)):
            simulate_enmap(
                tmp_path / name,
                (20, 140),
                footprint=False,
                workers=workers,
                progress=shares.append,
            )
        first, second = (
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
            for name in 'ab'
        )
        assert first == second
        assert shares == pytest.approx([128 / 140, 1.0] * 2)

    def test_scenes_of_other_seeds_lie_elsewhere(self, tmp_path: Path) -> None:
        places = []
        for seed in (1, 2, 17):
            simulate_enmap(tmp_path / str(seed), 16, seed=seed)
            with open_cube(tmp_path / str(seed)) as reader:
                assert reader.info.transform is not None
                places.append((reader.info.transform.c, reader.info.transform.f))
        (x1, y1), (x2, y2), (x17, y17) = places
        assert (x2 - x1, y2 - y1) == (38_400, 0)
        assert (x17 - x1, y17 - y1) == (0, -38_400)
        assert x1 % 30 == y1 % 30 == 0

    def test_two_at_the_same_time(self, tmp_path: Path) -> None:
        # as the processes of a distributed training do
        results: list[Path] = []
        threads = [
            threading.Thread(
                target=lambda: results.append(simulate_enmap(tmp_path / 's', 16))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [tmp_path / 's'] * 2
        assert read_config(tmp_path / 's') == SceneConfig(16, 16)
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_interruption_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        render = simulated._render

        def interrupted(*args: Any) -> Iterator[tuple[Window, SceneTile]]:
            yield next(render(*args))
            raise KeyboardInterrupt

        monkeypatch.setattr(simulated, '_render', interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate_enmap(tmp_path / 's', 16)
        assert list(tmp_path.iterdir()) == []

    def test_missing_file(self, tmp_path: Path) -> None:
        root = simulate_enmap(tmp_path / 's', 16)
        file = truth_file(root, 'TRUTH_CLASSES')
        assert file is not None
        os.remove(file)
        with pytest.raises(CorruptFileError, match=r'lacks TRUTH_CLASSES.*Delete'):
            read_config(root)

    @pytest.mark.parametrize('text', ['{', '{"scene": {"colour": 1}}', '[]'])
    def test_damaged_description(self, tmp_path: Path, text: str) -> None:
        (tmp_path / 'X-TRUTH.JSON').write_text(text)
        with pytest.raises(CorruptFileError, match='is damaged'):
            read_config(tmp_path)

    def test_no_product(self, tmp_path: Path) -> None:
        assert read_config(tmp_path / 'nowhere') is None

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'size': 8}, 'at least 16'),
            ({'cloud_cover': -1}, 'cloud_cover'),
            ({'size': (20, 400)}, 'footprint=False'),
        ],
    )
    def test_bad_arguments(
        self, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            simulate_enmap(tmp_path / 's', **options)
        assert list(tmp_path.iterdir()) == []
