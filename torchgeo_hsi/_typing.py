# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The few types that every part shares.

``type`` statements are evaluated on demand, so importing this module loads neither
numpy nor torch.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

#: Array of real numbers.
type FloatArray = NDArray[np.floating[Any]]

#: Array of truth values.
type BoolArray = NDArray[np.bool_]

#: One sample or batch: torchgeo's plain dictionary.
type Sample = dict[str, Tensor]

#: Anything that names a file or folder.
type PathLike = str | os.PathLike[str]
