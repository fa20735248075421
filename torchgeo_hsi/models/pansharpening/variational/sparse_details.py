# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening by sparse representation of details."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ....physics.resampling import mtf_decimate, mtf_kernel
from ...api import register_model
from ..base import Pansharpener
from ..pair import Pair

#: Numbers that are held at once.
_CHUNK = 1 << 24

#: Share of the volume of the atoms so far that a new one has to keep: atoms closer to
#: the others would be subtracted from each other.
_VOLUME = 1e-6


class SparseDetails(Pansharpener):
    """Details of the cube, made of those that the PAN has elsewhere.

    The details of each patch of the cube are fitted by a few patches of the details of
    the reduced PAN, found by orthogonal matching pursuit; the one at the same place is
    always among them. All bands use the same patches, each with its own weights. The
    same patches of the fine PAN with these weights are the details that are added.
    https://doi.org/10.1109/LGRS.2014.2331291

    The low-pass of the details is normalized, so that bands without details stay as they
    are. Patches come from the image itself, of a scene in tiles from the tile.

    The published code gives images that are worse than the interpolated cube on a scene
    where this is much better, as if pixels within patches were in two orders; that is not
    repeated.

    Example:
        >>> model = SparseDetails(patch=5, overlap=2, atoms=3)
        >>> model(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def __init__(
        self, patch: int = 7, overlap: int = 4, atoms: int = 10, **options: Any
    ) -> None:
        """Initialize a new SparseDetails instance.

        Args:
            patch: Rows and columns of a patch, in pixels of the cube.
            overlap: How many of them the next patch has in common with it.
            atoms: Patches that are summed up.
            **options: Arguments of :class:`Pansharpener`.

        Raises:
            ValueError: If a number is out of its range.
        """
        super().__init__(**options)
        if patch < 2 or not 0 <= overlap < patch or not 1 <= atoms <= patch**2:
            raise ValueError(
                'Expected patches of at least 2 pixels, an overlap that is smaller, and '
                f'1 to {max(patch, 1) ** 2} atoms, got {patch}, {overlap} and {atoms}.'
            )
        self.patch, self.overlap, self.atoms = patch, overlap, atoms

    @torch.no_grad()
    def sharpen(self, pair: Pair) -> Tensor:
        """Find the details of each patch, and average where patches overlap.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``, without gradients.
        """
        gain, ratio = pair.gain, pair.ratio
        total = float(mtf_kernel(gain, ratio).sum())
        wanted = pair.cube - mtf_decimate(pair.up, gain, ratio) / total
        fine = pair.pan - pair.pan_low / total
        coarse = mtf_decimate(fine, gain, ratio) / total
        # as strong as the bands are, so that strong bands choose the patches
        spread = pair.up.flatten(2).std(2)
        details = [
            self._details(*images, ratio)
            for images in zip(wanted, fine[:, 0], coarse[:, 0], spread, strict=True)
        ]
        return pair.up + torch.stack(details)

    def _details(
        self, wanted: Tensor, fine: Tensor, coarse: Tensor, spread: Tensor, ratio: int
    ) -> Tensor:
        """Make the details of one image.

        Args:
            wanted: Details of the cube, shape ``(C, h, w)``.
            fine: Details of the PAN, shape ``(H, W)``.
            coarse: Details of the reduced PAN, shape ``(h, w)``.
            spread: Strength of the bands, shape ``(C,)``.
            ratio: Ratio of pixel sizes.

        Returns:
            Details of shape ``(C, H, W)``.
        """
        step = self.patch - self.overlap
        rows, cols = (
            max(1, -(-(n - self.overlap) // step)) for n in coarse.shape
        )
        size = (rows * step + self.overlap, cols * step + self.overlap)
        wanted, coarse = _extend(wanted, size), _extend(coarse[None], size)
        fine = _extend(fine[None], (ratio * size[0], ratio * size[1]))
        atoms = F.unfold(coarse[None].double(), self.patch, stride=step)[0].mT
        strength = torch.einsum('chw,c->hw', wanted, spread)[None, None].double()
        targets = F.unfold(strength, self.patch, stride=step)[0].mT
        chosen = torch.cat(
            [
                pursue(atoms, target, first, self.atoms)
                for target, first in _chunks(targets, len(atoms))
            ]
        )
        place = _Places(rows, cols, step, self.patch, ratio)
        return self._assemble(wanted, fine[0], atoms, chosen, place)

    def _assemble(
        self,
        wanted: Tensor,
        fine: Tensor,
        atoms: Tensor,
        chosen: Tensor,
        place: '_Places',
    ) -> Tensor:
        raise NotImplementedError
