# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of iterative normalization, and of its loss."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.processes import Nursery
from losses.distributed_embeddings import compute, work
from torch import Tensor, nn

from torchgeo_hsi.errors import HSIWarning
from torchgeo_hsi.losses.intl import INTLLoss, intl_trace_weight
from torchgeo_hsi.losses.iterative_normalization import (
    iterative_normalization,
    normalized_spectrum,
    trace_loss,
)
from torchgeo_hsi.losses.spectral_transformation import SpectralTransformationLoss

#: Dimensions of the covariance, and its eigenvalues after 3, 4, 5, 7 and 9 iterations.
FLAT = {
    16: (0.513, 0.793, 0.966, 1.000, 1.000),
    32: (0.301, 0.548, 0.824, 1.000, 1.000),
    64: (0.163, 0.329, 0.586, 0.983, 1.000),
    128: (0.085, 0.181, 0.360, 0.883, 1.000),
    256: (0.044, 0.095, 0.201, 0.668, 0.993),
    512: (0.022, 0.049, 0.106, 0.429, 0.930),
    2048: (0.006, 0.012, 0.028, 0.132, 0.506),
}


def embeddings(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return z * torch.logspace(0, -1, shape[-1], dtype=torch.float64) + 3


def published(z: Tensor, iterations: int) -> Tensor:
    """Whiten the features over the batch, as the paper writes it down."""
    z = z - z.mean(0)
    sigma = z.T @ z / (len(z) - 1)
    root = torch.eye(z.shape[1], dtype=z.dtype)
    for _ in range(iterations):
        root = (3 * root - root @ root @ root @ sigma / sigma.trace()) / 2
    return z @ root / sigma.trace().sqrt()


def with_spectrum(values: Tensor) -> Tensor:
    """Make embeddings whose covariance has these eigenvalues."""
    count = len(values)
    z = embeddings(2 * count, count)
    basis = torch.linalg.qr(z - z.mean(0)).Q * (2 * count - 1) ** 0.5
    rotation = torch.linalg.qr(embeddings(count, count, seed=1)).Q
    return basis * values.sqrt() @ rotation


@pytest.mark.parametrize('iterations', [0, 1, 2, 4, 7])
def test_against_the_recursion(iterations: int) -> None:
    z = embeddings(20, 6)
    expected = published(z, iterations)
    found = iterative_normalization(z, iterations, 'batch', eps=0)
    torch.testing.assert_close(found, expected)
    found = iterative_normalization(z.T, iterations, 'channels', eps=0)
    torch.testing.assert_close(found, expected.T)
    # and its eigenvalues are those of the scalar recursion
    values = torch.linalg.eigvalsh(torch.cov(z.T))
    scalar = normalized_spectrum(values / values.sum(), iterations)
    torch.testing.assert_close(torch.linalg.eigvalsh(torch.cov(expected.T)), scalar)


def test_scalar_recursion() -> None:
    shares = torch.linspace(0, 1, 100, dtype=torch.float64)
    for iterations in range(10):
        expected = []
        for x in shares.tolist():
            p = 1.0
            for _ in range(iterations):
                p = (3 * p - p**3 * x) / 2
            expected.append(x * p * p)
        found = normalized_spectrum(shares, iterations)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
        assert (found.diff() > -1e-12).all()
        assert found.max() <= 1 + 1e-12
        slope = normalized_spectrum(torch.tensor(1e-9).double(), iterations) / 1e-9
        assert slope.item() == pytest.approx(2.25**iterations, rel=1e-4)


@pytest.mark.parametrize('size', FLAT)
def test_flat_spectra(size: int) -> None:
    """The fixed points of the reference: what the trace loss can reach at best."""
    share = torch.tensor([1 / size], dtype=torch.float64)
    found = [normalized_spectrum(share, t).item() for t in (3, 4, 5, 7, 9)]
    assert found == pytest.approx(FLAT[size], abs=5e-4)
    if size > 256:
        return
    z = with_spectrum(torch.full((size,), 3.0, dtype=torch.float64))
    for iterations, value in zip((3, 4, 5, 7, 9), found, strict=True):
        white = iterative_normalization(z, iterations, 'batch')
        torch.testing.assert_close(
            torch.cov(white.T).diagonal().mean().item(), value, atol=1e-6, rtol=0
        )


def test_trace_loss_is_least_for_flat_spectra() -> None:
    numbers = torch.arange(1, 257, dtype=torch.float64)
    found = []
    for exponent in (0, 1, 2):
        z = with_spectrum(numbers ** float(-exponent))
        # along the axes of the spectrum: a rotation spreads the variances
        z = z @ torch.linalg.eigh(torch.cov(z.T)).eigenvectors
        found.append(trace_loss(iterative_normalization(z, 4, 'batch'), 'batch'))
    assert torch.stack(found).tolist() == pytest.approx([209.6, 224.2, 246.7], abs=0.06)
    z = embeddings(9, 5)
    expected = sum((z[:, j].var() - 1) ** 2 for j in range(5))
    torch.testing.assert_close(trace_loss(z, 'batch'), expected)
    torch.testing.assert_close(trace_loss(z.T, 'channels'), expected)


@pytest.mark.parametrize('iterations', [4, 9, 12])
def test_single_precision_with_eigenvalues_of_zero(iterations: int) -> None:
    """The recursion as it is written down blows up its errors of rounding here."""
    z = with_spectrum(torch.tensor([3.0, 1.0, 1.0, 0.5, 0.0, 0.0]).double())
    exact = iterative_normalization(z, iterations, 'batch')
    single = iterative_normalization(z.float(), iterations, 'batch').double()
    torch.testing.assert_close(single, exact, atol=2e-4, rtol=0)
    if iterations == 12:
        plain = published(z.float(), iterations).double()
        assert not (plain - exact).abs().max() < 1


@pytest.mark.parametrize('axis', ['channels', 'batch'])
def test_gradient_against_finite_differences(axis: str) -> None:
    shape = (4, 9) if axis == 'channels' else (9, 4)
    views = [embeddings(*shape, seed=seed).requires_grad_() for seed in range(3)]
    loss = INTLLoss(axis, trace_weight=0.05)  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(lambda *z: loss(z), views)
    assert torch.autograd.gradcheck(lambda *z: loss(z, views[0].detach()), views[1:])


def test_published_weights() -> None:
    sizes = (8, 32, 64, 128, 256, 512, 1024, 2048, 8192)
    found = [intl_trace_weight(size) for size in sizes]
    assert found == pytest.approx([0, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1])
    assert intl_trace_weight(2) == intl_trace_weight(7) == 0


@pytest.mark.parametrize('axis', ['channels', 'batch'])
@pytest.mark.parametrize('teacher', [False, True])
def test_loss_is_that_of_the_paper(axis: str, teacher: bool) -> None:
    views = [embeddings(32, 16, seed=seed) for seed in range(4)]
    if axis == 'channels':
        views = [view.T for view in views]
    flip: Callable[[Tensor], Tensor] = torch.t if axis == 'channels' else torch.clone
    white = [flip(published(flip(view), 4)) for view in views]
    unit = [z / z.norm(dim=1, keepdim=True) for z in white]
    trace = [(flip(z).var(0) - 1).square().sum() for z in white]
    weight = 0.01 * (math.log2(16) - 3)
    total = torch.zeros(())
    for i in (1, 2, 3):
        near = 2 - 2 * (unit[i] * unit[0]).sum(1).mean()
        both = trace[i] if teacher else trace[i] + trace[0]
        total = total + near + weight * both
    loss = INTLLoss(axis)  # type: ignore[arg-type]
    found = loss(views[1:], views[0]) if teacher else loss(views)
    torch.testing.assert_close(found, total / 3, atol=1e-5, rtol=1e-5)
    parts = loss.terms['alignment'] + weight * loss.terms['trace']
    torch.testing.assert_close(parts, found)


def test_teacher_learns_nothing() -> None:
    student, teacher = (embeddings(8, 32, seed=s).requires_grad_() for s in (0, 1))
    INTLLoss()([student], teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize('axis', ['channels', 'batch'])
@pytest.mark.parametrize('value', [0.0, 0.1, 1e4])
def test_constant_embeddings_stay_finite(axis: str, value: float) -> None:
    z = torch.full((8, 16), value, requires_grad=True)
    loss = INTLLoss(axis, trace_weight=0.05).eval()  # type: ignore[arg-type]
    for other in (z, z.detach() + torch.randn(8, 16)):
        found = loss([z, other])
        (gradient,) = torch.autograd.grad(found, z)
        assert found.isfinite()
        assert gradient.isfinite().all()


def test_mixed_precision_ends_here() -> None:
    # sums over 8192 channels are beyond float16
    views = [(30 * embeddings(16, 8192, seed=seed)).half() for seed in (0, 1)]
    loss = INTLLoss()
    with torch.autocast('cpu', torch.bfloat16):
        found = loss(views)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss([view.float() for view in views]))
    torch.testing.assert_close(
        found.double(), loss([view.double() for view in views]), atol=1e-4, rtol=1e-5
    )


def test_a_batch_that_cannot_become_white_is_told() -> None:
    for axis, shape, message in (
        ('channels', (16, 16), 'more features than images'),
        ('batch', (16, 16), 'more images than features'),
    ):
        loss = INTLLoss(axis)  # type: ignore[arg-type]
        views = [embeddings(*shape), embeddings(*shape, seed=1)]
        loss.eval()(views)
        with pytest.warns(HSIWarning, match=message):
            loss.train()(views)
        # not again and again
        loss(views)
    INTLLoss('channels')([embeddings(16, 17)] * 2)
    INTLLoss('batch')([embeddings(17, 16)] * 2)


def test_what_cannot_be_used() -> None:
    z = embeddings(4, 8)
    for views, message in (
        ([], 'got none'),
        ([z], '2 or more views'),
        ([z, z[:2]], 'same images in all views'),
        ([z[0], z[0]], r'shape \(B, D\)'),
    ):
        with pytest.raises(ValueError, match=message):
            INTLLoss()(views)
    with pytest.raises(ValueError, match='2 or more images'):
        INTLLoss('batch').eval()([z[:1], z[:1]])
    with pytest.raises(ValueError, match='2 or more features'):
        INTLLoss().eval()([z[:, :1], z[:, :1]])
    with pytest.raises(ValueError, match="'channels' or 'batch'"):
        INTLLoss('rows')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='1 or more iterations'):
        INTLLoss(iterations=0)
    with pytest.raises(ValueError, match='0 or more iterations'):
        iterative_normalization(z, -1)
    for weight in (-1.0, 'none'):
        with pytest.raises(ValueError, match="or 'auto'"):
            INTLLoss(trace_weight=weight)  # type: ignore[arg-type]


def test_two_processes_are_one(tmp_path: Path, together: Nursery) -> None:
    together(work, (0, tmp_path), (1, tmp_path))
    expected = compute(0, 1)
    assert len(expected) == 8
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(
                found[name], expected[name], atol=1e-9, rtol=1e-9, msg=name
            )


def effective_rank(z: Tensor) -> float:
    """Compute exp of the entropy of the eigenvalues of the covariance."""
    shares = torch.linalg.eigvalsh(torch.cov(z.T.double())).clamp_min(1e-30)
    shares = shares / shares.sum()
    return float((-(shares * shares.log()).sum()).exp())


def train_toy(loss: nn.Module, steps: int = 150, seed: int = 0) -> float:
    """Train on 20 factors in 64 channels with noise, and see how many dimensions stay.

    Args:
        loss: Loss of two views.
        steps: Steps of SGD.
        seed: Seed of data and network.

    Returns:
        The effective rank of embeddings of 32 dimensions.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mixing = torch.randn(20, 64) / 20**0.5
        network = nn.Sequential(
            nn.Linear(64, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
        )
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        for _ in range(steps):
            clean = torch.tanh(torch.randn(256, 20) @ mixing)
            views = [clean + 0.3 * torch.randn(256, 64) for _ in range(2)]
            optimizer.zero_grad()
            loss([network(view) for view in views]).backward()
            optimizer.step()
        network.eval()
        clean = torch.tanh(torch.randn(2048, 20) @ mixing)
        with torch.no_grad():
            return effective_rank(network(clean + 0.3 * torch.randn(2048, 64)))


@pytest.mark.slow
def test_collapse() -> None:
    """Whitening by iteration collapses, but not with the trace loss; p < 0.5 does."""
    assert train_toy(INTLLoss('batch', 4)) > 25
    assert train_toy(INTLLoss('batch', 4, trace_weight=0.0)) < 8
    for power in (0.0, 0.4):
        assert train_toy(SpectralTransformationLoss(power)) < 8
    assert train_toy(SpectralTransformationLoss(0.5)) > 10
