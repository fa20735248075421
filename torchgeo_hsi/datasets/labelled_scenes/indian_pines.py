# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Indian Pines: fields and woods in Indiana."""

from collections.abc import Mapping
from typing import ClassVar

from ...physics import BandSet
from ._benchmark_files import ScenePart
from ._sources import EHU
from .benchmark import BenchmarkScene
from .tables import load_scene_bands


class IndianPines(BenchmarkScene):
    """Indian Pines: AVIRIS over fields and woods in Indiana, June 12, 1992.

    145 x 145 pixels of 20 m, 200 bands (without water vapour), 16 classes, 10249
    labelled pixels. Seven classes lie in a single region, so no split by place can test
    them. The numbers are ``1000 + 500 x radiance``.

    Files: ``Indian_pines_corrected.mat`` and ``Indian_pines_gt.mat``. Wavelengths are
    the calibration of 1992 that came with the scene.

    * https://doi.org/10.4231/R7RX991C

    Example:
        .. code-block:: python

            scene = IndianPines('data/indian_pines').scene()
            scene.class_names[3], scene.shape
    """

    title: ClassVar[str] = 'Indian Pines'
    table: ClassVar[str] = 'indian_pines'
    shape: ClassVar[tuple[int, int, int]] = (200, 145, 145)
    image_part: ClassVar[ScenePart] = ScenePart(
        ('Indian_pines_corrected',), ('indian_pines_corrected',)
    )
    label_part: ClassVar[ScenePart] = ScenePart(
        ('Indian_pines_gt',), ('indian_pines_gt',)
    )
    url: ClassVar[str] = EHU
    citation: ClassVar[tuple[str, ...]] = ('https://doi.org/10.4231/R7RX991C',)
    sha256: ClassVar[Mapping[str, str]] = {
        'indian_pines_corrected.mat': (
            'ec2f8808710919d566f70f0d4aa885aae1ddfd42b734aba71c5e12ca65450939'
        ),
        'indian_pines_gt.mat': (
            '65c4687a8ab04f6da4789799bc3bc4f6e88bccac3ed6a2e6ae367e5e6b9e429c'
        ),
    }
    spectral_source: ClassVar[str] = 'calibration'

    def bandset(self) -> BandSet:
        """Return the 200 bands, named by their channel of 220 (``'B1'`` ...)."""
        return load_scene_bands(self.table)
