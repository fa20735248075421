# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Effective rank and eigen-spectrum against numpy."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.metrics.effective_rank import (
    EffectiveRank,
    EigenSpectrum,
    effective_rank,
    eigen_spectrum,
    spectrum_rank,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rank_by_loops(features: Tensor) -> float:
    x = features.double().numpy()
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    entropy = 0.0
    for value in singular:
        share = value / singular.sum()
        if share > 0:
            entropy -= share * np.log(share)
    return float(np.exp(entropy))


@pytest.mark.parametrize('shape', [(50, 7), (5, 20), (2, 3)])
@pytest.mark.parametrize('offset', [0.0, 30.0])
def test_against_singular_values(shape: tuple[int, int], offset: float) -> None:
    x = random(*shape) * torch.logspace(0, -2, shape[1]) + offset
    assert float(effective_rank(x)) == pytest.approx(rank_by_loops(x), rel=1e-6)
    want = np.zeros(shape[1])
    values = np.linalg.eigvalsh(np.cov(x.double().numpy(), rowvar=False))[::-1]
    want[:] = np.where(np.arange(shape[1]) < shape[0] - 1, values, 0)
    np.testing.assert_allclose(eigen_spectrum(x).numpy(), want, atol=1e-9, rtol=1e-6)


def test_known_ranks() -> None:
    even = torch.cat([torch.eye(6), -torch.eye(6)])
    assert float(effective_rank(even)) == pytest.approx(6)
    line = random(40, 1) * torch.tensor([1.0, 2.0, 3.0])
    assert float(effective_rank(line)) == pytest.approx(1, abs=1e-5)
    # the mean is no direction, and neither is the scale
    x = random(40, 5)
    assert torch.allclose(effective_rank(1e-3 * x + 7), effective_rank(x), rtol=1e-3)
    assert float(spectrum_rank(torch.tensor([4.0, 4.0, 0.0]))) == pytest.approx(2)


@pytest.mark.parametrize('value', [0.0, 0.1, 1e4])
def test_constant_features_have_no_rank(value: float) -> None:
    x = torch.full((100, 8), value)
    assert float(effective_rank(x)) == 0
    assert not eigen_spectrum(x).any()
    # what is left of a network that has collapsed is the rounding of its float32
    noise = x * (1 + 1e-7 * random(100, 8))
    assert float(effective_rank(noise)) == 0


def test_too_few_samples() -> None:
    for count in (0, 1):
        assert effective_rank(random(count, 4)).isnan()
        metric = EffectiveRank(4)
        metric.update(random(count, 4))
        assert metric.compute().isnan()
    assert EigenSpectrum(4).compute().isnan().all()


@pytest.mark.parametrize(
    ('features', 'words'),
    [
        (torch.tensor([[1.0, torch.nan]]), 'NaN or infinite.*learning rate'),
        (torch.tensor([[1.0, torch.inf]]), 'NaN or infinite'),
        (torch.ones(3), r'\(N, F\).*\(3,\)'),
        (torch.ones(3, 2, dtype=torch.long), 'int64'),
    ],
)
def test_wrong_features(features: Tensor, words: str) -> None:
    calls: list[Callable[[Tensor], object]] = [
        effective_rank,
        eigen_spectrum,
        EffectiveRank(2).update,
    ]
    for call in calls:
        with pytest.raises(ValueError, match=words):
            call(features)


def test_wrong_number_of_features() -> None:
    with pytest.raises(ValueError, match='Expected 3 features of each sample, got 2'):
        EffectiveRank(3).update(torch.ones(4, 2))
    with pytest.raises(ValueError, match='got 0'):
        EigenSpectrum(0)


def test_stream_is_the_whole() -> None:
    x = random(101, 6) + 1000
    metric, spectrum = EffectiveRank(6), EigenSpectrum(6)
    for part in x.split(17):
        metric.update(part)
        spectrum.update(part)
    assert torch.allclose(metric.compute(), effective_rank(x))
    assert torch.allclose(spectrum.compute(), eigen_spectrum(x))
    # what it holds does not grow
    assert sum(state.numel() for state in metric.metric_state.values()) == 1 + 6 + 36
    assert torch.allclose(
        pickle.loads(pickle.dumps(metric)).compute(), metric.compute()
    )
    metric.reset()
    assert metric.compute().isnan()
    # a forward is the value of its batch, and counts once
    assert torch.allclose(metric(x[:50]), effective_rank(x[:50]))
    metric(x[50:])
    assert torch.allclose(metric.compute(), effective_rank(x))


def test_states_of_processes_are_put_together() -> None:
    x = random(60, 6)
    parts = []
    for rows in (x[:13], x[13:40], x[40:]):
        metric = EigenSpectrum(6)
        metric.update(rows)
        parts.append(metric.metric_state)
    whole = EigenSpectrum(6)
    # torchmetrics stacks states without a reduction
    for name in ('count', 'mean', 'squares'):
        setattr(whole, name, torch.stack([part[name] for part in parts]))
    assert torch.allclose(whole.spectrum(), eigen_spectrum(x))
