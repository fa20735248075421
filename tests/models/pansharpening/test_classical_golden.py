# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The published code and ours on the same deterministic scene."""

from functools import cache

import pytest
import torch
from data.pansharpening_scene.data import ergas, golden_scene, rmse
from models.pansharpening.classical_cases import METHODS
from torch import Tensor

from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.pansharpening import MeasuringPansharpener
from torchgeo_hsi.models.pansharpening.component_substitution import (
    BDSDPC,
    BTH,
    GSA,
    PRACS,
)
from torchgeo_hsi.models.pansharpening.multiresolution import (
    AWLP,
    MF,
    MTFGLPFS,
    MTFGLPHPM,
    MTFGLPHPMR,
)

#: Mean, RMSE and ERGAS by the published code.
GOLDEN: dict[type[MeasuringPansharpener], tuple[float, float, float]] = {
    GSA: (7046.1100, 104.7856, 0.243833),
    BTH: (7070.5132, 56.1635, 0.130140),
    PRACS: (7046.5615, 156.7840, 0.364945),
    MTFGLPFS: (7067.1852, 32.0098, 0.069742),
    MTFGLPHPM: (7067.3258, 32.1642, 0.070038),
    MTFGLPHPMR: (7067.2063, 32.1442, 0.070082),
    AWLP: (7046.2089, 149.6681, 0.349167),
    MF: (7063.9429, 198.6185, 0.463876),
}

#: That of the interpolated cube.
EXP_ERGAS = 0.909704


@cache
def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    scene = golden_scene(32)
    names = ('lr', 'pan', 'ms', 'gt')
    return tuple(scene.batch(name) for name in names)  # type: ignore[return-value]


def sharpen(method: MeasuringPansharpener) -> tuple[Tensor, Tensor]:
    cube, pan, up, truth = images()
    return method(cube, pan, up=up), truth


@pytest.mark.parametrize('method', GOLDEN)
def test_published_numbers(method: type[MeasuringPansharpener]) -> None:
    mean, error, index = GOLDEN[method]
    result, truth = sharpen(method(boundary='circular'))
    assert float(result.mean()) == pytest.approx(mean, rel=3e-5)
    # the published wavelet has another border, which the index does not see
    assert rmse(result, truth) == pytest.approx(error, rel=1e-3)
    # weights of the published GSA have single precision
    assert ergas(result, truth) == pytest.approx(index, rel=3e-5)


def test_bdsd_pc() -> None:
    # by NNLS instead of the published solver, whose tolerance shows
    method = BDSDPC(boundary='circular')
    result, truth = sharpen(method)
    assert rmse(result, truth) == pytest.approx(64.9443, rel=1e-5)
    assert float(result.mean()) == pytest.approx(7075.1163, rel=2e-7)
    assert ergas(result, truth) == pytest.approx(0.145947, rel=3e-3)
    cube, pan, up, _ = images()
    pair = method.make_pair(cube, pan, up=up)
    weights = method.solve(method.measure(pair, {}), {})['weights'][0, 0]
    assert weights.nonzero().flatten().tolist() == [0, 1, 29, 32]
    published = [0.980820, -0.309190, -0.387313, -0.243020]
    assert weights[[0, 1, 29, 32]].tolist() == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize('method', METHODS)
def test_all_beat_interpolation(method: type[MeasuringPansharpener]) -> None:
    result, truth = sharpen(method(boundary='circular'))
    assert ergas(result, truth) < 0.75 * EXP_ERGAS


@pytest.mark.parametrize('method', METHODS)
def test_own_interpolation_is_as_good(method: type[MeasuringPansharpener]) -> None:
    cube, pan, _, truth = images()
    assert ergas(method()(cube, pan), truth) < 0.75 * EXP_ERGAS
    single = method()(cube.float(), pan.float())
    assert single.dtype == torch.float32
    assert ergas(single.double(), truth) < 0.75 * EXP_ERGAS


NAMES = (
    *('brovey', 'gs', 'gsa', 'bt_h', 'bdsd', 'bdsd_pc', 'pracs', 'awlp', 'mf'),
    *('mtf_glp', 'mtf_glp_fs', 'mtf_glp_hpm', 'mtf_glp_hpm_h', 'mtf_glp_hpm_r'),
    'mtf_glp_cbd',
)


def test_methods_have_names() -> None:
    found = [type(get_model(name)) for name in NAMES]
    assert set(found) == set(METHODS)


@pytest.mark.parametrize('name', NAMES)
def test_names_take_views(name: str) -> None:
    method = get_model(name, interpolation='bicubic', boundary='circular')
    assert isinstance(method, MeasuringPansharpener)
    assert method.views.interpolation == 'bicubic'
    assert method.views.boundary == 'circular'
    if name == 'bt_h' or name.startswith(('mtf', 'bdsd')):
        other = get_model(name, gain=0.25)
        assert isinstance(other, MeasuringPansharpener)
        assert other.views.gain == 0.25
