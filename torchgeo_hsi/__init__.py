# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""torchgeo-hsi: hyperspectral imaging for TorchGeo.

Importing this package costs next to nothing; its sub-packages carry torchgeo's
names (``datasets``, ``datamodules``, ``models``, ...) and load on their own.
"""

__version__ = '0.1.0'
