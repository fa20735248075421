# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Endmembers of known mixtures."""

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.physics.endmembers import vertex_component_analysis


def mixture(materials: int, noise: float = 0.0) -> tuple[Tensor, Tensor, list[int]]:
    """Mix smooth spectra; some pixels are pure."""
    rng = np.random.default_rng(3)
    axis = np.linspace(0, 1, 40)[:, None]
    places, widths = rng.random(materials), 0.05 + 0.2 * rng.random(materials)
    pure = 0.2 + np.exp(-(((axis - places) / widths) ** 2))
    shares = rng.dirichlet(np.ones(materials), 600).T
    where = [17 + 41 * k for k in range(materials)]
    shares[:, where] = np.eye(materials)
    spectra = pure @ shares + noise * rng.standard_normal((40, 600))
    return torch.from_numpy(spectra), torch.from_numpy(pure), where


@pytest.mark.parametrize('materials', [1, 2, 5, 9])
def test_pure_pixels_are_found(materials: int) -> None:
    spectra, pure, where = mixture(materials)
    if materials == 1:
        where = [int(spectra.square().sum(0).argmax())]
    found, pixels = vertex_component_analysis(spectra, materials)
    if materials > 1:
        assert sorted(pixels.tolist()) == where
        order = pixels.argsort()
        torch.testing.assert_close(found[:, order], pure)
    assert found.shape == (40, materials)


def test_brightness_does_not_matter_where_there_is_no_noise() -> None:
    spectra, _, where = mixture(4)
    light = torch.linspace(0.5, 1.5, 600).double()
    _, pixels = vertex_component_analysis(spectra * light, 4)
    assert sorted(pixels.tolist()) == where


def test_noise_is_projected_out() -> None:
    spectra, pure, where = mixture(4, noise=0.08)
    generator = torch.Generator().manual_seed(5)
    found, pixels = vertex_component_analysis(spectra, 4, generator, restarts=10)
    # the nearest material of each corner, each once
    distance = torch.cdist(found.T, pure.T)
    assert sorted(distance.argmin(1).tolist()) == [0, 1, 2, 3]
    raw = (spectra[:, where] - pure).square().mean().sqrt()
    order = distance.argmin(1)
    assert (found - pure[:, order]).square().mean().sqrt() < 3 * raw
    # in a plane of three dimensions through the mean
    centered = found - spectra.mean(1, keepdim=True)
    assert torch.linalg.matrix_rank(centered, rtol=1e-8) == 3
    assert pixels.shape == (4,)


def test_more_tries_never_have_less_volume() -> None:
    # a round cloud without any corners
    generator = torch.Generator().manual_seed(2)
    spectra = 9 + torch.randn(8, 500, generator=generator, dtype=torch.float64)

    def volume(restarts: int) -> float:
        found, _ = vertex_component_analysis(spectra, 6, None, restarts)
        return float(torch.linalg.slogdet(found.T @ found)[1])

    volumes = [volume(n) for n in (1, 5, 25)]
    assert volumes[0] <= volumes[1] + 1e-9
    assert volumes[1] <= volumes[2] + 1e-9
    assert volumes[0] < volumes[2] - 1e-3


def test_seed_decides() -> None:
    spectra, _, _ = mixture(6, noise=0.1)
    first, second = (
        vertex_component_analysis(spectra, 6, torch.Generator().manual_seed(1))[1]
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_float32_and_dark_pixels() -> None:
    spectra, _, where = mixture(3)
    spectra[:, 0] = 0
    found, pixels = vertex_component_analysis(spectra.float(), 3)
    assert found.dtype == torch.float32
    assert sorted(pixels.tolist()) == where


def test_fewer_kinds_than_asked_for() -> None:
    spectra = torch.ones(5, 20, dtype=torch.float64)
    found, _ = vertex_component_analysis(spectra, 3)
    assert found.isfinite().all()


def test_errors() -> None:
    spectra = torch.rand(5, 20)
    with pytest.raises(ValueError, match='1 to 5 materials'):
        vertex_component_analysis(spectra, 6)
    with pytest.raises(EmptyDataError, match='at least 4 spectra'):
        vertex_component_analysis(spectra[:, :3], 4)
    spectra[0, 0] = torch.nan
    with pytest.raises(EmptyDataError, match='without gaps'):
        vertex_component_analysis(spectra, 2)
