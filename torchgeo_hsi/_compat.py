# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Everything private of torch, timm, lightly and torchgeo that we have to touch.

Each function has a test that fails when the other package changes under it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def has_hooks(module: 'nn.Module') -> bool:
    """Whether a hook waits for the module to be called.

    Args:
        module: Any module.

    Returns:
        True if skipping ``module.__call__`` would skip a hook.
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def in_function_transform() -> bool:
    """Whether ``torch.func.grad``, ``vmap`` or another transform is running.

    Returns:
        True inside of the function that is transformed.
    """
    from torch import _C

    return bool(_C._are_functorch_transforms_active())
