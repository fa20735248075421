# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pavia University: a campus in northern Italy."""

from collections.abc import Mapping
from typing import ClassVar

from ._benchmark_files import ScenePart
from ._sources import EHU
from .benchmark import BenchmarkScene


class PaviaUniversity(BenchmarkScene):
    """Pavia University: ROSIS over a campus in northern Italy.

    610 x 340 pixels of 1.3 m, 103 bands from 430 to 860 nm, 9 classes, 42776 labelled
    pixels. Which 12 of the 115 bands of the sensor were left out is not published, so
    there are no wavelengths.

    Files: ``PaviaU.mat`` and ``PaviaU_gt.mat``.

    Example:
        .. code-block:: python

            scene = PaviaUniversity('data/pavia').scene()
    """

    title: ClassVar[str] = 'Pavia University'
    table: ClassVar[str] = 'pavia_university'
    shape: ClassVar[tuple[int, int, int]] = (103, 610, 340)
    image_part: ClassVar[ScenePart] = ScenePart(
        ('PaviaU', 'Pavia_university', 'PaviaUniversity'), ('paviaU',)
    )
    label_part: ClassVar[ScenePart] = ScenePart(
        ('PaviaU_gt', 'Pavia_university_gt', 'PaviaUniversity_gt'), ('paviaU_gt',)
    )
    url: ClassVar[str] = EHU
    citation: ClassVar[tuple[str, ...]] = (EHU,)
    sha256: ClassVar[Mapping[str, str]] = {
        'paviau.mat': (
            '28447fa87f7a5797845e9a189c0da85e23b1d06a4ba7361e5ff44efbf834d2fb'
        ),
        'paviau_gt.mat': (
            '23f6a426928f9b32984adffe659e29f554f9fb6c93b5a107528d308d5087a829'
        ),
    }
