# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights of color images, against the published table and integrals."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import (
    BandSet,
    camera_bands,
    conversion_matrix,
    get_sensor,
    project,
    rgb_from_bands,
    rgb_response,
    rgb_to_groups,
)

VISIBLE = np.arange(400, 701, 10) / 1000

#: Red, green and blue of eight channels, as the authors' table has them.
TABLE = """
1 .66 .34 0 0 0 0 0
0 .34 .76 1 .75 .5 .25 0
0 0 0 0 .25 .5 .75 1
"""


def test_the_published_table() -> None:
    table = np.array([line.split() for line in TABLE.split('\n') if line], dtype=float)
    np.testing.assert_array_equal(rgb_to_groups(8, exact=False).numpy(), table)
    table[1, 2] = 0.66
    np.testing.assert_allclose(rgb_to_groups().numpy(), table, atol=1e-15)


@pytest.mark.parametrize('count', [3, 4, 5, 6, 7, 8, 9, 16])
def test_channels_of_any_number(count: int) -> None:
    weights = rgb_to_groups(count)
    assert weights.shape == (3, count)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(0), torch.ones(count).double())
    # every color has a channel of its own, in this order
    peaks = [0, (count - 1) // 2, count - 1]
    assert weights.argmax(1).tolist() == peaks
    torch.testing.assert_close(weights[:, peaks], torch.eye(3).double())
    # linear in between, at eight channels up to the published rounding
    for start, stop in pairwise(peaks):
        steps = weights[:, start : stop + 1].diff()
        assert (steps - steps.mean(1, keepdim=True)).abs().max() < 0.014


def test_response_is_what_the_camera_sees() -> None:
    # spectra that are known everywhere: the integral with the camera's own curves
    fine = np.linspace(0.38, 0.75, 4001)
    camera = camera_bands()
    assert camera.fwhm is not None
    curves = np.exp(
        -4
        * np.log(2)
        * ((fine - camera.wavelength[:, None]) / camera.fwhm[:, None]) ** 2
    )
    widths = 0.01
    weights = rgb_response(VISIBLE, np.full(31, widths)).numpy()
    np.testing.assert_allclose(weights.sum(0), 1)
    assert weights.min() >= 0
    for spectrum in (
        lambda x: 1 + 2 * x,
        lambda x: (x - 0.5) ** 2,
        lambda x: np.exp(-(((x - 0.6) / 0.1) ** 2)),
    ):
        narrow = np.exp(-4 * np.log(2) * ((fine - VISIBLE[:, None]) / widths) ** 2)
        # what the cube holds is smoothed by its own bands
        cube = (narrow * spectrum(fine)).sum(1) / narrow.sum(1)
        expected = (curves * spectrum(fine)).sum(1) / curves.sum(1)
        np.testing.assert_allclose(cube @ weights, expected, rtol=0.01, atol=1e-3)


def test_real_sensors_have_colors() -> None:
    for name in ('enmap', 'prisma', 'desis', 'emit', 'aviris', 'hyperion'):
        bands = get_sensor(name).default_bandset
        weights = rgb_response(bands.wavelength, bands.fwhm)
        centers = torch.from_numpy(bands.wavelength.copy()) @ weights
        expected = torch.from_numpy(camera_bands().wavelength.copy())
        torch.testing.assert_close(centers, expected, atol=0.002, rtol=0)
        # numbers of a sample are float32
        again = rgb_response(
            torch.tensor(bands.wavelength, dtype=torch.float32),
            None if bands.fwhm is None else torch.tensor(bands.fwhm).float(),
        )
        torch.testing.assert_close(again, weights, atol=1e-5, rtol=0)


def test_other_camera() -> None:
    camera = BandSet([0.6, 0.55, 0.45], [0.05, 0.05, 0.05])
    weights = rgb_response(VISIBLE, None, camera)
    centers = torch.from_numpy(VISIBLE) @ weights
    torch.testing.assert_close(
        centers, torch.tensor([0.6, 0.55, 0.45]).double(), atol=1e-4, rtol=0
    )


def test_conversion_is_the_product() -> None:
    widths = np.full(31, 0.01)
    matrix = conversion_matrix(VISIBLE, widths)
    assert matrix.shape == (31, 8)
    assert torch.linalg.matrix_rank(matrix) == 3
    torch.testing.assert_close(matrix.sum(0), torch.ones(8).double())
    expected = rgb_response(VISIBLE, widths).numpy() @ rgb_to_groups().numpy()
    np.testing.assert_allclose(matrix.numpy(), expected)
    # first the color image, then its channels
    cube = torch.rand(2, 31, 4, 5, dtype=torch.float64)
    color = project(cube, rgb_response(VISIBLE, widths).mT)
    torch.testing.assert_close(
        project(cube, matrix.mT), project(color, rgb_to_groups().mT)
    )
    published = conversion_matrix(VISIBLE, widths, exact=False)
    assert published.sum(0)[2].item() == pytest.approx(1.1)
    few = conversion_matrix(VISIBLE, widths, n_groups=5)
    assert few.shape == (31, 5)


def test_cubes_without_wavelengths() -> None:
    thirds = rgb_from_bands(7)
    # band 0 is blue; rounded to whole bands
    assert thirds.argmax(1).tolist() == [2, 2, 1, 1, 1, 0, 0]
    torch.testing.assert_close(thirds.sum(0), torch.ones(3).double())
    named = rgb_from_bands(5, [4, range(2, 4), [0, 1]])
    assert named.nonzero().tolist() == [[0, 2], [1, 2], [2, 1], [3, 1], [4, 0]]
    assert conversion_matrix(num_bands=7).shape == (7, 8)
    numbers = np.array([4, 2, 0])
    assert torch.equal(rgb_from_bands(5, list(numbers)), rgb_from_bands(5, [4, 2, 0]))
    assert torch.equal(rgb_from_bands(5, numbers), rgb_from_bands(5, [4, 2, 0]))
    # bands that are named win over wavelengths, and count them
    matrix = conversion_matrix(VISIBLE, bands=[30, 15, 0])
    torch.testing.assert_close(matrix[[30, 15, 0]], rgb_to_groups())


@pytest.mark.parametrize(
    ('build', 'error', 'message'),
    [
        (lambda: rgb_to_groups(2), ValueError, 'at least 3 channels'),
        (lambda: rgb_to_groups(6, exact=False), ValueError, 'Only the weights of 8'),
        (
            lambda: rgb_response(np.linspace(1, 2.4, 80), np.full(80, 0.01)),
            BandMismatchError,
            'red, green and blue .*, got BandSet.*Choose visible bands',
        ),
        (
            lambda: rgb_response(np.linspace(0.4, 0.7, 4), np.full(4, 0.01)),
            BandMismatchError,
            'lower min_coverage',
        ),
        (lambda: rgb_response(VISIBLE * 1000), UnitError, 'nanometres'),
        (
            lambda: rgb_response(VISIBLE, None, BandSet([0.5], [0.1])),
            BandMismatchError,
            'camera of three bands',
        ),
        (lambda: rgb_from_bands(2), BandMismatchError, 'at least 3 bands'),
        (lambda: rgb_from_bands(5, [0, 1]), BandMismatchError, 'got 2 entries'),
        (lambda: rgb_from_bands(5, [0, 1, 5]), BandMismatchError, 'from 0 to 4'),
        (lambda: rgb_from_bands(5, [0, 1, []]), BandMismatchError, 'from 0 to 4'),
        (lambda: rgb_from_bands(5, [650, 550, 450]), BandMismatchError, 'not wavel'),
        (lambda: rgb_from_bands(5, [0.65, 0.55, 0.45]), BandMismatchError, 'whole num'),
        (lambda: conversion_matrix(), BandMismatchError, 'or num_bands'),
    ],
)
def test_arguments_are_checked(
    build: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build()


def test_bands_far_apart_on_request() -> None:
    centers = np.linspace(0.4, 0.7, 4)
    weights = rgb_response(centers, np.full(4, 0.01), min_coverage=0.0)
    torch.testing.assert_close(weights.sum(0), torch.ones(3).double())
