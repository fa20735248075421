# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Numbers of any kind: constant bands, few digits, NaN, and networks of any precision."""

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes.plain_files import (
    BANDS,
    HEIGHT,
    NODATA,
    TILES,
    WIDTH,
    Change,
    cube,
    restore,
    write,
)
from torch import Tensor, nn

from torchgeo_hsi.errors import EmptyDataError, NotFiniteError, OutputError
from torchgeo_hsi.layers import SceneModel, ScenePool
from torchgeo_hsi.models import get_model
from torchgeo_hsi.scenes import restore_scene


class TestConstantBands:
    @pytest.mark.parametrize('number', [0, 3000, 32767])
    @pytest.mark.parametrize('scaling', ['percentile', 'min_max', 'reflectance'])
    def test_band_is_left_out(self, tmp_path: Path, number: int, scaling: str) -> None:
        values = cube()
        values[2] = number
        values[2, :3] = NODATA
        source = write(tmp_path / 'in.tif', values, nodata=NODATA)
        seen: list[Tensor] = []

        class Watch(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                seen.append(image)
                return image + 0.1

        result = restore(source, Watch(), scaling=scaling)
        np.testing.assert_array_equal(result[2], values[2])
        others = np.delete(values, 2, 0)
        assert (np.delete(result, 2, 0) != others).all()
        # nor does it say what is 0 and 1
        alone = write(tmp_path / 'in.tif', others, nodata=NODATA)
        first = seen[0]
        seen.clear()
        restore(alone, Watch(), scaling=scaling)
        torch.testing.assert_close(seen[0][..., 3:, :], first[..., 3:, :])

    def test_methods_invent_nothing(self, tmp_path: Path) -> None:
        values = cube()
        values[2] = 3000
        source = write(tmp_path / 'in.tif', values)
        for method in ('hyres', 'svd'):
            assert (restore(source, get_model(method))[2] == 3000).all()

    def test_scene_of_constant_bands(self, tmp_path: Path) -> None:
        values = np.broadcast_to(np.arange(5)[:, None, None], (5, 9, 9))
        source = write(tmp_path / 'in.tif', values.astype('int16'))
        with pytest.raises(EmptyDataError, match='same number everywhere'):
            restore(source)

    def test_single_pixel_is_not_constant(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube()[:, :1, :1])
        result = restore(source, Change(0.01), scaling='reflectance')
        np.testing.assert_array_equal(result, cube()[:, :1, :1] + 100)

    def test_nearly_constant_scene(self, tmp_path: Path) -> None:
        # fewer than 0.1 % differ, as where a background is not declared
        values = np.zeros((BANDS, 64, 64), 'int16')
        values[:, 5, 5] = 1000
        source = write(tmp_path / 'in.tif', values)
        result = restore(source, Change(0.5))
        np.testing.assert_array_equal(result, values + 500)


class TestDigits:
    @pytest.mark.parametrize(
        'values',
        [
            1e6 + np.random.default_rng(0).random((5, 40, 36)),
            (1e6 + np.random.default_rng(0).random((5, 40, 36))).astype('float32'),
            -1e9 + np.random.default_rng(0).random((5, 40, 36)),
            np.random.default_rng(0).integers(2**30, 2**31 - 1, (5, 40, 36), 'int32'),
            np.random.default_rng(0).integers(2**62, 2**63 - 1, (5, 40, 36)),
            np.random.default_rng(0).integers(0, 2**64 - 1, (5, 40, 36), 'uint64'),
        ],
        ids=['float64', 'float32', 'negative', 'int32', 'int64', 'uint64'],
    )
    def test_numbers_far_from_zero(self, tmp_path: Path, values: Any) -> None:
        source = write(tmp_path / 'in.tif', values)
        np.testing.assert_array_equal(restore(source), values)

    def test_what_a_network_sees_of_a_small_range(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        values = 1e6 + rng.random((BANDS, HEIGHT, WIDTH))
        source = write(tmp_path / 'in.tif', values)
        seen: list[Tensor] = []

        class Watch(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                seen.append(image)
                return image + 0.5

        result = restore(source, Watch(), tile_size=64, overlap=0)
        low, high = np.quantile(values, [0.001, 0.999])
        np.testing.assert_allclose(
            seen[0][0], (values - low) / (high - low), rtol=0, atol=5e-3
        )
        np.testing.assert_allclose(result - values, 0.5 * (high - low), atol=5e-3)

    def test_whole_numbers_are_clipped(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(2**61, 2**62, (5, 40, 36))
        source = write(tmp_path / 'in.tif', values)
        assert (restore(source, Change(1e6)) > 2**62).all()

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
    def test_precision_of_the_network(self, tmp_path: Path, dtype: Any) -> None:
        values = cube()
        source = write(tmp_path / 'in.tif', values)
        plain, other = Pooled(), Pooled().to(dtype)
        expected = restore(source, plain)
        result = restore(source, other)
        assert {layer.weight.dtype for layer in (other.layer,)} == {dtype}
        limit = 1 if dtype == torch.float64 else 150
        np.testing.assert_allclose(result, expected, atol=limit)

    def test_networks_of_other_precision(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        torch.manual_seed(0)
        model = get_model('man_s')
        expected = restore(source, model)
        np.testing.assert_allclose(restore(source, model.double()), expected, atol=1)

    def test_noise_level_has_the_precision_of_the_network(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube())
        model = get_model('man_s', noise_map=True).double()
        assert restore(source, model).dtype == 'int16'
        assert restore(source, model, sigma=20).dtype == 'int16'


class Pooled(SceneModel):
    """Looks at the scene through a layer with weights."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(BANDS, BANDS, 1, bias=False)
        self.layer.weight.data[:] = torch.eye(BANDS)[..., None, None]
        self.pool = ScenePool()

    def forward(self, image: Tensor) -> Tensor:
        image = self.layer(image)
        return (image + self.pool(image)[..., None, None]) / 2


class TestNotFinite:
    @pytest.mark.parametrize('number', [np.nan, np.inf])
    @pytest.mark.parametrize('dtype', ['int16', 'float32'])
    def test_nothing_is_written(
        self, tmp_path: Path, number: float, dtype: str
    ) -> None:
        class Bad(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                image = image.clone()
                image[:, 3, 7, 7] = number
                return image

        source = write(tmp_path / 'in.tif', cube(dtype))
        with pytest.raises(NotFiniteError, match=r'^mine gives NaN .* for band 4 of'):
            restore(source, Bad(), name='mine')
        assert [path.name for path in tmp_path.iterdir()] == ['in.tif']

    def test_overflow(self, tmp_path: Path) -> None:
        source = write(tmp_path / 'in.tif', cube('float32') * np.float32(1e33))
        with pytest.raises(NotFiniteError, match='Change gives'):
            restore(source, Change(1e6))

    def test_pixels_without_data_may_be_anything(self, tmp_path: Path) -> None:
        class Gaps(nn.Module):
            def forward(self, image: Tensor, valid: Tensor) -> Tensor:
                return torch.where(valid[:, None], image, torch.nan)

        values = cube('float32')
        values[:, 3:9, 3:9] = NODATA
        source = write(tmp_path / 'in.tif', values, nodata=NODATA)
        np.testing.assert_array_equal(restore(source, Gaps()), values)


class TestPlaces:
    def test_network_may_work_in_place(self, tmp_path: Path) -> None:
        class Half(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                return image.mul_(0).add_(0.5)

        source = write(tmp_path / 'in.tif', cube())
        assert (restore(source, Half(), scaling='reflectance') == 5000).all()

    def test_output_in_the_scene(self, tmp_path: Path) -> None:
        from data.enmap_l2a.data import make_product

        scene = make_product(tmp_path / 'in')
        before = {path.name for path in scene.folder.iterdir()}
        for name in ('out.tif', 'deep/out.tif', 'out'):
            with pytest.raises(OutputError, match='the scene itself'):
                restore_scene(nn.Identity(), scene.folder, scene.folder / name)
        assert {path.name for path in scene.folder.iterdir()} == before

    def test_disk_without_space(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple('usage', 'total used free')
        need = BANDS * HEIGHT * WIDTH * 2 + BANDS * 16 * WIDTH * 4
        free = need - 1
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(1, 1, free))
        source = write(tmp_path / 'in.tif', cube())
        out = tmp_path / 'new' / 'out.tif'
        with pytest.raises(OutputError, match=r'needs 0\.0 MiB .* are free in'):
            restore_scene(nn.Identity(), source, out, **TILES)
        assert not out.parent.exists()
        free = need
        restore_scene(nn.Identity(), source, out, **TILES)

    @pytest.mark.parametrize('sigma', [0, -1, np.nan, np.inf])
    def test_noise_level_that_is_none(self, tmp_path: Path, sigma: float) -> None:
        with pytest.raises(ValueError, match='Expected a positive sigma'):
            restore_scene(
                get_model('hyres'), tmp_path / 'no', tmp_path / 'out.tif', sigma=sigma
            )

    def test_noise_level_that_nobody_asks_for(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='Identity does not ask'):
            restore_scene(nn.Identity(), tmp_path / 'no', tmp_path / 'out.tif', sigma=5)
