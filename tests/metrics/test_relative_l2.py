# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Relative errors against numpy."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.metrics import RelativeL2, relative_l2


def draw(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 5, 6, generator=torch.Generator().manual_seed(seed))


def expected(prediction: torch.Tensor, target: torch.Tensor) -> list[float]:
    return [
        float(np.sqrt(((p - t) ** 2).sum()) / np.sqrt((t**2).sum()))
        for p, t in zip(prediction.numpy(), target.numpy(), strict=True)
    ]


def test_each_function() -> None:
    prediction, target = draw(3), draw(3, 1)
    found = relative_l2(prediction, target)
    assert found.tolist() == pytest.approx(expected(prediction, target), rel=1e-5)


def test_mean_over_functions_of_uneven_batches() -> None:
    prediction, target = draw(7), draw(7, 1)
    metric = RelativeL2()
    for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
        metric.update(prediction[part], target[part])
    want = np.mean(expected(prediction, target))
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)


def test_processes_add_up() -> None:
    prediction, target = draw(5), draw(5, 1)
    first, second = RelativeL2(), RelativeL2()
    first.update(prediction[:4], target[:4])
    second.update(prediction[4:], target[4:])
    first.merge_state(second)
    want = np.mean(expected(prediction, target))
    assert float(first.compute()) == pytest.approx(want, rel=1e-5)
    assert first._reductions['total'] is first._reductions['count']


def test_gradient() -> None:
    prediction = draw(2).double().requires_grad_()
    target = draw(2, 1).double()
    assert torch.autograd.gradcheck(relative_l2, (prediction, target))


def test_errors() -> None:
    target = draw(2)
    with pytest.raises(BandMismatchError, match='same grid'):
        relative_l2(target[..., 1:], target)
    target[1] = 0
    with pytest.raises(EmptyDataError, match='1 of 2 true functions are 0'):
        RelativeL2().update(draw(2), target)
