# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes with the classes of some of their pixels."""

from .benchmark import BenchmarkScene
from .botswana import Botswana
from .houston_2013 import Houston2013
from .indian_pines import IndianPines
from .ksc import KSC
from .label_map import LabelMap, read_label_map
from .open import open_labelled_scene, select_bands
from .palette import class_palette
from .pavia_university import PaviaUniversity
from .salinas import Salinas
from .scene import UNLABELLED, LabelledScene
from .tables import SceneClasses, load_scene_bands, load_scene_classes
from .whu_hi import WHUHi
from .whu_hi_hanchuan import WHUHiHanChuan
from .whu_hi_honghu import WHUHiHongHu
from .whu_hi_longkou import WHUHiLongKou

__all__ = (
    'KSC',
    'UNLABELLED',
    'BenchmarkScene',
    'Botswana',
    'Houston2013',
    'IndianPines',
    'LabelMap',
    'LabelledScene',
    'PaviaUniversity',
    'Salinas',
    'SceneClasses',
    'WHUHi',
    'WHUHiHanChuan',
    'WHUHiHongHu',
    'WHUHiLongKou',
    'class_palette',
    'load_scene_bands',
    'load_scene_classes',
    'open_labelled_scene',
    'read_label_map',
    'select_bands',
)
