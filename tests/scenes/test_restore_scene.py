# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole scenes, in the layouts that users have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import scipy.io
import torch
from numpy.typing import NDArray
from scenes.scene_files import (
    BANDS,
    HEIGHT,
    NODATA,
    WIDTH,
    Centered,
    Identity,
    Smooth,
    cube,
    stored,
    write,
)
from torch import Tensor, nn

from torchgeo_hsi.io import CubeWriter, open_cube, write_cog
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.scenes import _strip, restore_scene


def box_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    padded = np.pad(values.astype(float), ((0, 0), (2, 2), (2, 2)), mode='edge')
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    mean: NDArray[np.float64] = windows.mean((3, 4))
    return mean


@pytest.mark.parametrize('is_large', [False, True])
@pytest.mark.parametrize(('tile_size', 'overlap'), [(64, 16), (48, 24), (256, 0)])
def test_tiles_leave_no_seam(
    tmp_path: Path,
    tile_size: int,
    overlap: int,
    is_large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_large:
        # a scene so wide that its row of tiles is kept on disk
        monkeypatch.setattr(_strip, '_SMALL', 0)
    values = cube('float32')
    source = write(tmp_path / 'in.tif', values, None)
    out = tmp_path / 'out.tif'
    assert (
        restore_scene(Smooth(), source, out, tile_size=tile_size, overlap=overlap)
        == out
    )
    np.testing.assert_allclose(stored(out), box_mean(values), rtol=1e-5)


def test_all_but_the_numbers_stays(tmp_path: Path) -> None:
    values = cube()
    values[:, 20:60, 30:50] = NODATA
    values[2, 100:103, 100:110] = NODATA
    source = write(tmp_path / 'in.tif', values)
    out = restore_scene(
        Smooth(), source, tmp_path / 'out.tif', tile_size=64, overlap=16
    )
    with rasterio.open(source) as old, rasterio.open(out) as new:
        assert (new.crs, new.transform, new.nodata) == (old.crs, old.transform, NODATA)
        assert (new.dtypes, new.shape) == (old.dtypes, old.shape)
        assert new.descriptions == old.descriptions
        for band in new.indexes:
            tags = old.tags(band)
            assert {k: new.tags(band)[k] for k in tags} == tags
        assert new.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert 'method=Smooth' in new.tags()['restoration']
    result = stored(out)
    np.testing.assert_array_equal(result == NODATA, values == NODATA)
    far = np.s_[:, :10, :20]
    np.testing.assert_allclose(result[far], box_mean(values)[far], atol=0.51)


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16', 'int32', 'float64'])
@pytest.mark.parametrize('scaling', ['min_max', 'percentile', 'reflectance', 250.0])
def test_identity_keeps_every_number(tmp_path: Path, dtype: str, scaling: Any) -> None:
    values = cube(dtype) if dtype != 'uint8' else (cube() // 24).astype('uint8')
    source = write(tmp_path / 'in.tif', values, None)
    out = restore_scene(Identity(), source, tmp_path / 'out.tif', scaling=scaling)
    result = stored(out)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, values, rtol=0 if dtype != 'float64' else 1e-6)


def test_scale_and_offset_stay(tmp_path: Path) -> None:
    values = cube('uint16')
    source = tmp_path / 'in.tif'
    with CubeWriter(
        source, values.shape, 'uint16', nodata=0, scale=2e-5, offset=-0.01
    ) as out:
        out.write(rasterio.windows.Window(0, 0, WIDTH, HEIGHT), values)
    result = restore_scene(Identity(), source, tmp_path / 'out.tif')
    np.testing.assert_array_equal(stored(result), values)
    with open_cube(source) as old, open_cube(result) as new:
        np.testing.assert_allclose(new.info.gain, old.info.gain, rtol=1e-12)
        np.testing.assert_allclose(new.info.offset, old.info.offset, rtol=1e-12)
        np.testing.assert_array_equal(old.read()[0], new.read()[0])


@pytest.mark.parametrize(
    ('scaling', 'low', 'high'),
    [
        ('min_max', lambda v: v.min(), lambda v: v.max()),
        (
            'percentile',
            lambda v: np.quantile(v, 0.001),
            lambda v: np.quantile(v, 0.999),
        ),
        ('reflectance', lambda v: 0, lambda v: 10_000),
        ('2500', lambda v: 0, lambda v: 2500),
    ],
)
def test_scaling(tmp_path: Path, scaling: str, low: Any, high: Any) -> None:
    values = cube()
    values[:, :4, :4] = NODATA
    data = values[values != NODATA]
    source = write(tmp_path / 'in.tif', values)
    model = Smooth()
    options = {'tile_size': 256, 'overlap': 0}
    restore_scene(model, source, tmp_path / 'out.tif', scaling=scaling, **options)
    expected = (values[:, 50, 60] - low(data)) / (high(data) - low(data))
    found = model.seen[0][0, :, 50, 60]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


def test_network_sees_means_instead_of_nodata(tmp_path: Path) -> None:
    values = cube()
    values[:, :64, :] = NODATA
    values[3] = NODATA
    source = write(tmp_path / 'in.tif', values)
    model = Smooth()
    out = restore_scene(
        model,
        source,
        tmp_path / 'out.tif',
        tile_size=48,
        overlap=8,
        scaling='reflectance',
    )
    images = torch.cat([image.flatten(2) for image in model.seen], 2)
    # the empty band is left out
    assert images.shape[1] == BANDS - 1
    assert images.min() >= 0.01
    means = np.delete(values, 3, 0)[:, 64:].mean((1, 2)) / 1e4
    mixed = next(
        image for image in model.seen if (image[0, 0, 0] == image[0, 0, 0, 0]).all()
    )
    np.testing.assert_allclose(mixed[0, :, 0, 0], means, rtol=1e-5)
    # tiles without data are not computed
    assert len(model.seen) < 4 * 4
    assert (stored(out)[3] == NODATA).all()


def test_restored_data_never_becomes_nodata(tmp_path: Path) -> None:
    class Zero(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.zeros_like(image)

    values = cube('uint16')
    values[:, :9] = 0
    source = write(tmp_path / 'in.tif', values, 0)
    options = {'scaling': 'reflectance'}
    out = restore_scene(Zero(), source, tmp_path / 'out.tif', **options)
    assert set(np.unique(stored(out)[:, 9:])) == {1}
    assert not stored(out)[:, :9].any()


def test_numbers_are_clipped_to_the_data_type(tmp_path: Path) -> None:
    class Huge(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.where(image > 0.3, 1e3, -1e3)

    source = write(tmp_path / 'in.tif', cube())
    options = {'scaling': 'reflectance'}
    out = restore_scene(Huge(), source, tmp_path / 'out.tif', **options)
    assert set(np.unique(stored(out))) == {NODATA + 1, 32767}


def test_bands_that_are_marked_as_bad_stay(tmp_path: Path) -> None:
    values = cube()
    good = np.array([True, False, True, True, True])
    bands = BandSet(np.linspace(0.45, 2.3, BANDS), good=good)
    source = write_cog(tmp_path / 'in.tif', values, nodata=NODATA, bands=bands)
    out = restore_scene(
        Smooth(), source, tmp_path / 'out.tif', tile_size=64, overlap=16
    )
    result = stored(out)
    np.testing.assert_array_equal(result[1], values[1])
    np.testing.assert_allclose(result[good], box_mean(values)[good], atol=0.51)


def test_nan_and_infinity_stay(tmp_path: Path) -> None:
    values = cube('float32')
    values[:, 3, 4] = np.nan
    values[1, 30, 40] = np.inf
    source = write(tmp_path / 'in.tif', values, None)
    result = stored(restore_scene(Smooth(), source, tmp_path / 'out.tif'))
    np.testing.assert_array_equal(np.isfinite(result), np.isfinite(values))
    assert result[1, 30, 40] == np.inf


def test_tiles_share_the_statistics_of_the_scene(tmp_path: Path) -> None:
    values = cube('float32')
    values[:, :70, :60] = NODATA
    source = write(tmp_path / 'in.tif', values)
    model = Centered()
    out = restore_scene(
        model,
        source,
        tmp_path / 'out.tif',
        scaling='reflectance',
        tile_size=48,
        overlap=16,
    )
    valid = values != NODATA
    mean = np.array([v[k].mean() for v, k in zip(values, valid, strict=True)])
    expected = np.where(valid, values - mean[:, None, None], NODATA)
    np.testing.assert_allclose(stored(out), expected, atol=0.01)
    assert not model.is_settled


def test_each_pass_shows_every_pixel_once(tmp_path: Path) -> None:
    count = []

    class Counting(Centered):
        def observe(
            self, image: Tensor, valid: Tensor | None = None, **inputs: Any
        ) -> None:
            assert valid is not None
            count.append(int(valid.sum()))
            super().observe(image, valid, **inputs)

    source = write(tmp_path / 'in.tif', cube())
    restore_scene(
        Counting(), source, tmp_path / 'out.tif', tile_size=48, overlap=16, passes=2
    )
    assert sum(count) == 2 * HEIGHT * WIDTH


def test_noise_level_reaches_the_network(tmp_path: Path) -> None:
    levels: list[Tensor] = []

    class Mapped(nn.Module):
        def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
            levels.append(sigma)
            return image

    source = write(tmp_path / 'in.tif', cube())
    restore_scene(Mapped(), source, tmp_path / 'out.tif', sigma=25)
    assert all(level.tolist() == [[25.0] * BANDS] for level in levels)


def test_noise_level_is_estimated_for_networks_that_need_it(tmp_path: Path) -> None:
    levels: list[Tensor] = []

    class Mapped(nn.Module):
        noise_map = True

        def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
            levels.append(sigma)
            return image

    rng = np.random.default_rng(0)
    noise = np.linspace(150, 250, 20)[:, None, None]
    ramp = np.linspace(1000, 4000, HEIGHT)[None, :, None]
    values = ramp + noise * rng.standard_normal((20, HEIGHT, WIDTH))
    values[:, :30, :30] = NODATA
    source = write_cog(tmp_path / 'in.tif', values.astype('int16'), nodata=NODATA)
    restore_scene(
        Mapped(),
        source,
        tmp_path / 'out.tif',
        tile_size=48,
        scaling='reflectance',
        overlap=8,
    )
    assert levels[0].shape == (1, 20)
    for level in levels:
        np.testing.assert_allclose(level[0], 255 * noise[:, 0, 0] / 1e4, rtol=0.08)


def test_method_is_told_which_pixels_are_valid(tmp_path: Path) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Careful(nn.Module):
        def forward(self, image: Tensor, valid: Tensor | None = None) -> Tensor:
            assert valid is not None
            seen.append((image, valid))
            return image

    values = cube()
    values[:, 5:9, 3:70] = NODATA
    values[2, 50, 60] = NODATA
    source = write(tmp_path / 'in.tif', values)
    options = {'tile_size': 256, 'overlap': 0}
    restore_scene(Careful(), source, tmp_path / 'out.tif', **options)
    (only,) = seen
    np.testing.assert_array_equal(only[1][0], (values != NODATA).all(axis=0))


def test_training_mode_comes_back(tmp_path: Path) -> None:
    modes: list[bool] = []

    class Mode(Identity):
        def forward(self, image: Tensor) -> Tensor:
            modes.append(self.training)
            return image

    model = Mode().train()
    restore_scene(model, write(tmp_path / 'in.tif', cube()), tmp_path / 'out.tif')
    assert model.training
    assert not any(modes)


def test_mat_file(tmp_path: Path) -> None:
    values = cube()
    scipy.io.savemat(tmp_path / 'in.mat', {'data': values.transpose(1, 2, 0)})
    out = restore_scene(Identity(), tmp_path / 'in.mat', tmp_path / 'out.tif')
    np.testing.assert_array_equal(stored(out), values)
