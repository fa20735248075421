# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Botswana: the Okavango delta."""

from collections.abc import Mapping
from typing import ClassVar

from ...physics import BandSet, get_sensor
from ._benchmark_files import ScenePart
from ._sources import EHU
from .benchmark import BenchmarkScene

#: Channels that were kept, from 1, first and last.
_KEPT = ((10, 55), (82, 97), (102, 119), (134, 164), (187, 220))


class Botswana(BenchmarkScene):
    """Botswana: EO-1 Hyperion over the Okavango delta, May 31, 2001.

    1476 x 256 pixels of 30 m, 145 bands, 14 classes, 3248 labelled pixels.

    Files: ``Botswana.mat`` and ``Botswana_gt.mat``. Wavelengths are those of the
    sensor, which did not change.

    Example:
        .. code-block:: python

            scene = Botswana('data/botswana').scene()
            scene.bands.names[:2]
    """

    title: ClassVar[str] = 'Botswana'
    table: ClassVar[str] = 'botswana'
    shape: ClassVar[tuple[int, int, int]] = (145, 1476, 256)
    image_part: ClassVar[ScenePart] = ScenePart(('Botswana',), ('Botswana',))
    label_part: ClassVar[ScenePart] = ScenePart(('Botswana_gt',), ('Botswana_gt',))
    url: ClassVar[str] = EHU
    citation: ClassVar[tuple[str, ...]] = (EHU,)
    sha256: ClassVar[Mapping[str, str]] = {
        'botswana.mat': (
            'f1603903c844cdc2980550b0180688e8e1a72d4292595d1120e1dec2a80a91c7'
        ),
        'botswana_gt.mat': (
            '668394905e10e629c16584bfd02b0f533b96d6ba18a63274a94ff3a77126a887'
        ),
    }
    spectral_source: ClassVar[str] = 'nominal'

    def bandset(self) -> BandSet:
        """Return the 145 bands, named by their channel of 242."""
        kept = [f'B{k}' for low, high in _KEPT for k in range(low, high + 1)]
        return get_sensor('hyperion').bands.select(kept)
