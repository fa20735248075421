# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The pages of the data sets say what the code does."""

import re
from pathlib import Path

import pytest

from torchgeo_hsi import datasets
from torchgeo_hsi.datasets.spectral_earth.classes import load_classes

DOCS = Path(__file__).parents[3] / 'docs' / 'datasets'

#: Data set and class tables of each page.
PAGES = {
    'cdl': ('SpectralEarthCDL', ['cdl']),
    'nlcd': ('SpectralEarthNLCD', ['nlcd']),
    'corine': ('SpectralEarthCORINE', ['corine_19', 'corine_43']),
    'eurocrops': ('SpectralEarthEuroCrops', ['eurocrops']),
    'bdforet': ('SpectralEarthBDForet', ['bdforet']),
    'treemap': ('SpectralEarthTreeMap', ['treemap']),
    'bnetd': ('SpectralEarthBNETD', ['bnetd']),
    'desis_cdl': ('DESISCDL', ['desis_cdl']),
    'eo1_cdl': ('EO1CDL', ['eo1_cdl']),
    'hyperview': ('Hyperview', []),
}
_ROW = re.compile(
    r'^\| (\d+) \| ([\d, ]+) \| (.+) \| .* `(#[0-9a-f]{6})` \|$', re.MULTILINE
)


@pytest.mark.parametrize('page', PAGES)
def test_class_tables(page: str) -> None:
    text = (DOCS / f'spectral_earth_{page}.md').read_text(encoding='utf-8')
    expected = []
    for name in PAGES[page][1]:
        table = load_classes(name)
        for i, (title, color) in enumerate(zip(table.names, table.colors, strict=True)):
            codes = [c for c, k in zip(table.codes, table.index, strict=True) if k == i]
            expected.append((str(i), ', '.join(map(str, codes)), title, color))
    assert _ROW.findall(text) == expected


@pytest.mark.parametrize('page', PAGES)
def test_facts(page: str) -> None:
    text = (DOCS / f'spectral_earth_{page}.md').read_text(encoding='utf-8')
    cls = getattr(datasets, PAGES[page][0])
    for split, size in cls.split_sizes.items():
        assert f'{size} {split}' in text
    assert f'{sum(cls.split_sizes.values())}: ' in text
    assert f'{cls.num_bands} bands' in text
    if page != 'hyperview':
        assert f'index {cls.ignore_index}, the `ignore_index`' in text
        assert f'data/{cls.sensor}_{cls.product}/{cls.product}/' in text
    for heading in ('Get it', 'License', 'Layout', 'Picture'):
        assert f'\n## {heading}\n' in text
    assert 'Made-up data' in text


def test_every_page_is_listed() -> None:
    text = (DOCS / 'spectral_earth_downstream.md').read_text(encoding='utf-8')
    for page in PAGES:
        assert f'\nspectral_earth_{page}\n' in text
