# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views as papers on learning without labels make them."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from .multi_view import MultiView
from .spectral_view import SpectralView

#: Sizes of the crops of INTL, as shares of the first one (224, 192, 160, 128, 96).
_INTL_SIZES = (1.0, 6 / 7, 5 / 7, 4 / 7, 3 / 7)

#: Areas that they see.
_INTL_SCALES = (
    (0.2, 1.0),
    (0.171, 0.857),
    (0.143, 0.714),
    (0.114, 0.571),
    (0.086, 0.429),
)


def moco_views(
    size: int = 128,
    rotate: bool = False,
    spectral: Sequence[nn.Module] | None = None,
    generator: torch.Generator | None = None,
) -> MultiView:
    """Make the two views of MoCo-v2 on SpectralEarth.

    Parts of 8 to 100 % of the area, flipped along both axes, every other one blurred.

    * https://arxiv.org/abs/2408.08447 (SpectralEarth)
    * https://arxiv.org/abs/2003.04297 (MoCo-v2)

    Args:
        size: Rows and columns of the views.
        rotate: Whether to rotate by 90 degrees, too, which the paper does not.
        spectral: Transforms of the spectra, which the paper does not have.
        generator: Source of randomness, on the CPU; torch's own by default.

    Returns:
        Two views, of two dates where there are two.

    Example:
        >>> import torch
        >>> [v['image'].shape[-1] for v in moco_views(64)({'image': torch.randn(2, 8, 80, 80)})]
        [64, 64]
    """
    view = partial(
        SpectralView, size, rotate=rotate, spectral=spectral, generator=generator
    )
    return MultiView(
        [view((0.08, 1.0), blur=0.5) for _ in range(2)], 'cycle', generator
    )


def dino_views(
    size: int = 128,
    local_size: int | None = None,
    local_views: int = 0,
    rotate: bool = False,
    spectral: Sequence[nn.Module] | None = None,
    generator: torch.Generator | None = None,
) -> MultiView:
    """Make the two global views of DINO on SpectralEarth, and local ones.

    Global views see 5 to 100 % of the area, local ones 5 to 40 % of it. Vision
    transformers of a fixed size take local views only if *local_size* is *size*.

    * https://arxiv.org/abs/2408.08447 (SpectralEarth)
    * https://arxiv.org/abs/2104.14294 (DINO)

    Args:
        size: Rows and columns of the global views.
        local_size: Rows and columns of the local views; 3/8 of *size* by default, which
            are the 48 pixels of the paper.
        local_views: Number of local views, of dates by chance; none by default, as in
            the paper.
        rotate: Whether to rotate by 90 degrees, too, which the paper does not.
        spectral: Transforms of the spectra, which the paper does not have.
        generator: Source of randomness, on the CPU; torch's own by default.

    Returns:
        The global views, then the local ones.

    Raises:
        ValueError: If the number of local views is negative.

    Example:
        >>> import torch
        >>> views = dino_views(64, local_views=2)({'image': torch.randn(2, 8, 80, 80)})
        >>> [view['image'].shape[-1] for view in views]
        [64, 64, 24, 24]
    """
    if local_views < 0:
        raise ValueError(f'Expected local_views of 0 or more, got {local_views}.')
    view = partial(
        SpectralView, rotate=rotate, blur=0.5, spectral=spectral, generator=generator
    )
    small = max(round(size * 3 / 8), 1) if local_size is None else local_size
    far = [view(size, (0.05, 1.0)) for _ in range(2)]
    near = [view(small, (0.05, 0.4), blur_kernel=5) for _ in range(local_views)]
    return MultiView([*far, *near], 'cycle', generator)


def mae_views(
    size: int = 128,
    rotate: bool = False,
    spectral: Sequence[nn.Module] | None = None,
    generator: torch.Generator | None = None,
) -> MultiView:
    """Make the one view of the masked autoencoder on SpectralEarth.

    A part of 40 to 100 % of the area of a date by chance, flipped, never blurred.

    * https://arxiv.org/abs/2408.08447 (SpectralEarth)
    * https://arxiv.org/abs/2111.06377 (MAE)

    Args:
        size: Rows and columns of the view.
        rotate: Whether to rotate by 90 degrees, too, which the paper does not.
        spectral: Transforms of the spectra, which the paper does not have.
        generator: Source of randomness, on the CPU; torch's own by default.

    Returns:
        One view.

    Example:
        >>> import torch
        >>> [v['image'].shape[-1] for v in mae_views(64)({'image': torch.randn(2, 8, 80, 80)})]
        [64]
    """
    view = SpectralView(
        size, (0.4, 1.0), rotate=rotate, spectral=spectral, generator=generator
    )
    return MultiView([view], 'random', generator)


def intl_views(
    size: int = 128,
    multi_crop: bool = False,
    rotate: bool = False,
    spectral: Sequence[nn.Module] | None = None,
    generator: torch.Generator | None = None,
) -> MultiView:
    """Make the views of INTL, as far as they make sense for spectra.

    Two parts of 8 to 100 % of the area, the first always and the second seldom blurred;
    or with *multi_crop* six, of smaller sizes and areas. Jitter of colors, gray and
    solarization of the paper are left out. Sizes are rounded to multiples of 4, the
    patches of our transformers, if *size* is one.

    * https://arxiv.org/abs/2305.16789

    Args:
        size: Rows and columns of the first views; 224 in the paper.
        multi_crop: Whether to make two views of *size* and one each of 6/7, 5/7, 4/7
            and 3/7 of it. For networks that take any size.
        rotate: Whether to rotate by 90 degrees, too, which the paper does not.
        spectral: Transforms of the spectra, which the paper does not have.
        generator: Source of randomness, on the CPU; torch's own by default.

    Returns:
        The views, the largest first.

    Example:
        >>> import torch
        >>> views = intl_views(112, multi_crop=True)({'image': torch.randn(2, 8, 80, 80)})
        >>> [view['image'].shape[-1] for view in views]
        [112, 112, 96, 80, 64, 48]
    """
    view = partial(SpectralView, rotate=rotate, spectral=spectral, generator=generator)
    if not multi_crop:
        found = [view(size, (0.08, 1.0), blur=blur) for blur in (1.0, 0.1)]
        return MultiView(found, 'cycle', generator)
    unit = 4 if size % 4 == 0 else 1
    sizes = [max(round(size * share / unit), 1) * unit for share in _INTL_SIZES]
    crops = list(zip(sizes, _INTL_SCALES, strict=True))
    found = [view(side, scale, blur=0.5) for side, scale in (crops[0], *crops)]
    return MultiView(found, 'cycle', generator)
