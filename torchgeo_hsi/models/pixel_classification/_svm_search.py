# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options of a support vector machine, from the training pixels alone."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ._estimator import import_sklearn

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
GAMMAS = (0.1, 0.3, 1.0, 3.0)
SLOPES = tuple(0.25 * 2 ** (i / 2) for i in range(13))

#: Folds, and so the least number of pixels of a class.
FOLDS = 5
#: Most pixels of a class that options are chosen by.
MOST = 50


class Choice(NamedTuple):
    """Options of a machine, and of the probabilities that it gives.

    Args:
        penalty: Price of a training pixel on the wrong side.
        gamma: Inverse squared width of the kernel.
        slope: Factor of the decisions in the logistic function.
    """

    penalty: float
    gamma: float
    slope: float


#: Where there are too few pixels to choose.
USUAL = Choice(penalty=10.0, gamma=1.0, slope=2.0)


def couple(decisions: Tensor, count: int) -> Tensor:
    """Join what pairs of classes say: the product of the probabilities of a class.

    Args:
        decisions: Logits of the first class of each pair, (0, 1), (0, 2), ...,
            (1, 2), ..., shape ``(N, P)``.
        count: Number of classes.

    Returns:
        Logits of shape ``(N, count)``.

    Example:
        >>> couple(torch.tensor([[2.0, 3.0, -1.0]]), 3).argmax(1)
        tensor([0])
    """
    first, second = zip(*combinations(range(count), 2), strict=True)
    logits = decisions.new_zeros(len(decisions), count)
    places = torch.tensor([first, second], device=decisions.device)
    logits.index_add_(1, places[0], F.logsigmoid(decisions))
    return logits.index_add_(1, places[1], F.logsigmoid(-decisions))


def pair_decisions(machine: Any, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the decisions of all pairs, positive for the first class of each.

    Args:
        machine: Fitted machine of scikit-learn with ``decision_function_shape='ovo'``.
        x: Features of shape ``(N, F)``.

    Returns:
        Decisions of shape ``(N, P)``.
    """
    found = np.asarray(machine.decision_function(x))
    # with two classes it is positive for the second one
    return found if found.ndim == 2 else -found[:, np.newaxis]


def choose(
    x: NDArray[Any],
    targets: NDArray[np.int64],
    penalty: float | None,
    gamma: float | None,
    balanced: bool,
    seed: int,
) -> Choice:
    """Choose the options that make left out pixels most likely.

    Args:
        x: Features of shape ``(N, F)``, with a mean variance of 1 over ``F``.
        targets: Classes of shape ``(N,)``, from 0 without gaps.
        penalty: Price of a pixel on the wrong side, if it is given.
        gamma: Inverse squared width of the kernel, if it is given.
        balanced: Whether rare classes weigh as much as common ones.
        seed: Seed of the folds.

    Returns:
        The options; the usual ones if a class has fewer pixels than there are folds.
    """
    if np.bincount(targets).min() < FOLDS:
        return Choice(penalty or USUAL.penalty, gamma or USUAL.gamma, USUAL.slope)
    kept = _at_most(targets, seed)
    x, targets = x[kept], targets[kept]
    folds = import_sklearn('model_selection').StratifiedKFold(
        FOLDS, shuffle=True, random_state=seed
    )
    parts = list(folds.split(x, targets))
    best, least = USUAL, np.inf
    for options in product(
        (penalty,) if penalty else PENALTIES, (gamma,) if gamma else GAMMAS
    ):
        decisions = _left_out(x, targets, parts, *options, balanced)
        for slope, loss in _losses(decisions, targets):
            if loss < least:
                best, least = Choice(*options, slope), loss
    return best


def make_machine(penalty: float, gamma: float, balanced: bool) -> Any:
    """Make a machine of scikit-learn with one decision for each pair of classes.

    Args:
        penalty: Price of a training pixel on the wrong side.
        gamma: Inverse squared width of the kernel.
        balanced: Whether rare classes weigh as much as common ones.

    Returns:
        The machine.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    return import_sklearn('svm').SVC(
        C=penalty,
        gamma=gamma,
        class_weight='balanced' if balanced else None,
        decision_function_shape='ovo',
        cache_size=500,
    )


def _at_most(targets: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    """Draw pixels, not too many of each class."""
    source = np.random.default_rng(seed)
    drawn = [
        source.permutation(np.flatnonzero(targets == k))[:MOST]
        for k in range(int(targets.max()) + 1)
    ]
    return np.sort(np.concatenate(drawn))


def _left_out(
    x: NDArray[Any],
    targets: NDArray[np.int64],
    parts: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    penalty: float,
    gamma: float,
    balanced: bool,
) -> Tensor:
    """Decide about each pixel by a machine that has not seen it."""
    count = int(targets.max()) + 1
    decisions = np.zeros((len(x), count * (count - 1) // 2))
    for train, test in parts:
        machine = make_machine(penalty, gamma, balanced).fit(x[train], targets[train])
        decisions[test] = pair_decisions(machine, x[test])
    return torch.from_numpy(decisions)


def _losses(
    decisions: Tensor, targets: NDArray[np.int64]
) -> Iterator[tuple[float, float]]:
    """Compute the cross-entropy for each slope."""
    truth = torch.from_numpy(targets)
    for slope in SLOPES:
        logits = couple(slope * decisions, int(truth.max()) + 1)
        yield slope, float(F.cross_entropy(logits, truth))
