# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``python -m torchgeo_hsi``: the same as the command ``torchgeo-hsi``."""

from .main import main

if __name__ == '__main__':
    main()
