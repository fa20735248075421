# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.layers import gated_recurrence
from torchgeo_hsi.layers.recurrence import BandStates


def by_formula(candidate: Tensor, gate: Tensor, reverse: bool) -> Tensor:
    """Sum all steps with the product of the gates behind them."""
    if reverse:
        return by_formula(candidate.flip(1), gate.flip(1), False).flip(1)
    states = []
    for last in range(candidate.shape[1]):
        total = torch.zeros_like(candidate[:, 0])
        for step in range(last + 1):
            kept = gate[:, step + 1 : last + 1].prod(1)
            total = total + kept * (1 - gate[:, step]) * candidate[:, step]
        states.append(total)
    return torch.stack(states, 1)


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    candidate = torch.randn(2, 6, 3, 4, generator=generator, dtype=torch.float64)
    gate = torch.rand(2, 6, 3, 4, generator=generator, dtype=torch.float64)
    return candidate.requires_grad_(), gate.requires_grad_()


@pytest.mark.parametrize('reverse', [False, True])
def test_states_and_gradients(inputs: tuple[Tensor, Tensor], reverse: bool) -> None:
    states = gated_recurrence(*inputs, reverse=reverse)
    expected = by_formula(*inputs, reverse)
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-14)
    weight = torch.arange(float(states.numel()), dtype=torch.float64).reshape_as(states)
    found = torch.autograd.grad((states * weight).sum(), inputs)
    wanted = torch.autograd.grad((expected * weight).sum(), inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_slices_of_the_last_axis(inputs: tuple[Tensor, Tensor]) -> None:
    # half of the channels, which are not contiguous
    candidate, gate = (tensor.detach()[..., :2] for tensor in inputs)
    states = gated_recurrence(candidate, gate)
    torch.testing.assert_close(states, by_formula(candidate, gate, False))


def test_half_precision_keeps_its_states_in_float32() -> None:
    # with all its gates near one, bfloat16 would never leave zero
    candidate = torch.ones(1, 400, 1, dtype=torch.bfloat16)
    gate = torch.full_like(candidate, 0.99609375)
    states = gated_recurrence(candidate, gate)
    assert states.dtype == torch.bfloat16
    expected = 1 - 0.99609375**400
    assert states[0, -1, 0].item() == pytest.approx(expected, abs=4e-3)


def test_registered_operator(inputs: tuple[Tensor, Tensor]) -> None:
    operator = torch.ops.torchgeo_hsi.gated_recurrence.default
    torch.library.opcheck(operator, (*inputs, True))


def test_shapes_differ() -> None:
    with pytest.raises(BandMismatchError, match='of one shape'):
        gated_recurrence(torch.zeros(1, 3, 2), torch.zeros(1, 3, 1))


@pytest.mark.parametrize('keep', [False, True])
@pytest.mark.parametrize('reverse', [False, True])
def test_a_few_bands_at_a_time(
    inputs: tuple[Tensor, Tensor], reverse: bool, keep: bool
) -> None:
    candidate, gate = (tensor.detach()[0] for tensor in inputs)
    expected = by_formula(candidate[None], gate[None], reverse)[0]
    places = [slice(0, 1), slice(1, 4), slice(4, 6)]
    states = BandStates(reverse, 6 if keep else None)
    found = {}
    for place in reversed(places) if reverse else places:
        found[place.start] = states.step(place, candidate[place].clone(), gate[place])
    torch.testing.assert_close(torch.cat([found[0], found[1], found[4]]), expected)
    if keep:
        torch.testing.assert_close(states.all, expected)
