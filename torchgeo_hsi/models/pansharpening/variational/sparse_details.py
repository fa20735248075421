# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening by sparse representation of details."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ....physics.resampling import mtf_decimate, mtf_kernel
from ...api import register_model
from ..base import Pansharpener
from ..pair import Pair

#: Numbers that are held at once.
_CHUNK = 1 << 24

#: Share of an atom's square that those before must leave: of more similar ones, large
#: multiples would be subtracted from each other.
_VOLUME = 1e-3


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
        # what is less than this is rounding, or the last digits of the kernel
        share = max(64 * torch.finfo(fine.dtype).eps, 1e-7)
        floor = share * pair.pan.abs().flatten(1).amax(1)
        details = [
            self._details(*images, ratio)
            for images in zip(
                wanted, fine[:, 0], coarse[:, 0], spread, floor, strict=True
            )
        ]
        return pair.up + torch.stack(details)

    def _details(
        self,
        wanted: Tensor,
        fine: Tensor,
        coarse: Tensor,
        spread: Tensor,
        floor: Tensor,
        ratio: int,
    ) -> Tensor:
        """Make the details of one image.

        Args:
            wanted: Details of the cube, shape ``(C, h, w)``.
            fine: Details of the PAN, shape ``(H, W)``.
            coarse: Details of the reduced PAN, shape ``(h, w)``.
            spread: Strength of the bands, shape ``(C,)``.
            floor: Details that are smaller are none, shape ``()``.
            ratio: Ratio of pixel sizes.

        Returns:
            Details of shape ``(C, H, W)``.
        """
        height, width = coarse.shape
        grid = _Grid.cover(height, width, self.patch, self.patch - self.overlap)
        wanted, coarse = grid.extend(wanted), grid.extend(coarse[None])
        fine = grid.extend(fine[None], ratio)[0]
        atoms = grid.cut(coarse.double()).flatten(0, 1)
        atoms = atoms * (atoms.abs().amax(1, keepdim=True) > floor)
        strength = torch.einsum('chw,c->hw', wanted, spread)[None]
        targets = grid.cut(strength.double()).flatten(0, 1)
        chosen, kept = pursue(atoms, targets, self.atoms)
        return _assemble(wanted, fine, atoms, (chosen, kept), grid, ratio)


class _Grid(NamedTuple):
    """Where the patches of an image are.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        rows: Rows of patches.
        cols: Columns of patches.
        patch: Pixels of a patch in each direction.
        step: Pixels from a patch to the next one.
    """

    height: int
    width: int
    rows: int
    cols: int
    patch: int
    step: int

    @classmethod
    def cover(cls, height: int, width: int, patch: int, step: int) -> '_Grid':
        """Cover an image, which is extended if need be."""
        rows, cols = (max(1, -(-(n + step - patch) // step)) for n in (height, width))
        return cls(height, width, rows, cols, patch, step)

    def span(self, count: int) -> int:
        """Return how many pixels a line of patches covers."""
        return (count - 1) * self.step + self.patch

    def extend(self, image: Tensor, ratio: int = 1) -> Tensor:
        """Repeat the last row and column of an image as often as patches need."""
        below, right = (
            ratio * (self.span(count) - length)
            for count, length in ((self.rows, self.height), (self.cols, self.width))
        )
        return F.pad(image, (0, right, 0, below), mode='replicate')

    def cut(self, image: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Cut patches out of an image of shape ``(C, H, W)``.

        Returns:
            Patches of shape ``(N, C, patch * patch)`` of some rows of patches; of all for
            one image.
        """
        last = self.rows if last is None else last
        start = first * self.step
        part = image[:, start : start + self.span(last - first)]
        found = F.unfold(part[:, None], self.patch, stride=self.step)
        return found.permute(2, 0, 1)

    def overlaps(self, ratio: int, like: Tensor) -> Tensor:
        """Count the patches at each pixel, shape ``(H, W)``."""
        counts = []
        for number in (self.rows, self.cols):
            count = like.new_zeros(self.span(number))
            for place in range(number):
                count[place * self.step : place * self.step + self.patch] += 1
            counts.append(count.repeat_interleave(ratio))
        return counts[0][:, None] * counts[1]


def pursue(atoms: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose atoms for all targets by orthogonal matching pursuit.

    The first atom of target number *n* is atom number *n*; each next one has the largest
    product with what the atoms so far leave.

    Args:
        atoms: Atoms of shape ``(N, K)``.
        targets: Targets of shape ``(N, K)``.
        count: Number of atoms for each, M.

    Returns:
        Numbers of atoms, shape ``(N, M)``; and which of them are of use, same shape: not
        those that are combinations of those before, up to rounding and a little more.
    """
    number = len(atoms)
    count = min(count, number)
    rows = max(1, _CHUNK // number)
    parts = []
    for start in range(0, number, rows):
        own = torch.arange(start, min(start + rows, number), device=atoms.device)
        parts.append(_pursue(atoms, targets[own], own, count))
    return torch.cat([part[0] for part in parts]), torch.cat([x[1] for x in parts])


def _pursue(
    atoms: Tensor, rest: Tensor, own: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    length = torch.linalg.vector_norm(atoms, dim=1, keepdim=True)
    unit = atoms / length.clamp_min(torch.finfo(atoms.dtype).tiny)
    axes = atoms.new_zeros(len(rest), count, atoms.shape[1])
    taken = torch.zeros(len(rest), len(atoms), dtype=torch.bool, device=atoms.device)
    chosen, kept = [], []
    for place in range(count):
        if place:
            own = (rest @ atoms.mT).abs_().masked_fill_(taken, -1).argmax(1)
        taken.scatter_(1, own[:, None], True)
        vector = unit[own][..., None]
        vector = (vector - axes.mT @ (axes @ vector)).squeeze(2)
        volume = vector.square().sum(1, keepdim=True)
        useful = volume > _VOLUME
        axis = torch.where(useful, vector / volume.clamp_min(_VOLUME).sqrt(), 0)
        axes[:, place] = axis
        rest = rest - (rest * axis).sum(1, keepdim=True) * axis
        chosen.append(own)
        kept.append(useful.squeeze(1))
    return torch.stack(chosen, 1), torch.stack(kept, 1)


def _assemble(
    wanted: Tensor,
    fine: Tensor,
    atoms: Tensor,
    choice: tuple[Tensor, Tensor],
    grid: _Grid,
    ratio: int,
) -> Tensor:
    """Fit each band by the chosen atoms, and sum up their fine patches.

    Args:
        wanted: Details of the cube, shape ``(C, h, w)``, extended.
        fine: Details of the PAN, shape ``(H, W)``, extended.
        atoms: Patches of the reduced PAN, shape ``(N, K)``.
        choice: Numbers of atoms and which are of use, shape ``(N, M)`` each.
        grid: Where the patches are.
        ratio: Ratio of pixel sizes.

    Returns:
        Details of shape ``(C, H, W)``, as large as the image was.
    """
    bands, (chosen, kept) = len(wanted), choice
    size, step = grid.patch * ratio, grid.step * ratio
    total = fine.new_zeros(bands, *fine.shape)
    most = grid.cols * size**2 * (bands + chosen.shape[1])
    rows = max(1, _CHUNK // most)
    for first in range(0, grid.rows, rows):
        last = min(first + rows, grid.rows)
        some = slice(first * grid.cols, last * grid.cols)
        targets = grid.cut(wanted, first, last).double()
        shares = _fit(atoms[chosen[some]], targets, kept[some]).to(fine)
        patches = _cut_at(fine, chosen[some], grid, ratio)
        made = torch.einsum('nmp,nmc->cpn', patches, shares)
        area = (last - first - 1) * step + size, fine.shape[1]
        part = F.fold(made, area, size, stride=step)[:, 0]
        total[:, first * step : first * step + area[0]] += part
    total /= grid.overlaps(ratio, fine)
    return total[:, : grid.height * ratio, : grid.width * ratio]


def _fit(atoms: Tensor, targets: Tensor, kept: Tensor) -> Tensor:
    """Fit targets by atoms.

    Args:
        atoms: Atoms of shape ``(N, M, K)``.
        targets: Targets of shape ``(N, C, K)``.
        kept: Which atoms are of use, shape ``(N, M)``.

    Returns:
        Weights of shape ``(N, M, C)``.
    """
    length = torch.linalg.vector_norm(atoms, dim=2, keepdim=True)
    scale = torch.where(kept[..., None], length, torch.inf)
    unit = atoms / scale
    gram = unit @ unit.mT + torch.diag_embed((~kept).to(unit))
    solved: Tensor = torch.linalg.solve(gram, unit @ targets.mT)
    return solved / scale


def _cut_at(fine: Tensor, chosen: Tensor, grid: _Grid, ratio: int) -> Tensor:
    """Cut the fine patches of atoms, shape ``(N, M, P * P)``."""
    reach = torch.arange(grid.patch * ratio, device=fine.device)
    step = grid.step * ratio
    rows = (chosen // grid.cols)[..., None] * step + reach
    cols = (chosen % grid.cols)[..., None] * step + reach
    return fine[rows[..., :, None], cols[..., None, :]].flatten(2)


@register_model
def sr_d(**options: Any) -> SparseDetails:
    """Build :class:`SparseDetails`.

    Args:
        **options: Arguments of :class:`SparseDetails`.

    Returns:
        The method.
    """
    return SparseDetails(**options)
