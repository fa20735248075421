# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the matched filter, against plain formulas and known plumes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.physics.gases.matched_filter import MatchedFilter

BANDS = 8
ABSORPTION = torch.tensor([0.0, 1e-6, 4e-6, 1.2e-5, 9e-6, 1.5e-5, 3e-6, 0.0])


def background(
    rows: int = 60, columns: int = 50, seed: int = 0, noise: float = 4
) -> Tensor:
    """Make ground of two kinds of variation, and noise."""
    rng = torch.Generator().manual_seed(seed)
    mean = torch.linspace(2400, 1500, BANDS).double()
    shapes = torch.stack([mean / 12, torch.sin(torch.arange(BANDS)) * 60])
    amounts = torch.randn(2, rows, columns, generator=rng, dtype=torch.float64)
    drawn = torch.randn(BANDS, rows, columns, generator=rng, dtype=torch.float64)
    ground = mean[:, None, None] + torch.einsum('ik,ihw->khw', shapes.double(), amounts)
    return ground + noise * drawn


def test_is_the_formula() -> None:
    image = background()
    pixels = image.flatten(1).T.numpy()
    mean, covariance = pixels.mean(0), np.cov(pixels.T)
    absorption = ABSORPTION.double().numpy()
    target = -mean * absorption
    inverse = np.linalg.inv(covariance)
    scale = target @ inverse @ target
    for albedo in (False, True):
        made = MatchedFilter(ABSORPTION, albedo=albedo, shrinkage=0)
        found = made.fit(image)(image)
        for place in (0, 7, 1234):
            x = pixels[place]
            share = (absorption @ x) / (absorption @ mean) if albedo else 1
            column = (x - mean) @ inverse @ target / (share * scale)
            error = 1 / (share * math.sqrt(scale))
            count = len(pixels)
            error *= math.sqrt((count - 1) / (count - BANDS - 1))
            got = [values.flatten()[place].item() for values in found]
            assert got == pytest.approx([column, error], rel=1e-5)
        assert found.enhancement.shape == image.shape[1:]
        assert found.enhancement.dtype == torch.float32


def test_known_plume_is_found_without_bias() -> None:
    # the background from one scene, the plume in another
    made = MatchedFilter(ABSORPTION, albedo=False).fit(background(seed=1))
    image = background(seed=2)
    columns = torch.linspace(0, 5000, image.shape[2], dtype=torch.float64)
    image = image + made.mean[0][:, None, None] * (
        -ABSORPTION.double()[:, None, None] * columns
    )
    found = made(image)
    residual = (found.enhancement - columns) / found.error
    count = residual.numel()
    assert abs(residual.mean()) < 4 / math.sqrt(count)
    assert residual.std().item() == pytest.approx(1, abs=0.05)
    assert (residual.abs() > 3).float().mean() < 0.006
    assert found.significance[:, -1].mean() > 4


def test_error_holds_with_few_pixels() -> None:
    # learned from 40 pixels, in 8 bands
    spreads = []
    for seed in range(60):
        made = MatchedFilter(ABSORPTION, albedo=False, shrinkage=0)
        made.fit(background(8, 5, seed=100 + seed))
        fresh = background(40, 40, seed=seed)
        spreads.append(made(fresh).significance.square().mean().item())
    # what is known of the mean is uncertain, too, and so is the covariance
    assert 0.9 < math.sqrt(sum(spreads) / len(spreads)) < 1.25


def test_dark_ground_loses_less_light() -> None:
    image = background()
    share = torch.ones(image.shape[1:], dtype=torch.float64)
    share[:, ::2] = 0.5
    image = share * image
    clean = image.clone()
    image[:, 10:20] *= torch.exp(-800 * ABSORPTION.double())[:, None, None]
    means = []
    for albedo in (True, False):
        made = MatchedFilter(ABSORPTION, albedo=albedo).fit(clean)
        # the difference leaves out what the ground looks like
        change = made(image).enhancement - made(clean).enhancement
        means.append([change[10:20, k::2].mean().item() for k in range(2)])
    (dark, bright), (dark_plain, bright_plain) = means
    assert [dark, bright] == pytest.approx([800, 800], rel=0.05)
    assert dark_plain / bright_plain == pytest.approx(0.5, rel=0.02)


def test_thick_columns_are_underestimated() -> None:
    made = MatchedFilter(ABSORPTION, albedo=False).fit(background())
    mean = made.mean[0]
    ratios = []
    for column in (100, 10_000, 50_000):
        changed = mean * torch.exp(-column * ABSORPTION.double())
        found = made(changed[:, None, None]).enhancement.item()
        ratios.append(found / column)
    assert ratios[0] == pytest.approx(1, abs=0.002)
    assert ratios[0] > ratios[1] > ratios[2]


@pytest.mark.parametrize('kind', ['plain', 'trimmed', 'sparse'])
def test_parts_and_units_do_not_matter(kind: Any) -> None:
    image = background()
    image[:, 30, 20:30] *= torch.exp(-3000 * ABSORPTION.double())[:, None]
    whole = MatchedFilter(ABSORPTION, background=kind).fit(image)(image)
    parts = MatchedFilter(ABSORPTION, background=kind)
    for _ in range(parts.passes):
        for rows in image.split(7, 1):
            parts.observe(1e-4 * rows)
        parts.settle()
    joined = [parts(1e-4 * rows) for rows in image.split(13, 1)]
    for own, pieces in zip(whole, zip(*joined, strict=True), strict=True):
        torch.testing.assert_close(own, torch.cat(pieces), rtol=1e-4, atol=1e-2)
    # as a batch
    batch = MatchedFilter(ABSORPTION, background=kind)
    stack = torch.stack(image.split(30, 1))
    found = batch.fit(stack)(stack)
    assert found.enhancement.shape == (2, 30, 50)
    torch.testing.assert_close(
        torch.cat(list(found.enhancement)), whole.enhancement, rtol=1e-4, atol=1e-2
    )


def test_plumes_hide_themselves_unless_they_are_left_out() -> None:
    image = background()
    truth = torch.zeros(image.shape[1:], dtype=torch.float64)
    truth[10:22, 10:30] = 12_000
    change = -ABSORPTION.double()[:, None, None] * truth
    image = image + image.mean((1, 2))[:, None, None] * change
    bias, missed = {}, {}
    for kind in ('plain', 'trimmed', 'sparse'):
        made = MatchedFilter(ABSORPTION, background=kind, albedo=False).fit(image)
        found = made(image)
        bias[kind] = (found.enhancement - truth)[truth > 0].mean().item()
        missed[kind] = found.error.mean().item()
    # the mean holds the mean column
    assert bias['plain'] == pytest.approx(-truth.mean().item(), rel=0.2)
    assert abs(bias['trimmed']) < 0.1 * abs(bias['plain'])
    assert abs(bias['sparse']) < 0.25 * abs(bias['plain'])
    assert missed['trimmed'] < 1.05 * missed['plain']


def test_sparse_is_the_end_of_reweighting() -> None:
    image = background()
    plain = MatchedFilter(ABSORPTION).fit(image)(image)
    sparse = MatchedFilter(ABSORPTION, background='sparse', passes=1)
    found = sparse.fit(image)(image)
    column = plain.enhancement.double().clamp_min(0)
    for _ in range(3000):
        weight = 1 / (column + 1e-9)
        step = plain.enhancement.double() - weight * plain.error.double().square()
        column = step.clamp_min(0)
    # just above two standard errors it takes for ever
    settled = (plain.significance - 2).abs() > 0.01
    torch.testing.assert_close(
        found.enhancement[settled], column[settled].float(), rtol=1e-3, atol=0.1
    )
    assert (found.enhancement >= 0).all()
    assert 0.9 < (found.enhancement == 0).float().mean() < 0.99
    torch.testing.assert_close(found.error, plain.error)


def test_groups_have_their_own_background() -> None:
    image = background()
    image[:, :, 25:] = 2 * image[:, :, 25:].flip(0)
    image[:, :, 45:] *= torch.rand(15, generator=torch.Generator().manual_seed(3))[0]
    groups = torch.zeros(image.shape[1:], dtype=torch.int64)
    groups[:, 25:] = 1
    groups[:, 45:] = -1
    groups[0, 0] = 2
    made = MatchedFilter(ABSORPTION, groups=3).fit(image, groups=groups)
    found = made(image, groups=groups)
    for number, own in ((0, np.s_[1:, :25]), (1, np.s_[:, 25:45])):
        alone = MatchedFilter(ABSORPTION)
        if number == 0:
            alone.fit(image[:, :, :25], groups[:, :25] == 0)
            expected = alone(image[:, 1:, :25])
        else:
            expected = alone.fit(image[:, :, 25:45])(image[:, :, 25:45])
        torch.testing.assert_close(found.enhancement[own], expected.enhancement)
        torch.testing.assert_close(found.error[own], expected.error)
    # one pixel is no background
    assert found.enhancement[0, 0].isnan()
    assert made.mean[2].isnan().all()
    assert found.error[:, 45:].isnan().all()


def test_a_group_without_variation_has_no_result() -> None:
    """Clipped water does not hinder the others."""
    image, groups = background(), torch.zeros(60, 50, dtype=torch.int64)
    groups[:20] = 1
    alone = MatchedFilter(ABSORPTION).fit(image[:, 20:])(image[:, 20:])
    # 0.1 has no exact mean
    for number in (0.0, 0.1):
        image[3, :20] = number
        found = MatchedFilter(ABSORPTION, groups=2).fit(image, groups=groups)(
            image, groups=groups
        )
        assert found.enhancement[:20].isnan().all()
        kept = found.enhancement[20:]
        ratio = kept[kept.isfinite()] / alone.enhancement[kept.isfinite()]
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-4, atol=0)
    with pytest.raises(BandMismatchError, match=r'positions from 0\): 3\. Leave'):
        MatchedFilter(ABSORPTION).fit(image[:, :20])


@pytest.mark.parametrize('kind', [torch.uint16, torch.int16])
def test_whole_numbers(kind: torch.dtype) -> None:
    image = background().round()
    expected = MatchedFilter(ABSORPTION).fit(image)(image)
    found = MatchedFilter(ABSORPTION).fit(image.to(kind))(image.to(kind))
    torch.testing.assert_close(found.enhancement, expected.enhancement)


def test_no_data_does_not_count() -> None:
    image = background()
    plain = MatchedFilter(ABSORPTION).fit(image[:, 5:])(image[:, 5:])
    spoilt = image.clone()
    spoilt[2, :3] = torch.nan
    spoilt[:, 3:5] = -9999
    valid = torch.ones(image.shape[1:], dtype=torch.bool)
    valid[3:5] = False
    found = MatchedFilter(ABSORPTION).fit(spoilt, valid)(spoilt, valid)
    assert found.enhancement[:5].isnan().all()
    assert found.error[:5].isnan().all()
    torch.testing.assert_close(found.enhancement[5:], plain.enhancement)
    empty = MatchedFilter(ABSORPTION).fit(image)(spoilt[:, :3])
    assert empty.enhancement.isnan().all()


def test_too_dark_to_see() -> None:
    image = background()
    made = MatchedFilter(ABSORPTION).fit(image)
    image[:, 3] *= 0.05
    found = made(image)
    assert found.enhancement[3].isnan().all()
    assert found.enhancement[4:].isfinite().all()
    shown = MatchedFilter(ABSORPTION, darkest=0).fit(image)(image)
    assert shown.enhancement.isfinite().all()
    # the same noise hides twenty times as much
    assert (shown.error[3] / shown.error[4]).mean() > 15


@pytest.mark.parametrize(
    ('absorption', 'words', 'error', 'expected'),
    [
        ([1e-5], {}, BandMismatchError, 'two or more bands'),
        ([[1e-5, 2e-5]], {}, BandMismatchError, 'two or more bands'),
        ([0.0, 0.0], {}, UnitError, 'see the gas'),
        ([1e-5, -1e-5], {}, UnitError, r'-d ln\(signal\)'),
        ([1e-5, math.nan], {}, UnitError, 'nan'),
        ([0.0, 0.3], {}, UnitError, 'by 1 ppm m'),
        ([0.0, 1e-5], {'background': 'best'}, ValueError, 'plain, trimmed, sparse'),
        ([0.0, 1e-5], {'passes': 0}, ValueError, 'at least 1 pass'),
        ([0.0, 1e-5], {'passes': 2}, ValueError, 'Choose trimmed or sparse'),
        ([0.0, 1e-5], {'groups': 0}, ValueError, 'at least 1 group'),
        ([0.0, 1e-5], {'shrinkage': -1}, ValueError, 'shrinkage'),
        ([0.0, 1e-5], {'darkest': math.nan}, ValueError, 'darkest'),
        ([0.0, 1e-5], {'threshold': 0}, ValueError, 'positive threshold'),
    ],
)
def test_options_that_cannot_be(
    absorption: Any, words: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        MatchedFilter(absorption, **words)


def test_images_that_cannot_be() -> None:
    image = background()
    made = MatchedFilter(ABSORPTION)
    with pytest.raises(EmptyDataError, match='has not seen a scene'):
        made(image)
    with pytest.raises(EmptyDataError, match='has not seen a scene'):
        _ = made.mean
    with pytest.raises(BandMismatchError, match=r'\(\.\.\., 8, H, W\)'):
        made.fit(image[:5])
    with pytest.raises(BandMismatchError, match=r'valid of shape \(60, 50\)'):
        made.fit(image, torch.ones(5, 5, dtype=torch.bool))
    with pytest.raises(
        EmptyDataError, match=r'at least 16 pixels with data, .*, got 15'
    ):
        made.fit(image[:, :3, :5])
    with pytest.raises(EmptyDataError, match='got 0'):
        made.fit(torch.full_like(image, torch.nan))
    flat = image.clone()
    flat[[3, 6]] = 7
    with pytest.raises(BandMismatchError, match=r'positions from 0\): 3, 6'):
        made.fit(flat)
    with pytest.raises(BandMismatchError, match='Expected no groups'):
        made.fit(image, groups=torch.zeros(60, 50, dtype=torch.int64))
    many = MatchedFilter(ABSORPTION, groups=2)
    with pytest.raises(BandMismatchError, match='Expected groups of pixels'):
        many.fit(image)
    with pytest.raises(BandMismatchError, match='groups from 0 to 1, got 2'):
        many.fit(image, groups=torch.full((60, 50), 2))
    few = torch.arange(3000).view(60, 50) // 10 % 300 - 298
    with pytest.raises(EmptyDataError, match='in a group'):
        many.fit(image, groups=few)


def test_bands_that_are_copies() -> None:
    image = background()
    image[4] = image[3]
    found = MatchedFilter(ABSORPTION).fit(image)(image)
    assert found.enhancement.isfinite().all()
    assert found.significance.std().item() == pytest.approx(1, abs=0.05)
