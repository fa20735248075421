# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP metadata that is damaged or unusual."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from data.enmap_l2a.data import Scene, make_product

from torchgeo_hsi.errors import CorruptFileError, HSIWarning, MetadataError, UnitError
from torchgeo_hsi.io import EnMAPL2AReader


@pytest.mark.parametrize(
    ('old', 'new', 'error', 'match'),
    [
        ('</level_X>', '', CorruptFileError, 'truncated'),
        ('<level>L2A', '<level>L1C', MetadataError, 'got L1C'),
        ('<level>L2A</level>', '', MetadataError, 'no base/level'),
        ('level_X', 'other', MetadataError, '<level_X>'),
        ('0.0001', 'abc', MetadataError, 'GainOfBand'),
        ('<FWHMOfBand>', '<FWHM><FWHMOfBand>', CorruptFileError, 'damaged'),
        ('bandCharacterisation', 'bands', MetadataError, 'bandCharacterisation'),
        (
            '<level_X',
            '<!DOCTYPE x [<!ENTITY e "e">]>\n<level_X',
            CorruptFileError,
            'unsafe',
        ),
    ],
)
def test_bad_metadata(
    tmp_path: Path, old: str, new: str, error: type[Exception], match: str
) -> None:
    made = make_product(tmp_path, layers=False)
    text = made.metadata.read_text()
    assert old in text
    made.metadata.write_text(text.replace(old, new))
    with pytest.raises(error, match=match):
        EnMAPL2AReader(made.folder)


def rewrite(made: Scene, tag: str, value: str, count: int | None = None) -> None:
    """Put another value between the tags of the first *count* bands."""
    text = made.metadata.read_text()
    pattern, new = rf'<{tag}>[^<]*<', f'<{tag}>{value}<'
    made.metadata.write_text(re.sub(pattern, new, text, count=count or 0))


@pytest.mark.parametrize(('value', 'count'), [('0', None), ('0', 1), ('nan', None)])
def test_unknown_widths(tmp_path: Path, value: str, count: int | None) -> None:
    made = make_product(tmp_path, layers=False)
    rewrite(made, 'FWHMOfBand', value, count)
    with pytest.warns(HSIWarning, match=r'SPECTRAL_IMAGE\.TIF: FWHMOfBand.* left out'):
        opened = EnMAPL2AReader(made.folder)
    with opened as reader:
        assert reader.info.bands is not None
        assert reader.info.bands.fwhm is None
    widths = np.full(224, 7.0)
    EnMAPL2AReader(made.folder, fwhm=widths, wavelength_unit='nm').close()


@pytest.mark.parametrize(
    ('tag', 'value'),
    [('GainOfBand', '0'), ('GainOfBand', 'nan'), ('OffsetOfBand', 'inf')],
)
def test_unusable_scale(tmp_path: Path, tag: str, value: str) -> None:
    made = make_product(tmp_path, layers=False)
    rewrite(made, tag, value, count=3)
    with pytest.raises(
        MetadataError, match=r'GainOfBand.*METADATA\.XML, got none for 3 bands'
    ):
        EnMAPL2AReader(made.folder)
    with EnMAPL2AReader(made.folder, scale=1.0) as reader:
        assert reader.read([0])[0].any()


def test_scale_of_a_missing_band(tmp_path: Path) -> None:
    made = make_product(tmp_path, layers=False)
    text = made.metadata.read_text()
    band = made.names.index('B130') + 1
    start = text.index(f'<bandID number="{band}">')
    end = text.index('</bandID>', start)
    part = text[start:end].replace('0.0001', '0')
    made.metadata.write_text(text[:start] + part + text[end:])
    with EnMAPL2AReader(made.folder) as reader:
        assert not reader.read([band - 1])[1].any()


@pytest.mark.parametrize(('value', 'reason'), [('0.55', 'Check the unit'), ('nan', '')])
def test_wavelengths_in_another_unit(tmp_path: Path, value: str, reason: str) -> None:
    made = make_product(tmp_path, layers=False)
    rewrite(made, 'wavelengthCenterOfBand', value)
    with pytest.raises(UnitError, match=rf'METADATA\.XML: Expected.*{reason}'):
        EnMAPL2AReader(made.folder)


def test_metadata_of_another_product(tmp_path: Path) -> None:
    made = make_product(tmp_path, layers=False)
    with rasterio.open(made.image) as src:
        profile, pixels = {**src.profile, 'count': 218}, src.read()[:218]
    with rasterio.open(made.image, 'w', **profile) as dst:
        dst.write(pixels)
    with pytest.raises(MetadataError, match='describes 224 bands'):
        EnMAPL2AReader(made.folder)
