# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Salinas: vegetables and vineyards in California."""

from collections.abc import Mapping
from typing import ClassVar

from ...physics import BandSet, get_sensor
from ._benchmark_files import ScenePart
from ._sources import EHU
from .benchmark import BenchmarkScene

#: Channels that are left out, from 1: water vapour and the last one.
_REMOVED = {*range(108, 113), *range(154, 168), 224}


class Salinas(BenchmarkScene):
    """Salinas: AVIRIS over vegetables and vineyards in California, October 1998.

    512 x 217 pixels of 3.7 m, 204 bands (without water vapour), 16 classes, 54129
    labelled pixels.

    Files: ``Salinas_corrected.mat`` and ``Salinas_gt.mat``. The centers of that flight
    are not published; those of 2011 stand in, which may be some nanometres off.

    Example:
        .. code-block:: python

            dataset = Salinas('data/salinas')
            dataset.plot(dataset[0])
    """

    title: ClassVar[str] = 'Salinas'
    table: ClassVar[str] = 'salinas'
    shape: ClassVar[tuple[int, int, int]] = (204, 512, 217)
    image_part: ClassVar[ScenePart] = ScenePart(
        ('Salinas_corrected',), ('salinas_corrected',)
    )
    label_part: ClassVar[ScenePart] = ScenePart(('Salinas_gt',), ('salinas_gt',))
    url: ClassVar[str] = EHU
    citation: ClassVar[tuple[str, ...]] = (EHU,)
    sha256: ClassVar[Mapping[str, str]] = {
        'salinas_corrected.mat': (
            '5ec1c0d22f56d18ecd336f8e35735863c0f160682e04e0c18ef3f89a3334d87d'
        ),
        'salinas_gt.mat': (
            'ecfab4d31ef5553f097943235d8ea502038eb4a2067b2ad10b33e37c949955e2'
        ),
    }
    spectral_source: ClassVar[str] = 'nominal'

    def bandset(self) -> BandSet:
        """Return the 204 bands, named by their channel of 224."""
        every = get_sensor('aviris').bands.names
        kept = [name for k, name in enumerate(every, 1) if k not in _REMOVED]
        return get_sensor('aviris').bands.select(kept)
