# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""WHU-Hi-LongKou: simple crops."""

from typing import ClassVar

from ._benchmark_files import ScenePart
from .whu_hi import WHUHi


class WHUHiLongKou(WHUHi):
    """WHU-Hi-LongKou: simple crops in Hubei, July 17, 2018.

    550 x 400 pixels of 0.463 m, 270 bands, 9 classes, 204542 labelled pixels.
    Options and wavelengths: see :class:`WHUHi`.

    Files: ``WHU_Hi_LongKou.mat`` and ``WHU_Hi_LongKou_gt.mat``, or the ENVI or TIFF files
    of the same names; if you like ``Train100.mat`` and ``Test100.mat``.

    Example:
        .. code-block:: python

            scene = WHUHiLongKou('data/whu_hi', official=100).scene()
            scene.official['train'].sum()
    """

    title: ClassVar[str] = 'WHU-Hi-LongKou'
    table: ClassVar[str] = 'whu_hi_longkou'
    shape: ClassVar[tuple[int, int, int]] = (270, 550, 400)
    image_part: ClassVar[ScenePart] = ScenePart(
        ('WHU_Hi_LongKou',), ('WHU_Hi_LongKou',)
    )
    label_part: ClassVar[ScenePart] = ScenePart(
        ('WHU_Hi_LongKou_gt',), ('WHU_Hi_LongKou_gt',)
    )
