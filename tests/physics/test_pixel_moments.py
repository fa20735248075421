# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Moments of pixels against numpy, in one piece and in parts."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics import pixel_moments
from torchgeo_hsi.physics.pixel_moments import PixelMoments


@pytest.fixture
def stack() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    # far from 0, where sums of squares in single precision have no digits left
    return 1e4 + torch.rand(2, 5, 20, 30, generator=generator)


def test_moments_are_those_of_numpy(stack: torch.Tensor) -> None:
    moments = PixelMoments.of(stack)
    for number, image in enumerate(stack.double().numpy()):
        flat = image.reshape(5, -1)
        np.testing.assert_allclose(moments.mean[number], flat.mean(1), rtol=1e-14)
        np.testing.assert_allclose(moments.covariance[number], np.cov(flat), rtol=1e-9)
        np.testing.assert_allclose(moments.std[number], flat.std(1, ddof=1), rtol=1e-9)
        np.testing.assert_allclose(moments.minimum[number], flat.min(1))
        products = flat @ flat.T / flat.shape[1]
        np.testing.assert_allclose(moments.products[number], products, rtol=1e-12)
    assert moments.count.tolist() == [600, 600]


def test_products_with_a_few(stack: torch.Tensor) -> None:
    whole, part = PixelMoments.of(stack), PixelMoments.of(stack[:, :4], stack[:, 4:])
    torch.testing.assert_close(part.covariance, whole.covariance[..., 4:])
    torch.testing.assert_close(part.variance, whole.variance)
    torch.testing.assert_close(part.products, whole.products[..., 4:])


@pytest.mark.parametrize('few', [False, True])
def test_parts_add_up(stack: torch.Tensor, few: bool) -> None:
    counting = torch.rand(2, 20, 30, generator=torch.Generator().manual_seed(1)) < 0.7
    other = stack[:, 4:] if few else None
    own = stack[:, :4] if few else stack
    whole = PixelMoments.of(own, other, counting)
    total = None
    for rows in (slice(0, 7), slice(7, 8), slice(8, 20)):
        piece = None if other is None else other[:, :, rows]
        part = PixelMoments.of(own[:, :, rows], piece, counting[:, rows])
        total = part if total is None else total.merge(part)
    assert total is not None
    for name in ('count', 'mean', 'scatter', 'squares', 'minimum'):
        torch.testing.assert_close(
            getattr(total, name), getattr(whole, name), rtol=1e-9, atol=1e-9
        )
    chosen = stack[0][:, counting[0]].double().numpy()
    np.testing.assert_allclose(whole.mean[0], chosen.mean(1), rtol=1e-14)


def test_chunks(stack: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PixelMoments.of(stack)
    monkeypatch.setattr(pixel_moments, '_CHUNK', 5 * 30 * 3)
    torch.testing.assert_close(PixelMoments.of(stack).covariance, whole.covariance)


def test_no_pixel_counts(stack: torch.Tensor) -> None:
    counting = torch.zeros(2, 20, 30, dtype=torch.bool)
    empty = PixelMoments.of(stack, None, counting)
    assert empty.count.tolist() == [0, 0]
    whole = PixelMoments.of(stack)
    torch.testing.assert_close(empty.merge(whole).covariance, whole.covariance)


def test_shapes_must_fit(stack: torch.Tensor) -> None:
    with pytest.raises(BandMismatchError, match='Expected images of shapes'):
        PixelMoments.of(stack, stack[..., 1:])
    with pytest.raises(BandMismatchError, match='counting of shape'):
        PixelMoments.of(stack, None, torch.ones(2, 20, 29, dtype=torch.bool))
    with pytest.raises(BandMismatchError, match='5 images, got 4'):
        PixelMoments.of(stack).merge(PixelMoments.of(stack[:, 1:]))
