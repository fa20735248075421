# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Interpolation, and what all networks of super-resolution do with bad input."""

import pytest
import torch
from torch.nn import functional as F

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import get_model


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_equals_torch_inside(scale: int) -> None:
    """Torch's antialiased kernel is the same one, away from the border."""
    image = torch.rand(1, 3, 20, 24, dtype=torch.float64)
    found = get_model('bicubic', scale=scale)(image)
    expected = F.interpolate(
        image, scale_factor=scale, mode='bicubic', antialias=True, align_corners=False
    )
    inner = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -3 * scale))
    torch.testing.assert_close(found[inner], expected[inner], rtol=0, atol=1e-12)


def test_gaps_take_the_nearest_pixel() -> None:
    """What lies in a gap, even NaN, changes nothing."""
    image = torch.rand(1, 3, 8, 8)
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[0, 0, 0] = False
    other = image.clone()
    other[0, :, 0, 0] = torch.nan
    model = get_model('bicubic')
    assert torch.equal(model(image, valid), model(other, valid))
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        model(image, torch.zeros_like(valid))


def test_bad_input_is_refused() -> None:
    """Shapes, types and scales that cannot be right are named."""
    model = get_model('bicubic')
    with pytest.raises(BandMismatchError, match='add an axis'):
        model(torch.rand(3, 8, 8))
    with pytest.raises(EmptyDataError, match='empty'):
        model(torch.rand(1, 3, 0, 8))
    with pytest.raises(BandMismatchError, match='floating point'):
        model(torch.ones(1, 3, 8, 8, dtype=torch.int16))
    for known in (True, False):
        with pytest.raises(BandMismatchError, match='Expected valid of shape'):
            model(torch.rand(1, 3, 8, 8), torch.full((8, 8), known))
    with pytest.raises(ValueError, match='scale of 2'):
        get_model('bicubic', scale=1)
