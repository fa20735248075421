# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures of readers and writers."""

import pytest

from torchgeo_hsi.io import _tiff_codecs


@pytest.fixture(params=['imagecodecs', 'gdal'])
def decoders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode by the optional package, and without it."""
    if request.param == 'gdal':
        monkeypatch.setattr(_tiff_codecs, '_decoders', dict)
    else:
        pytest.importorskip('imagecodecs')
