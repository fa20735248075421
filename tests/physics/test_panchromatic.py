# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which bands a panchromatic one covers."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics.panchromatic import (
    PAN_RANGES,
    pan_bands,
    pan_range,
    pan_weights,
    simulate_pan,
)


def test_linear_spectra_are_integrated() -> None:
    # of a linear spectrum, a uniform response sees the value in its middle
    centers = np.linspace(0.41, 1.0, 60)
    spectrum = torch.from_numpy(2 + 3 * centers)[:, None, None]
    weights = pan_weights(centers.tolist(), pan=(0.45, 0.75))
    assert float(weights.sum()) == pytest.approx(1)
    pan = simulate_pan(spectrum, weights)
    assert float(pan.squeeze()) == pytest.approx(2 + 3 * 0.6, abs=0.003)
    widths = np.full(60, 0.012).tolist()
    pan = simulate_pan(spectrum, pan_weights(centers.tolist(), widths, (0.45, 0.75)))
    assert float(pan.squeeze()) == pytest.approx(2 + 3 * 0.6, abs=0.01)


def test_order_of_bands_does_not_matter() -> None:
    centers = torch.tensor([0.9, 0.5, 0.7, 0.45, 0.66])
    order = centers.argsort()
    torch.testing.assert_close(pan_weights(centers)[order], pan_weights(centers[order]))


def test_bands_without_weight_may_be_nan() -> None:
    weights = pan_weights([0.45, 0.55, 0.65, 1.5])
    image = torch.ones(2, 4, 3, 3)
    image[:, 3] = torch.nan
    torch.testing.assert_close(simulate_pan(image, weights), torch.ones(2, 1, 3, 3))


def test_covered_bands() -> None:
    assert pan_bands([0.4, 0.7, 0.71], 'prisma').tolist() == [True, True, False]
    assert pan_range((0.5, 0.6)) == (0.5, 0.6)
    assert all(low < high for low, high in PAN_RANGES.values())


def test_wrong_arguments() -> None:
    with pytest.raises(UnitError):
        pan_weights([450, 550, 650])
    with pytest.raises(UnitError):
        pan_weights([0.45, 0.55], pan=(400, 700))
    with pytest.raises(EmptyDataError, match=r'0\.900 to 2\.200'):
        pan_weights([0.9, 2.2], [0.01, 0.01])
    with pytest.raises(UnknownNameError, match='Did you mean prisma'):
        pan_bands([0.5], 'prisms')
    with pytest.raises(ValueError, match='first and the last'):
        pan_range((0.7, 0.4))
    with pytest.raises(BandMismatchError, match='one weight for each of 3 bands'):
        simulate_pan(torch.ones(3, 2, 2), torch.ones(4))
    with pytest.raises(BandMismatchError, match='one for each band'):
        pan_weights([0.45, 0.55], [0.01])
