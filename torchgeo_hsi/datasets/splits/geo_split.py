# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The area of a GeoDataset, given to splits."""

from copy import deepcopy
from dataclasses import dataclass

import pandas as pd
import shapely
from geopandas import GeoDataFrame
from pyproj import CRS as PROJ_CRS
from shapely import MultiPolygon
from torchgeo.datasets import GeoDataset

from ...errors import EmptyDataError, UnknownNameError


@dataclass(frozen=True)
class GeoSplit:
    """Regions of the splits of a GeoDataset.

    Made by :func:`~torchgeo_hsi.datasets.block_geo_split` and
    :func:`~torchgeo_hsi.datasets.region_geo_split`. Use the regions as
    ``roi`` of a sampler, or let :meth:`datasets` cut the dataset.

    Args:
        names: Names of the splits, training first.
        parts: Polygons of each split that do not overlap; rectangles if the split is
            by blocks.
        crs: CRS of the polygons.
        method: ``'block'`` or ``'region'``.
        window: Rows and columns of the windows that the split is for.
        gap: Least distance between two splits in units of the CRS.
        block_size: Side of a block in pixels, or None.

    Example:
        .. code-block:: python

            split = block_geo_split(dataset, window=64)
            train = RandomWindowSampler(dataset, size=64, roi=split.roi('train'))
            test = GriddedPatchSampler(dataset, size=64, roi=split.roi('test'))
            leak_report({'train': train, 'test': test})
    """

    names: tuple[str, ...]
    parts: tuple[tuple[shapely.Polygon, ...], ...]
    crs: PROJ_CRS
    method: str
    window: int
    gap: tuple[float, float]
    block_size: int | None = None

    def roi(self, name: str) -> MultiPolygon:
        """Return the region of a split, for samplers.

        Args:
            name: The split.

        Returns:
            Region in the CRS of the dataset.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in self.names:
            raise UnknownNameError('split', name, self.names)
        whole = shapely.union_all(list(self.parts[self.names.index(name)]))
        found = [part for part in shapely.get_parts(whole) if part.area > 0]
        return MultiPolygon(found)

    def datasets(self, dataset: GeoDataset) -> list[GeoDataset]:
        """Cut a dataset, as torchgeo's own functions for splits do.

        The index of each part has a row for each scene and polygon, so samplers of
        torchgeo and of this package stay inside. A grid of windows reaches over the
        edges by less than a window, which the gap allows for.

        Args:
            dataset: The dataset that was split, or one of the same place.

        Returns:
            A dataset for each split, in the order of *names*.

        Raises:
            EmptyDataError: If no scene lies in the region of a split.
        """
        found = []
        for name, polygons in zip(self.names, self.parts, strict=True):
            places = GeoDataFrame(geometry=list(polygons), crs=self.crs)
            places = places.to_crs(dataset.crs)
            part = deepcopy(dataset)
            part.index = _clip(dataset.index, places)
            if part.index.empty:
                raise EmptyDataError(
                    f'No scene of the dataset lies in the region of {name!r}. Use the '
                    'dataset that was split, or one of the same place.'
                )
            found.append(part)
        return found


def _clip(index: GeoDataFrame, places: GeoDataFrame) -> GeoDataFrame:
    """Cut each row of an index into its parts inside of polygons."""
    tree = shapely.STRtree(places.geometry.to_numpy())
    row, place = tree.query(index.geometry.to_numpy(), predicate='intersects')
    shapes = shapely.intersection(
        index.geometry.to_numpy()[row], places.geometry.to_numpy()[place]
    )
    keep = shapely.area(shapes) > 0
    # a plain table first, because the times of the rows repeat
    cut = index.iloc[row[keep]].copy()
    cut.geometry = shapes[keep]
    assert isinstance(cut.index, pd.IntervalIndex)
    return cut
