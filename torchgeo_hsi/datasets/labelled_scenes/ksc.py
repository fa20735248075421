# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Kennedy Space Center: marshes in Florida."""

from collections.abc import Mapping
from typing import ClassVar

from ._benchmark_files import ScenePart
from ._sources import EHU
from .benchmark import BenchmarkScene


class KSC(BenchmarkScene):
    """Kennedy Space Center: AVIRIS over marshes in Florida, March 23, 1996.

    512 x 614 pixels of 18 m, 176 bands, 13 classes, 5211 labelled pixels. Which 48 of
    the 224 bands were left out is not published, so there are no wavelengths.

    Files: ``KSC.mat`` and ``KSC_gt.mat``.

    Example:
        .. code-block:: python

            scene = KSC('data/ksc').scene()
    """

    title: ClassVar[str] = 'Kennedy Space Center'
    table: ClassVar[str] = 'ksc'
    shape: ClassVar[tuple[int, int, int]] = (176, 512, 614)
    image_part: ClassVar[ScenePart] = ScenePart(('KSC', 'KSC_corrected'), ('KSC',))
    label_part: ClassVar[ScenePart] = ScenePart(('KSC_gt',), ('KSC_gt',))
    url: ClassVar[str] = EHU
    citation: ClassVar[tuple[str, ...]] = (EHU,)
    sha256: ClassVar[Mapping[str, str]] = {
        'ksc.mat': 'b1ad011cfdb65c853e4f9f6108ca4774467d87f90a5c23b74ff3a2984a3b4786',
        'ksc_gt.mat': (
            'a1d6ab9293691006bd4d9742d1a1e1c141b1aaa5fbc5fa128b33c1d09038510b'
        ),
    }
