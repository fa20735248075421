# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""WHU-Hi-HanChuan: crops, houses and shadows."""

from typing import ClassVar

from ._benchmark_files import ScenePart
from .whu_hi import WHUHi


class WHUHiHanChuan(WHUHi):
    """WHU-Hi-HanChuan: crops, houses and shadows in Hubei, June 17, 2016.

    1217 x 303 pixels of 0.109 m, 274 bands, 16 classes, 257530 labelled pixels.
    Options and wavelengths: see :class:`WHUHi`.

    Files: ``WHU_Hi_HanChuan.mat`` and ``WHU_Hi_HanChuan_gt.mat``, or the ENVI or TIFF files
    of the same names; if you like ``Train100.mat`` and ``Test100.mat``.

    Example:
        .. code-block:: python

            scene = WHUHiHanChuan('data/whu_hi', official=100).scene()
            scene.official['train'].sum()
    """

    title: ClassVar[str] = 'WHU-Hi-HanChuan'
    table: ClassVar[str] = 'whu_hi_hanchuan'
    shape: ClassVar[tuple[int, int, int]] = (274, 1217, 303)
    image_part: ClassVar[ScenePart] = ScenePart(
        ('WHU_Hi_HanChuan',), ('WHU_Hi_HanChuan',)
    )
    label_part: ClassVar[ScenePart] = ScenePart(
        ('WHU_Hi_HanChuan_gt',), ('WHU_Hi_HanChuan_gt',)
    )
