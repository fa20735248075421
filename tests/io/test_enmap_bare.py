# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP images without their metadata."""

from pathlib import Path

import numpy as np
import pytest
from data.enmap_l2a.data import make_bare_image, nominal

from torchgeo_hsi.errors import (
    BandMismatchError,
    MetadataError,
    NominalWavelengthWarning,
    UnitError,
)
from torchgeo_hsi.io import EnMAPL2AReader


def test_bare_image_gets_nominal_wavelengths(tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    cube = make_bare_image(path)
    with pytest.warns(NominalWavelengthWarning, match=r'scene\.tif: neither METADATA'):
        opened = EnMAPL2AReader(path)
    with opened as reader:
        info = reader.info
        np.testing.assert_array_equal(reader.read()[0], cube)
    centres, _ = nominal()
    order = np.argsort(centres)
    assert info.spectral_source == 'nominal'
    assert info.bands is not None
    np.testing.assert_allclose(info.bands.wavelength * 1e3, centres[order], atol=1e-6)
    assert info.bands.fwhm is not None
    assert info.bands.names == tuple(f'B{i + 1}' for i in order)
    with EnMAPL2AReader(path, warn=False) as reader:
        assert reader.quality_layers == ()


@pytest.mark.parametrize('order', ['wavelength', 'detector'])
def test_bare_image_with_tags(tmp_path: Path, order: str) -> None:
    path = tmp_path / 'scene.tif'
    make_bare_image(path, tags=True, order=order)
    centres, _ = nominal()
    rank = np.argsort(centres) if order == 'wavelength' else np.arange(224)
    with EnMAPL2AReader(path) as reader:
        assert reader.info.bands is not None
        assert reader.info.spectral_source == 'scene'
        assert reader.info.bands.names == tuple(f'B{i + 1}' for i in rank)
        assert reader.info.bands.is_sorted == (order == 'wavelength')
        np.testing.assert_allclose(
            reader.info.bands.wavelength * 1e3, centres[rank] + 0.1, atol=1e-3
        )


def test_tags_without_unit(tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    make_bare_image(path, tags=True, unit=None)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        EnMAPL2AReader(path)
    with pytest.raises(UnitError):
        EnMAPL2AReader(path, wavelength_unit='um')
    EnMAPL2AReader(path, wavelength_unit='nm').close()


def test_kept_bands(tmp_path: Path) -> None:
    # as in SpectralEarth: 202 bands in the order of wavelength, and nothing else known
    path = tmp_path / 'scene.tif'
    make_bare_image(path, bands=202)
    with EnMAPL2AReader(path, warn=False) as reader:
        assert reader.info.bands is not None
        names = reader.info.bands.names
    assert len(names) == 202
    assert not {f'B{i}' for i in [*range(127, 142), *range(161, 168)]} & set(names)


def test_unknown_number_of_bands(tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    make_bare_image(path, bands=210)
    with pytest.raises(
        BandMismatchError, match=r'210 bands and no wavelengths.*open it with HSICube'
    ):
        EnMAPL2AReader(path)


def test_some_of_the_bands(tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    make_bare_image(path, tags=True, order='detector', bands=91)
    with EnMAPL2AReader(path) as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.names == tuple(f'B{i + 1}' for i in range(91))


def test_other_sensor(tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    make_bare_image(path)
    other = np.linspace(0.38, 2.5, 224)
    with pytest.raises(BandMismatchError, match='do not fit EnMAP'):
        EnMAPL2AReader(path, wavelength=other)
