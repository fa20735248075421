# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks and methods over whole scenes: from file to file, tile by tile."""

from .restore_scene import restore_scene
from .sharpen_scene import scene_shift, sharpen_scene
from .superresolve_scene import superresolve_scene

__all__ = ('restore_scene', 'scene_shift', 'sharpen_scene', 'superresolve_scene')
