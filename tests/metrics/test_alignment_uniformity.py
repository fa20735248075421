# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Alignment and uniformity against loops over numpy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.processes import Nursery
from metrics.distributed_features import main, score
from torch import Tensor

from torchgeo_hsi.metrics.alignment import Alignment, alignment
from torchgeo_hsi.metrics.uniformity import Uniformity, uniformity


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(features: Tensor) -> np.ndarray:
    x = features.double().numpy()
    return np.stack([row / np.sqrt((row**2).sum()) for row in x])


@pytest.mark.parametrize('alpha', [1.0, 2.0])
def test_alignment_by_loops(alpha: float) -> None:
    x, y = random(23, 5), random(23, 5, seed=1) + 1
    want = np.mean(
        [
            sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) ** (alpha / 2)
            for p, q in zip(unit(x), unit(y), strict=True)
        ]
    )
    assert float(alignment(x, y, alpha)) == pytest.approx(want, rel=1e-5)
    metric = Alignment(alpha)
    for part in zip(x.split(7), y.split(7), strict=True):
        metric.update(*part)
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize('t', [1.0, 2.0])
def test_uniformity_by_loops(t: float) -> None:
    x = random(23, 5) + 1
    units = unit(x)
    terms = [
        np.exp(-t * ((units[i] - units[j]) ** 2).sum())
        for i in range(len(units))
        for j in range(i)
    ]
    want = np.log(np.mean(terms))
    assert float(uniformity(x, t)) == pytest.approx(want, rel=1e-5)
    metric = Uniformity(t)
    for part in x.split(7):
        metric.update(part)
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)


def test_limits() -> None:
    constant = torch.full((9, 4), 0.3)
    assert float(alignment(constant, constant)) == 0
    assert float(uniformity(constant)) == 0
    assert float(alignment(constant, -constant)) == pytest.approx(4)
    spread = random(2000, 512)
    assert float(uniformity(spread)) == pytest.approx(-4, abs=0.02)
    assert float(alignment(spread[:1000], spread[1000:])) == pytest.approx(2, abs=0.02)
    # features that are nearly the same differ, and lengths do not count
    near = 1 + 1e-4 * random(50, 8)
    assert -1e-6 < float(uniformity(near)) < 0
    lengths = torch.arange(1.0, 51)[:, None]
    assert torch.allclose(uniformity(near * lengths), uniformity(near), atol=1e-7)


def test_too_few_samples() -> None:
    assert uniformity(random(1, 4)).isnan()
    assert alignment(random(0, 4), random(0, 4)).isnan()
    metric = Uniformity()
    assert metric.compute().isnan()
    metric.update(random(1, 4))
    assert metric.compute().isnan()
    assert Alignment().compute().isnan()


def test_sample_is_fair_and_draws_no_global_numbers() -> None:
    x = random(500, 8)
    x[250:] += 3
    state = torch.get_rng_state()
    scores = []
    for seed in range(20):
        metric = Uniformity(samples=100, seed=seed)
        for part in x.split(30):
            metric.update(part)
        assert [len(rows) for rows in metric.units] == [100]
        scores.append(float(metric.compute()))
    assert torch.equal(state, torch.get_rng_state())
    assert len(set(scores)) == 20
    spread = np.std(scores) / np.sqrt(20)
    assert np.mean(scores) == pytest.approx(float(uniformity(x)), abs=4 * spread)
    again = Uniformity(samples=100, seed=19)
    for _ in range(2):
        again.reset()
        for part in x.split(30):
            again.update(part)
        assert float(again.compute()) == scores[-1]


def test_wrong_input() -> None:
    bad = torch.tensor([[torch.nan, 1.0]])
    with pytest.raises(ValueError, match='NaN'):
        alignment(bad, bad)
    with pytest.raises(ValueError, match='NaN'):
        Uniformity().update(bad)
    with pytest.raises(ValueError, match=r'two views.*\(2, 3\) and \(3, 3\)'):
        Alignment().update(torch.ones(2, 3), torch.ones(3, 3))
    for call in (lambda: Alignment(0), lambda: Uniformity(t=-1)):
        with pytest.raises(ValueError, match='positive'):
            call()
    with pytest.raises(ValueError, match='at least 2'):
        Uniformity(samples=1)


def test_two_processes_are_one(tmp_path: Path, together: Nursery) -> None:
    together(main, (0, tmp_path), (1, tmp_path))
    want = score([slice(None)])
    for rank in range(2):
        found = json.loads((tmp_path / f'{rank}.json').read_text())
        for name, value in want.items():
            assert found[name] == pytest.approx(value, rel=1e-5), name
