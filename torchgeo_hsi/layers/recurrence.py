# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The gated linear recurrence along the bands."""

from typing import Any

import torch
from torch import Tensor

from ..errors import BandMismatchError


@torch.library.custom_op('torchgeo_hsi::gated_recurrence', mutates_args=())
def _recur(candidate: Tensor, gate: Tensor, reverse: bool) -> Tensor:
    out = torch.empty_like(candidate, memory_format=torch.contiguous_format)
    state = torch.zeros_like(candidate[:, 0])
    for step in _order(candidate.shape[1], reverse):
        torch.lerp(candidate[:, step], state, gate[:, step], out=out[:, step])
        state = out[:, step]
    return out


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


@_recur.register_fake
def _(candidate: Tensor, gate: Tensor, reverse: bool) -> Tensor:
    return torch.empty_like(candidate, memory_format=torch.contiguous_format)


@torch.library.custom_op('torchgeo_hsi::gated_recurrence_backward', mutates_args=())
def _recur_backward(
    grad: Tensor, candidate: Tensor, gate: Tensor, out: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of the gradients, from the last step to the first."""
    order = _order(grad.shape[1], not reverse)
    d_candidate = torch.empty_like(candidate, memory_format=torch.contiguous_format)
    d_gate = torch.empty_like(d_candidate)
    first = torch.zeros_like(grad[:, 0])
    kept, carry = torch.zeros_like(first), torch.empty_like(first)
    for step, before in zip(order, [*order[1:], None], strict=True):
        torch.add(kept, grad[:, step], out=carry)
        torch.mul(carry, gate[:, step], out=kept)
        torch.sub(carry, kept, out=d_candidate[:, step])
        state = first if before is None else out[:, before]
        torch.sub(state, candidate[:, step], out=d_gate[:, step]).mul_(carry)
    return d_candidate, d_gate


@_recur_backward.register_fake
def _(
    grad: Tensor, candidate: Tensor, gate: Tensor, out: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    fake = torch.empty_like(candidate, memory_format=torch.contiguous_format)
    return fake, torch.empty_like(fake)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
    candidate, gate, ctx.reverse = inputs
    ctx.save_for_backward(candidate, gate, output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    return *_recur_backward(grad, *ctx.saved_tensors, ctx.reverse), None


_recur.register_autograd(_backward, setup_context=_setup)


def gated_recurrence(
    candidate: Tensor, gate: Tensor, *, reverse: bool = False
) -> Tensor:
    r"""Run a gated linear recurrence along the second axis.

    .. math:: h_d = f_d h_{d-1} + (1 - f_d) z_d, \qquad h_0 = 0

    One step after the other is as fast as memory is, and needs no other. The backward
    pass is a recurrence of the same kind, and keeps nothing but the two inputs and the
    states. In half precision, states are kept in float32.

    Args:
        candidate: What each step brings, :math:`z`, shape ``(B, D, ...)``.
        gate: How much of the state each step keeps, :math:`f`, same shape.
        reverse: Whether to start from the last step.

    Returns:
        States :math:`h`, same shape.

    Raises:
        BandMismatchError: If the shapes differ.

    Example:
        >>> ones = torch.ones(1, 4, 1)
        >>> gated_recurrence(ones, ones / 2).flatten()
        tensor([0.5000, 0.7500, 0.8750, 0.9375])
    """
    if candidate.shape != gate.shape or candidate.ndim < 2:
        raise BandMismatchError(
            'Expected candidates and gates of one shape (batch, steps, ...), got '
            f'{tuple(candidate.shape)} and {tuple(gate.shape)}.'
        )
    if candidate.dtype in (torch.bfloat16, torch.float16):
        states: Tensor = _recur(candidate.float(), gate.float(), reverse)
        return states.to(candidate.dtype)
    states = _recur(candidate, gate.to(candidate.dtype), reverse)
    return states


class BandStates:
    """The states of a gated recurrence that gets its bands a few at a time.

    Without gradients.

    Args:
        reverse: Whether bands come from the last to the first.
        bands: Number of bands, to keep the states of all; by default, they take the
            place of the candidates and are forgotten.
    """

    def __init__(self, reverse: bool, bands: int | None = None) -> None:
        """Initialize a new BandStates instance."""
        self._bands = bands
        self._reverse = reverse
        self._state: Tensor | None = None
        #: All states, of shape ``(D, ...)``, if they are kept.
        self.all = torch.empty(0)

    def step(self, place: slice, candidate: Tensor, gate: Tensor) -> Tensor:
        """Go on.

        Args:
            place: Which bands these are.
            candidate: What each step brings, shape ``(n, ...)``.
            gate: How much of the state each step keeps, same shape.

        Returns:
            The states of these bands.
        """
        if self._state is None:
            self._state = torch.zeros_like(candidate[0])
            if self._bands is not None:
                self.all = candidate.new_empty(self._bands, *candidate.shape[1:])
        out = candidate if self._bands is None else self.all[place]
        for band in _order(len(candidate), self._reverse):
            torch.lerp(candidate[band], self._state, gate[band], out=out[band])
            self._state = out[band]
        return out
