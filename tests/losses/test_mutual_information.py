# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of bounds of mutual information against numpy."""

import math

import numpy as np
import pytest
import torch

from torchgeo_hsi.losses import MutualInformationLoss


def test_jsd_as_published() -> None:
    """The sums over nodes and graphs that the authors of MVGRL write down."""
    nodes, graphs, count = torch.randn(12, 5), torch.randn(3, 5), 3
    member = np.arange(12) % count
    scores = (nodes @ graphs.T).double()
    s = scores.numpy()
    true = false = 0.0
    for i in range(12):
        for j in range(count):
            soft = math.log1p(math.exp(-s[i, j]))
            if member[i] == j:
                true += math.log(2.0) - soft
            else:
                false += soft + s[i, j] - math.log(2.0)
    expected = false / (12 * (count - 1)) - true / 12
    positive = torch.from_numpy(member[:, None] == np.arange(count))
    found = MutualInformationLoss('jsd')(scores, positive)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_bce_by_hand() -> None:
    scores = torch.randn(10, dtype=torch.float64)
    positive = torch.arange(10) < 4
    p = 1 / (1 + np.exp(-scores.numpy()))
    expected = -np.log(np.where(positive, p, 1 - p)).mean()
    found = MutualInformationLoss('bce')(scores, positive)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_both_are_the_same_bound_of_balanced_pairs() -> None:
    scores, positive = torch.randn(8, dtype=torch.float64), torch.arange(8) < 4
    jsd, bce = (MutualInformationLoss(k)(scores, positive) for k in ('jsd', 'bce'))
    assert float(jsd) == pytest.approx(2 * float(bce) - 2 * math.log(2), abs=1e-12)


def test_falls_as_true_pairs_stand_out() -> None:
    positive = torch.eye(4, dtype=torch.bool)
    loss = MutualInformationLoss()
    values = [
        float(loss(positive * scale - scale / 2, positive)) for scale in (0, 2, 9)
    ]
    assert values[0] == pytest.approx(0)
    assert values[0] > values[1] > values[2]


def test_errors() -> None:
    with pytest.raises(ValueError, match='got only one kind'):
        MutualInformationLoss()(torch.zeros(3), torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="'jsd' or 'bce'"):
        MutualInformationLoss('nce')  # type: ignore[arg-type]
