# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""WHU-Hi-HongHu: many crops of the same kind."""

from typing import ClassVar

from ._benchmark_files import ScenePart
from .whu_hi import WHUHi


class WHUHiHongHu(WHUHi):
    """WHU-Hi-HongHu: many crops of the same kind in Hubei, November 20, 2017.

    940 x 475 pixels of 0.043 m, 270 bands, 22 classes, 386693 labelled pixels.
    Options and wavelengths: see :class:`WHUHi`.

    Class names such as "Red roof 2" that are in circulation are made up; these are the
    published ones.

    Files: ``WHU_Hi_HongHu.mat`` and ``WHU_Hi_HongHu_gt.mat``, or the ENVI or TIFF files
    of the same names; if you like ``Train100.mat`` and ``Test100.mat``.

    Example:
        .. code-block:: python

            scene = WHUHiHongHu('data/whu_hi', official=100).scene()
            scene.official['train'].sum()
    """

    title: ClassVar[str] = 'WHU-Hi-HongHu'
    table: ClassVar[str] = 'whu_hi_honghu'
    shape: ClassVar[tuple[int, int, int]] = (270, 940, 475)
    image_part: ClassVar[ScenePart] = ScenePart(('WHU_Hi_HongHu',), ('WHU_Hi_HongHu',))
    label_part: ClassVar[ScenePart] = ScenePart(
        ('WHU_Hi_HongHu_gt',), ('WHU_Hi_HongHu_gt',)
    )
