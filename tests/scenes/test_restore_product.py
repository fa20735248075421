# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products that become EnMAP products."""

import filecmp
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from data.enmap_l2a.data import NODATA, Scene, make_product
from torch import Tensor, nn

from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.scenes import restore_scene


class Darker(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image - 0.01


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_product(tmp_path / 'in')


def restore(scene: Scene, out: Path, overwrite: bool = False) -> Path:
    return restore_scene(
        Darker(), scene.folder, out, scaling='reflectance', overwrite=overwrite
    )


def darker(scene: Scene) -> np.ndarray:
    return np.where(scene.data, scene.dn.astype(int) - 100, NODATA)


@pytest.mark.parametrize('suffix', ['.TIF', '_COG.tiff'])
@pytest.mark.parametrize('prefix', [True, False])
def test_all_but_the_image_is_copied(tmp_path: Path, suffix: str, prefix: bool) -> None:
    scene = make_product(tmp_path / 'in', suffix=suffix, prefix=prefix)
    out = restore(scene, tmp_path / 'out')
    old = {path.name for path in scene.folder.iterdir()}
    new = {path.name for path in out.iterdir()}
    (added,) = new - old
    assert added.endswith('RESTORATION.JSON')
    assert not old - new
    document = json.loads((out / added).read_text())
    assert document['method'] == 'Darker'
    assert document['source'] == scene.image.name
    others = [name for name in old if name != scene.image.name]
    assert filecmp.cmpfiles(scene.folder, out, others, shallow=False)[0] == others
    with rasterio.open(out / scene.image.name) as src:
        np.testing.assert_array_equal(src.read(), darker(scene))
        assert src.dtypes[0] == 'int16'
        assert src.scales[0] == 1


def test_result_is_a_product(scene: Scene, tmp_path: Path) -> None:
    out = restore(scene, tmp_path / 'out')
    with open_cube(scene.folder) as old, open_cube(out) as new:
        assert new.quality_layers == old.quality_layers
        assert new.info.bands == old.info.bands
        assert new.info.start == old.info.start
        assert new.info.crs == old.info.crs
        np.testing.assert_array_equal(
            new.read_quality(['cloud']), old.read_quality(['cloud'])
        )


def test_other_scenes_beside_it_are_not_copied(scene: Scene, tmp_path: Path) -> None:
    (scene.folder / 'notes.txt').write_text('mine')
    out = restore(scene, tmp_path / 'out')
    assert not (out / 'notes.txt').exists()


def test_gain_of_the_metadata_holds_for_the_new_image(tmp_path: Path) -> None:
    scene = make_product(tmp_path / 'in', gain=0.0002, offset=0.01)
    out = restore(scene, tmp_path / 'out')
    with open_cube(scene.folder) as old, open_cube(out) as new:
        values, valid = old.read()
        found, _ = new.read()
    np.testing.assert_allclose(found[valid], values[valid] - 100, atol=1.01)


def test_product_as_geotiff(scene: Scene, tmp_path: Path) -> None:
    out = restore(scene, tmp_path / 'out.tif')
    with open_cube(scene.folder) as old, open_cube(out) as new:
        np.testing.assert_allclose(
            new.info.bands.wavelength, old.info.bands.wavelength, rtol=1e-6
        )
        np.testing.assert_allclose(new.info.bands.fwhm, old.info.bands.fwhm, rtol=1e-6)
        assert new.info.start == old.info.start
        np.testing.assert_array_equal(
            new.read()[0], np.where(scene.data, darker(scene), 0)
        )


def test_names_of_bands_are_kept_in_a_geotiff(scene: Scene, tmp_path: Path) -> None:
    out = restore(scene, tmp_path / 'out.tif')
    with rasterio.open(out) as src:
        assert list(src.descriptions) == scene.names


def test_existing_folder(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    with pytest.raises(OutputError, match='not empty'):
        restore(scene, out)
    assert (out / 'mine.txt').read_text() == 'mine'
    restore(scene, out, overwrite=True)
    assert not (out / 'mine.txt').exists()
    assert (out / scene.image.name).exists()


def test_folder_of_the_scene_is_safe(scene: Scene, tmp_path: Path) -> None:
    for folder in (scene.folder, tmp_path / 'in'):
        with pytest.raises(OutputError, match='the scene itself'):
            restore(scene, folder, overwrite=True)
    assert scene.image.exists()


def test_failure_leaves_nothing_behind(scene: Scene, tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            raise RuntimeError('broken')

    with pytest.raises(RuntimeError, match='broken'):
        restore_scene(Broken(), scene.folder, tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['in']
