# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectral responses, against numerical integrals of known spectra."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from scipy.stats import norm

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnitError,
)
from torchgeo_hsi.physics import (
    BandSet,
    gaussian_srf,
    get_sensor,
    srf_matrix,
    srf_matrix_from_table,
)

SIGMA = 1 / np.sqrt(8 * np.log(2))

NAMES = ['aviris', 'desis', 'emit', 'enmap_detector', 'hyperion', 'prisma']

#: What a projection has to be off by at most, in reflectance (0 to 1).
TOLERANCE = 1e-3


def leaf(x: np.ndarray) -> np.ndarray:
    """Return a smooth reflectance with a green peak, red edge and water bands."""
    edge = 0.04 + 0.45 / (1 + np.exp(-(x - 0.715) / 0.015))
    peak = 0.06 * np.exp(-((x - 0.555) ** 2) / (2 * 0.025**2))
    water = sum(
        depth * np.exp(-((x - centre) ** 2) / (2 * width**2))
        for depth, centre, width in ((0.05, 1.2, 0.03), (0.2, 1.45, 0.06))
    )
    return (edge + peak - water) * np.exp(-np.clip(x - 1.3, 0, None))


def seen(bands: BandSet, spectrum: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Integrate a spectrum over Gaussian bands with scipy."""
    assert bands.fwhm is not None
    sigma = bands.fwhm[:, None] * SIGMA
    centre = bands.wavelength[:, None]
    x = centre + sigma * np.linspace(-6, 6, 1201)
    weight = norm.pdf(x, centre, sigma)
    values: np.ndarray = simpson(weight * spectrum(x), x=x, axis=1)
    return values


def grid(count: int = 40, step: float = 0.01, fwhm: float = 0.01) -> BandSet:
    return BandSet(0.5 + step * np.arange(count), np.full(count, fwhm))


def test_gaussian_srf() -> None:
    x = np.linspace(0.4, 0.7, 301)
    curves = gaussian_srf(x, [0.5, 0.62], [0.02, 0.05]).numpy()
    assert curves.shape == (2, 301)
    for curve, centre, fwhm in zip(curves, (0.5, 0.62), (0.02, 0.05), strict=True):
        expected = norm.pdf(x, centre, fwhm * SIGMA) / norm.pdf(0, 0, fwhm * SIGMA)
        assert curve == pytest.approx(expected, abs=1e-12)
        assert curve.max() == pytest.approx(1)
        # by definition: half of the maximum half a width away
        assert np.interp(centre + fwhm / 2, x, curve) == pytest.approx(0.5, abs=1e-3)


def test_gaussian_srf_refuses() -> None:
    with pytest.raises(UnitError, match='Expected grid in micrometres'):
        gaussian_srf([500, 600], [0.5], [0.01])
    with pytest.raises(UnitError, match='Expected centre in micrometres'):
        gaussian_srf([0.5, 0.6], [500], [0.01])
    with pytest.raises(BandMismatchError, match='Expected 1 values of fwhm'):
        gaussian_srf([0.5, 0.6], [0.5], [0.01, 0.01])


@pytest.mark.parametrize('name', NAMES)
def test_identity_is_exact(name: str) -> None:
    bands = get_sensor(name).bands.good_only()
    matrix = srf_matrix(bands, bands)
    assert matrix.dtype == torch.float64
    assert torch.equal(matrix, torch.eye(len(bands), dtype=torch.float64))


def test_selection_is_exact() -> None:
    bands = get_sensor('enmap_detector').bands
    default = get_sensor('enmap').default_bandset
    matrix = srf_matrix(bands, default)
    index = bands.indices(default.names)
    assert torch.equal(matrix, torch.eye(224, dtype=torch.float64)[index])


def test_identity_without_widths_and_with_equal_centres() -> None:
    bands = BandSet([0.5, 0.5, 0.6])
    assert torch.equal(srf_matrix(bands, bands), torch.eye(3, dtype=torch.float64))
    # other names: the first of the two is as good as the second
    renamed = BandSet(bands.wavelength, names=('x', 'y', 'z'))
    assert srf_matrix(bands, renamed).argmax(1).tolist() == [0, 0, 2]


@pytest.mark.parametrize('name', ['enmap', 'enmap_detector'])
def test_enmap_to_sentinel2(name: str) -> None:
    source, target = get_sensor(name).bands, get_sensor('sentinel2').bands
    matrix = srf_matrix(source, target).numpy()
    error = matrix @ seen(source, leaf) - seen(target, leaf)
    assert np.abs(error).max() < TOLERANCE
    assert np.abs(error).mean() < TOLERANCE / 10


@pytest.mark.parametrize('name', ['desis', 'emit', 'prisma'])
def test_other_sensors_to_sentinel2(name: str) -> None:
    source = get_sensor(name).bands
    full = get_sensor('sentinel2').bands
    target = full.select(
        {'desis': range(9), 'emit': [*range(10), 11, 12]}.get(name, range(13))
    )
    matrix = srf_matrix(source, target).numpy()
    error = np.abs(matrix @ seen(source, leaf) - seen(target, leaf))
    # PRISMA's bands are about as wide as those on the red edge
    limit = 3 * TOLERANCE if name == 'prisma' else TOLERANCE / 10
    assert error.max() < limit


def test_widths_of_the_source_count() -> None:
    # without the source's widths the red edge comes out too flat
    source, target = get_sensor('enmap').bands, get_sensor('sentinel2').bands
    target = target.select(['B05', 'B06'])
    x, truth = seen(source, leaf), seen(target, leaf)
    good = np.abs(srf_matrix(source, target).numpy() @ x - truth).max()
    blunt = BandSet(source.wavelength)
    poor = np.abs(srf_matrix(blunt, target).numpy() @ x - truth).max()
    assert good < poor / 10


@pytest.mark.parametrize(
    ('source', 'target'),
    [('enmap', 'sentinel2'), ('prisma', 'enmap'), ('emit', 'sentinel2')],
)
def test_rows_are_weights(source: str, target: str) -> None:
    bands = get_sensor(target).bands
    keep = [n for n in bands.names if (source, n) != ('emit', 'B10')]
    matrix = srf_matrix(get_sensor(source).bands, bands.select(keep))
    assert matrix.min() >= 0
    assert matrix.sum(1).numpy() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize('fwhm', [0.004, 0.01, 0.015, 0.05])
def test_straight_lines_are_exact(fwhm: float) -> None:
    source = grid()
    target = BandSet(np.linspace(0.62, 0.78, 23), np.full(23, fwhm))
    matrix = srf_matrix(source, target).numpy()
    got = matrix @ (0.1 + 0.7 * source.wavelength)
    assert got == pytest.approx(0.1 + 0.7 * target.wavelength, abs=1e-7)


@pytest.mark.parametrize('fwhm', [0.02, 0.05])
def test_parabolas_are_exact_where_the_target_is_wide(fwhm: float) -> None:
    source = grid(60)
    target = BandSet(np.linspace(0.72, 0.88, 23), np.full(23, fwhm))

    def parabola(x: np.ndarray) -> np.ndarray:
        return 0.3 + 2 * (x - 0.8) ** 2

    got = srf_matrix(source, target).numpy() @ seen(source, parabola)
    assert got == pytest.approx(seen(target, parabola), abs=1e-7)


def test_narrow_target_is_interpolated() -> None:
    source = grid()
    target = BandSet([0.604, 0.61], [0.002, 0.002])
    matrix = srf_matrix(source, target)
    assert matrix[0, 10:12].tolist() == pytest.approx([0.6, 0.4])
    assert matrix[1, 11] == 1
    assert (matrix > 0).sum() == 3


def test_order_of_the_source_does_not_matter() -> None:
    ordered, detector = get_sensor('enmap').bands, get_sensor('enmap_detector').bands
    target = get_sensor('sentinel2').bands
    index = detector.indices(ordered.names)
    a, b = srf_matrix(ordered, target), srf_matrix(detector, target)
    assert torch.allclose(a, b[:, index], rtol=0, atol=1e-15)


def test_equal_centres_share_their_weight() -> None:
    wavelength = np.array([0.5, 0.51, 0.51, 0.52])
    source = BandSet(wavelength, np.full(4, 0.01))
    row = srf_matrix(source, BandSet([0.51], [0.012]))[0]
    assert row[1] == row[2]
    assert row.sum() == pytest.approx(1)


def test_bad_bands_get_no_weight() -> None:
    good = np.ones(40, dtype=bool)
    good[12] = False
    source = BandSet(grid(fwhm=0.015).wavelength, np.full(40, 0.015), good=good)
    target = BandSet([0.61, 0.62], [0.05, 0.015])
    matrix = srf_matrix(source, target)
    assert (matrix[:, 12] == 0).all()
    assert matrix.sum(1).tolist() == pytest.approx([1, 1])
    # the band that is missing comes from its neighbours
    assert matrix[1, [11, 13]].tolist() == pytest.approx([0.5, 0.5])
    everything = srf_matrix(source, target, use_good_only=False)
    assert everything[1].argmax() == 12
    assert everything[1, 12] == 1


def test_all_bands_bad() -> None:
    source = BandSet([0.5, 0.6], [0.1, 0.1], good=np.zeros(2, dtype=bool))
    with pytest.raises(EmptyDataError, match='use_good_only=False'):
        srf_matrix(source, BandSet([0.55], [0.1]))
    assert srf_matrix(source, BandSet([0.55], [0.1]), use_good_only=False).sum() == 1


def test_target_outside_of_the_source() -> None:
    target = get_sensor('sentinel2').bands
    with pytest.raises(BandMismatchError) as caught:
        srf_matrix(get_sensor('desis').bands, target)
    message = str(caught.value)
    uncovered = message.split('Not covered: ')[1]
    assert [name for name in target.names if f'{name} (' in uncovered] == [
        'B10',
        'B11',
        'B12',
    ]
    assert '0.4008-1.001 µm' in message


def test_target_in_a_gap() -> None:
    # the 202 bands lack 1.28 to 1.53 µm, where cirrus is seen
    source = get_sensor('enmap').default_bandset
    with pytest.raises(BandMismatchError, match=r'Not covered: B10 \(1\.37') as caught:
        srf_matrix(source, get_sensor('sentinel2').bands)
    assert '0.4149-1.289, 1.525-1.733, 1.973-2.449 µm' in str(caught.value)
    # the complete sensor sees it
    assert srf_matrix(get_sensor('enmap').bands, get_sensor('sentinel2').bands).shape


def test_least_coverage() -> None:
    # half of the response lies beyond the last centre plus half a width
    source = grid()
    target = BandSet([source.wavelength[-1] + 0.005], [0.01])
    with pytest.raises(BandMismatchError, match=r'at least 80% .*: 50%'):
        srf_matrix(source, target)
    matrix = srf_matrix(source, target, min_coverage=0.49)
    assert matrix[0, -1] == pytest.approx(1)


def test_slightly_shifted_calibration_is_covered() -> None:
    # a scene's centres are a fraction of a nm off, also at the ends
    bands = get_sensor('enmap').bands
    shifted = BandSet(bands.wavelength - 0.0002, bands.fwhm, bands.names)
    matrix = srf_matrix(bands, shifted).numpy()
    values = leaf(bands.wavelength)
    assert matrix @ values == pytest.approx(leaf(shifted.wavelength), abs=2e-3)


def test_target_needs_widths() -> None:
    with pytest.raises(MetadataError, match='FWHM'):
        srf_matrix(grid(), BandSet([0.605]))


def test_source_with_one_band() -> None:
    matrix = srf_matrix(BandSet([0.6], [0.1]), BandSet([0.6], [0.05]))
    assert matrix.tolist() == [[1.0]]


def test_table_of_gaussians_is_like_gaussians() -> None:
    source, target = get_sensor('enmap').bands, get_sensor('sentinel2').bands
    assert target.fwhm is not None
    x = np.arange(0.33, 2.7, 0.0002)
    table = 7 * gaussian_srf(x, target.wavelength, target.fwhm)
    got = srf_matrix_from_table(source, x, table)
    assert torch.allclose(got, srf_matrix(source, target), rtol=0, atol=1e-4)


def test_pan_band() -> None:
    # a box with slopes, in other units and with zeros around
    x = np.array([0.3, 0.45, 0.47, 0.68, 0.7, 0.9])
    y = np.array([0.0, 0.0, 200.0, 180.0, 0.0, 0.0])
    source = get_sensor('enmap').default_bandset
    matrix = srf_matrix_from_table(source, x, y)
    assert matrix.shape == (1, 202)
    fine = np.linspace(0.44, 0.71, 20001)
    weight = np.interp(fine, x, y)
    truth = (weight * leaf(fine)).sum() / weight.sum()
    assert (matrix.numpy() @ seen(source, leaf))[0] == pytest.approx(truth, abs=2e-4)
    assert matrix.sum() == pytest.approx(1)
    outside = (source.wavelength < 0.44) | (source.wavelength > 0.71)
    assert (matrix[0, outside] == 0).all()


def test_lopsided_response() -> None:
    source = get_sensor('emit').bands
    x = np.array([0.6, 0.61, 0.66])
    y = np.array([0.0, 1.0, 0.0])
    matrix = srf_matrix_from_table(source, x, y).numpy()
    fine = np.linspace(0.6, 0.66, 20001)
    weight = np.interp(fine, x, y)
    for spectrum, tolerance in (
        (lambda x: 3 * x - 1, 1e-7),
        (lambda x: (x - 0.5) ** 2, 1e-7),
        (leaf, 5e-5),
    ):
        truth = (weight * spectrum(fine)).sum() / weight.sum()
        got = (matrix @ seen(source, spectrum))[0]
        assert got == pytest.approx(truth, abs=tolerance)


def test_narrow_table_is_interpolated() -> None:
    row = srf_matrix_from_table(grid(), [0.603, 0.604, 0.605], [0, 1, 0])[0]
    assert row[10:12].tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize(
    ('x', 'y', 'error', 'match'),
    [
        ([500, 600], [1, 1], UnitError, 'nanometres'),
        ([0.6, 0.5], [1, 1], BandMismatchError, 'increasing'),
        ([0.5, 0.5], [1, 1], BandMismatchError, 'increasing'),
        ([0.5, 0.6], [1, 1, 1], BandMismatchError, r'shape \(M, 2\)'),
        ([0.5], [1], BandMismatchError, '2 or more'),
        ([0.5, 0.6], [1, -1], UnitError, 'at least 0'),
        ([0.5, 0.6], [1, np.nan], UnitError, 'finite'),
        ([0.5, 0.6], [[1, 1], [0, 0]], EmptyDataError, 'not 0'),
        ([0.8, 1.2], [1, 1], BandMismatchError, 'Not covered: band 1: 24%'),
    ],
)
def test_table_refuses(
    x: list[float], y: list[float], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        srf_matrix_from_table(grid(), x, y)


def test_table_names() -> None:
    with pytest.raises(BandMismatchError, match='Not covered: pan: 24%'):
        srf_matrix_from_table(grid(), [0.8, 1.2], [1, 1], names=['pan'])
    with pytest.raises(BandMismatchError, match='Expected 1 names'):
        srf_matrix_from_table(grid(), [0.6, 0.7], [1, 1], names=['a', 'b'])
    matrix = srf_matrix_from_table(grid(), [0.8, 1.2], [1, 1], min_coverage=0.2)
    assert matrix.sum() == pytest.approx(1)


def test_bands_and_sensors_need_no_torch() -> None:
    code = (
        'import sys\n'
        'import torchgeo_hsi.physics as physics\n'
        'physics.get_sensor("enmap")\n'
        'assert "torch" not in sys.modules\n'
        'assert not {"scipy", "pandas", "rasterio"} & set(sys.modules)\n'
        'physics.spectral_angle\n'
        'assert "torch" in sys.modules\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_unknown_attribute() -> None:
    from torchgeo_hsi import physics

    with pytest.raises(AttributeError, match='no attribute'):
        physics.nothing  # noqa: B018
    for name in physics.__all__:
        assert hasattr(physics, name)
