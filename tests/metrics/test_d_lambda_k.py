# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spectral distortion of Khan's protocol, and of reprojection."""

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from tests.metrics.sharpened import kernel, masks, seen, sharpened
from torchgeo_hsi.metrics._full_resolution import prepare_scene, sensed
from torchgeo_hsi.metrics.consistency import RERGAS, RSAM, RQ2n
from torchgeo_hsi.metrics.d_lambda_k import DLambdaK, d_lambda_k
from torchgeo_hsi.metrics.q2n import q2n


def test_the_kernel_is_the_published_one() -> None:
    weights = kernel(0.3, 6)
    assert weights.sum() == pytest.approx(0.9971876301835, abs=1e-12)
    assert weights[20, 26] == pytest.approx(0.00243894196335, abs=1e-13)


@pytest.mark.parametrize('ratio', [2, 3, 4, 6])
def test_reprojection(ratio: int) -> None:
    fused, cube, _ = sharpened(ratio=ratio, rows=6, columns=8)
    cubes = sensed(prepare_scene(fused, cube), 0.3)
    expected = [seen(x.numpy(), 0.3, ratio) for x in fused]
    np.testing.assert_allclose(cubes.prediction, expected, rtol=0, atol=1e-7)
    assert cubes.target is cube or torch.equal(cubes.target, cube)
    assert cubes.valid.all()


@pytest.mark.parametrize('gain', [0.25, torch.tensor([0.2, 0.3, 0.3, 0.4])])
def test_reprojection_next_to_gaps(gain: float | Tensor) -> None:
    fused, cube, _ = sharpened()
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    gains = [gain] * 4 if isinstance(gain, float) else gain.tolist()
    fused = fused.masked_fill(~fine[:, None], torch.nan)
    cubes = sensed(prepare_scene(fused, cube, valid=valid, pan_valid=pan_valid), gain)
    for number, image in enumerate(fused.nan_to_num().numpy()):
        bands = [
            seen(image[i, None], gains[i], 4, fine[number].numpy())[0] for i in range(4)
        ]
        expected = np.stack(bands)
        known = np.isfinite(expected).all(0) & valid[number].numpy()
        np.testing.assert_array_equal(cubes.valid[number, 0], known)
        assert 0 < (~known).sum() < known.sum()
        found = cubes.prediction[number].numpy()
        np.testing.assert_allclose(found[:, known], expected[:, known], atol=1e-7)
        assert not found[:, ~known].any()


def test_published_numbers() -> None:
    scene = golden_scene(32)
    pair = scene.batch('ms'), scene.batch('lr')
    found = d_lambda_k(*pair, rounded=True)
    assert found.item() == pytest.approx(0.064204, abs=1e-6)
    metric = RQ2n(rounded=True)
    metric.update(*pair)
    assert metric.compute().item() == pytest.approx(1 - 0.064204, abs=1e-6)


def test_against_its_parts() -> None:
    fused, cube, _ = sharpened()
    low = torch.from_numpy(np.stack([seen(x.numpy(), 0.25, 4) for x in fused]))
    expected = 1 - q2n(low, cube, block=5)
    found = d_lambda_k(fused, cube, gain=0.25, block=5)
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=0)
    metric = DLambdaK(gain=0.25, block=5)
    metric.update(fused[:1], cube[:1])
    metric.update(fused[1], cube[1])
    mean = expected.mean().item()
    assert metric.compute().item() == pytest.approx(mean, abs=1e-6)
    other = RQ2n(gain=0.25, block=5)
    other.update(fused, cube, torch.zeros(()))  # the PAN is not looked at
    assert other.compute().item() == pytest.approx(1 - mean, abs=1e-6)


def test_masks() -> None:
    fused, cube, _ = sharpened()
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    dirty = fused.masked_fill(~fine[:, None], torch.nan)
    hidden = cube.masked_fill(~valid[:, None], torch.inf)
    found = d_lambda_k(dirty, hidden, valid, pan_valid, block=5)
    again = d_lambda_k(
        fused.masked_fill(~fine[:, None], 7), cube, valid, pan_valid, block=5
    )
    torch.testing.assert_close(found, again, rtol=0, atol=0)
    # other pixels take the place of few missing ones
    whole = d_lambda_k(fused, cube, block=5)
    torch.testing.assert_close(found, whole, atol=0.02, rtol=0)
    valid[0] = False
    scores = d_lambda_k(dirty, hidden, valid, pan_valid, block=5)
    assert scores[0].isnan()
    torch.testing.assert_close(scores[1], found[1])
    metric = DLambdaK(block=5)
    metric.update(dirty, hidden, None, valid, pan_valid)
    assert metric.compute().item() == pytest.approx(found[1].item(), abs=1e-6)
    assert d_lambda_k(fused[:0], cube[:0]).shape == (0,)


def test_ergas_and_angle() -> None:
    fused, cube, _ = sharpened()
    valid, _ = masks(cube)
    errors, angles = [], []
    for image, truth, mask in zip(
        fused.numpy(), cube.numpy(), valid.numpy(), strict=True
    ):
        fine = mask.repeat(4, 0).repeat(4, 1)
        low = seen(image, 0.3, 4, fine)
        known = np.isfinite(low).all(0) & mask
        x, y = low[:, known], truth[:, known]
        relative = ((x - y) ** 2).mean(1) / y.mean(1) ** 2
        errors.append(100 / 4 * np.sqrt(relative.mean()))
        norms = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
        angles.append(np.degrees(np.arccos((x * y).sum(0) / norms)).mean())
    ergas, angle, radians = RERGAS(), RSAM(), RSAM(unit='radians')
    for metric in (ergas, angle, radians):
        metric.update(fused, cube, valid=valid)
    assert ergas.compute().item() == pytest.approx(np.mean(errors), rel=1e-6)
    assert angle.compute().item() == pytest.approx(np.mean(angles), rel=1e-6)
    assert radians.compute().item() == pytest.approx(
        np.radians(np.mean(angles)), rel=1e-6
    )


def test_options_are_checked() -> None:
    for metric in (DLambdaK, RQ2n):
        with pytest.raises(ValueError, match='block to be 2 pixels'):
            metric(block=1)
    with pytest.raises(ValueError, match="'radians' or 'degrees'"):
        RSAM(unit='turns')  # type: ignore[arg-type]
