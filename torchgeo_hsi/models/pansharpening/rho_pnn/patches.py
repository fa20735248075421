# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Choose the patches that the network of rho-PNN is tuned on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....physics.resampling.interpolate import REACH
from ..pair import Margins, Pair, Views

#: Share of a patch that may be without data.
_GAPS = 0.05

#: Most iterations of k-means; it ends long before.
_ROUNDS = 100


@dataclass(frozen=True)
class Patch:
    """A part of a cube and of its PAN, with what its interpolation needs around it.

    Args:
        cube: Part of the cube with margins, shape ``(1, C, h, w)``.
        pan: Part of the PAN without, shape ``(1, 1, H, W)``.
        margins: Pixels of the cube at the edges that are there for the interpolation.
        views: How to interpolate.
        up: Part of the interpolated cube without margins, shape ``(1, C, H, W)``, if
            there is one.
        valid: False for pixels of the cube without data, shape ``(1, h, w)`` without
            margins; all have by default.
    """

    cube: Tensor
    pan: Tensor
    margins: Margins
    views: Views
    up: Tensor | None = None
    valid: Tensor | None = None

    @property
    def inner(self) -> Tensor:
        """The cube without margins, shape ``(1, C, h, w)``."""
        return self.cube[(..., *self.margins.slices())]

    @property
    def ratio(self) -> int:
        """Pixel size of the cube over that of the PAN."""
        return int(self.pan.shape[-2]) // self.inner.shape[-2]

    @property
    def gaps(self) -> float:
        """Share of the pixels without data."""
        return 0.0 if self.valid is None else float((~self.valid).float().mean())

    def band(self, band: int) -> Tensor:
        """Return one interpolated band.

        Args:
            band: Its position.

        Returns:
            The band, shape ``(1, 1, H, W)``.
        """
        if self.up is not None:
            return self.up[:, band : band + 1]
        cube = self.cube[:, band : band + 1]
        # the interpolation asks for the shape of the PAN only
        shape = [self.ratio * length for length in cube.shape[-2:]]
        blank = cube.new_zeros(1).expand(1, 1, *shape)
        return Pair(cube, blank, margins=self.margins, views=self.views).up

    def cut(self, rows: slice, cols: slice) -> 'Patch':
        """Cut a part out.

        Args:
            rows: Rows of the cube without margins.
            cols: Columns.

        Returns:
            The part, a view.
        """
        ratio = self.ratio
        parts: list[slice] = []
        margins: list[int] = []
        high, wide = (slice(ratio * s.start, ratio * s.stop) for s in (rows, cols))
        starts = (self.margins.top, self.margins.left)
        for part, start, length in zip(
            (rows, cols), starts, self.cube.shape[-2:], strict=True
        ):
            first = max(0, start + part.start - REACH)
            last = min(length, start + part.stop + REACH)
            parts.append(slice(first, last))
            margins += [start + part.start - first, last - start - part.stop]
        return Patch(
            self.cube[..., parts[0], parts[1]],
            self.pan[..., high, wide],
            Margins(*margins),
            self.views,
            None if self.up is None else self.up[..., high, wide],
            None if self.valid is None else self.valid[:, rows, cols],
        )

    def tiles(self, size: int) -> list['Patch']:
        """Cut all tiles out that have few gaps, and do not overlap.

        Args:
            size: Rows and columns of a tile in the cube's pixels; fewer where there are
                no more.

        Returns:
            The tiles, or the one with the fewest gaps.
        """
        lines = [_spread(length, size) for length in self.inner.shape[-2:]]
        tiles = [self.cut(rows, cols) for rows in lines[0] for cols in lines[1]]
        good = [tile for tile in tiles if tile.gaps <= _GAPS]
        return good or [min(tiles, key=lambda tile: tile.gaps)]

    def copy(self) -> 'Patch':
        """Copy the images, so that the rest of what they are a view of can go."""
        return Patch(
            self.cube.clone(),
            self.pan.clone(),
            self.margins,
            self.views,
            None,
            None if self.valid is None else self.valid.clone(),
        )


def _spread(length: int, size: int) -> list[slice]:
    """Spread as many parts as fit over a line."""
    size = min(length, size)
    count = length // size
    starts = torch.linspace(0, length - size, count).round().long().tolist()
    return [slice(start, start + size) for start in starts]


def describe(patches: Sequence[Patch]) -> Tensor:
    """Describe patches by how bright, how rich in contrast and how detailed they are.

    That of the PAN and of the mean of each third of the bands, so that patches of one
    kind of ground are near each other. The published method takes features of a network
    for photographs instead, which has to be downloaded.

    Args:
        patches: The patches.

    Returns:
        Twelve numbers of each, shape ``(N, 12)``, float64.
    """
    found = []
    for patch in patches:
        thirds = [part.mean(1) for part in patch.inner.chunk(3, 1)]
        images = [patch.pan[:, 0], *thirds]
        images += [images[-1]] * (4 - len(images))
        found.append(torch.cat([_texture(image[0].double()) for image in images]))
    return torch.stack(found).cpu()


def _texture(image: Tensor) -> Tensor:
    energy = sum(
        image.diff(dim=axis).square().mean()
        if image.shape[axis] > 1
        else image.new_zeros(())
        for axis in (0, 1)
    )
    return torch.stack(
        [image.mean(), image.std(correction=0), torch.as_tensor(energy).sqrt()]
    )


def choose(patches: Sequence[Patch], count: int | None) -> list[Patch]:
    """Choose patches that are unlike each other.

    Descriptors are grouped by k-means, which begins with the patches that are farthest
    from each other; of each group, the patch nearest to its center is taken. Nothing in
    it is random.

    Args:
        patches: Candidates.
        count: How many to choose; all if None.

    Returns:
        The patches, in their order. If they differ in size, those of the most frequent
        one, or of the largest of these.
    """
    shapes = [tuple(patch.pan.shape) for patch in patches]
    best = max(set(shapes), key=lambda shape: (shapes.count(shape), shape))
    alike = [p for p, shape in zip(patches, shapes, strict=True) if shape == best]
    if count is None or count >= len(alike):
        return alike
    points = standardize(describe(alike))
    centers = _k_means(points, points[farthest_first(points, count)])
    chosen: list[int] = []
    for distances in torch.cdist(centers, points):
        if chosen:
            distances[chosen] = torch.inf
        chosen.append(int(distances.argmin()))
    return [alike[index] for index in sorted(chosen)]


def standardize(points: Tensor) -> Tensor:
    """Bring descriptors to mean 0 and standard deviation 1.

    Args:
        points: Descriptors of shape ``(N, K)``.

    Returns:
        The same shape; 0 where all are the same.
    """
    spread = points.std(0, correction=0)
    flat = spread <= 1e-12 * points.abs().amax(0)
    return (points - points.mean(0)) / spread.masked_fill(flat, torch.inf)


def farthest_first(points: Tensor, count: int) -> list[int]:
    """Choose points that are far from each other.

    Args:
        points: Points of shape ``(N, K)``.
        count: How many.

    Returns:
        Positions: the point farthest from the mean, and then always the one farthest from
        all before.
    """
    chosen = [int((points - points.mean(0)).norm(dim=1).argmax())]
    while len(chosen) < count:
        near = torch.cdist(points, points[chosen]).amin(1)
        near[chosen] = -1
        chosen.append(int(near.argmax()))
    return chosen


def _k_means(points: Tensor, centers: Tensor) -> Tensor:
    for _ in range(_ROUNDS):
        label = torch.cdist(points, centers).argmin(1)
        groups = [points[label == number] for number in range(len(centers))]
        moved = torch.stack(
            [
                group.mean(0) if len(group) else center
                for group, center in zip(groups, centers, strict=True)
            ]
        )
        if torch.equal(moved, centers):
            break
        centers = moved
    return centers


class Candidates:
    """Patches of a scene that comes tile by tile; only the most different are kept.

    Args:
        size: Rows and columns of a patch in the cube's pixels.
        most: How many to keep.
    """

    def __init__(self, size: int, most: int) -> None:
        """Initialize a new Candidates instance; see the class for the arguments."""
        self.size, self.most = size, most
        self.patches: list[Patch] = []

    def add(self, area: Patch) -> None:
        """Take the patches of a tile.

        Args:
            area: The tile.
        """
        tiles = area.tiles(self.size)
        for tile in tiles:
            # no data is no candidate, if there is any other
            if tile.gaps <= _GAPS or not self.patches:
                self.patches.append(tile.copy())
        clean = [patch for patch in self.patches if patch.gaps <= _GAPS]
        self.patches = clean or self.patches
        while len(self.patches) > self.most:
            points = standardize(describe(self.patches))
            distance = torch.cdist(points, points)
            distance.fill_diagonal_(torch.inf)
            first, second = divmod(int(distance.argmin()), len(points))
            # the later one of the two that are most alike
            self.patches.pop(max(first, second))
