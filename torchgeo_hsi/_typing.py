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


def resolve_types() -> None:
    """Make the types of torch and numpy known behind their names here.

    Command lines that are made from signatures look behind the names of types. Parts
    whose classes are named in configurations call this; they have loaded both anyway.
    """
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    globals().update(np=np, NDArray=NDArray, Tensor=Tensor)
