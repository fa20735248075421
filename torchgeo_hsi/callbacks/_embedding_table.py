# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tables of embeddings as Parquet, row group by row group."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from ..errors import MetadataError

#: Version of https://geoparquet.org that is written.
_GEOPARQUET = '1.1.0'


def import_pyarrow() -> Any:
    """Import pyarrow, which only tables need.

    Returns:
        ``pyarrow`` with ``pyarrow.parquet``.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "EmbeddingWriter needs pyarrow: pip install 'torchgeo-hsi[parquet]'."
        ) from error
    return pyarrow


def footprints(
    bounds: NDArray[np.float64], sources: Sequence[CRS], target: CRS
) -> list[bytes | None]:
    """Turn bounds into polygons.

    Args:
        bounds: West, east, south and north of each image, shape ``(B, 4)``.
        sources: Reference system of each.
        target: Reference system of the polygons; longitude before latitude.

    Returns:
        Polygons as WKB, None for bounds that are not finite.
    """
    found: list[bytes | None] = []
    for (west, east, south, north), source in zip(bounds, sources, strict=True):
        if not np.isfinite((west, east, south, north)).all():
            found.append(None)
            continue
        ring: list[Any] = [(west, south), (east, south), (east, north), (west, north)]
        if source != target:
            change = Transformer.from_crs(source, target, always_xy=True)
            ring = list(change.itransform(ring))
        found.append(shapely.to_wkb(shapely.Polygon(ring)))
    return found


def geo_metadata(crs: CRS) -> dict[bytes, bytes]:
    """Describe the column ``geometry``, as GeoParquet wants it.

    Args:
        crs: Its reference system.

    Returns:
        Metadata of a schema.
    """
    column = {
        'encoding': 'WKB',
        'geometry_types': ['Polygon'],
        'crs': crs.to_json_dict(),
    }
    content = {
        'version': _GEOPARQUET,
        'primary_column': 'geometry',
        'columns': {'geometry': column},
    }
    return {b'geo': json.dumps(content).encode()}


def make_table(
    columns: Mapping[str, Any],
    embedding: NDArray[np.float32],
    known: NDArray[np.bool_],
    geometry: Sequence[bytes | None] | None,
    metadata: Mapping[bytes, bytes],
) -> Any:
    """Make the table of a batch.

    Args:
        columns: Names, and one value for each image.
        embedding: Embeddings of shape ``(B, F)``.
        known: Which images have one, shape ``(B,)``.
        geometry: Footprints as WKB, if there are any.
        metadata: Metadata of the schema.

    Returns:
        A table of pyarrow.
    """
    pyarrow = import_pyarrow()
    fields = {name: pyarrow.array(values) for name, values in columns.items()}
    # not lists of a fixed size: pyarrow 25 and older cannot read these with nulls back
    fields['embedding'] = pyarrow.ListArray.from_arrays(
        np.append(0, np.cumsum(known) * embedding.shape[1]).astype(np.int32),
        embedding[known].reshape(-1),
        mask=pyarrow.array(~known),
    )
    if geometry is not None:
        fields['geometry'] = pyarrow.array(geometry, pyarrow.binary())
    return pyarrow.table(fields).replace_schema_metadata(dict(metadata) or None)


class TableWriter:
    """Write tables to a file, in row groups of one size."""

    def __init__(self, path: Path, rows: int, compress: str) -> None:
        """Initialize a new TableWriter instance.

        Args:
            path: File to write.
            rows: Rows of a row group.
            compress: Compression, as pyarrow calls it.
        """
        self._path = path
        self._rows = rows
        self._compress = compress
        self._file: Any = None
        self._waiting: list[Any] = []
        self._count = 0

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file."""
        self.close()

    def add(self, table: Any) -> None:
        """Add rows.

        Args:
            table: A table of pyarrow, with the schema of the first one.

        Raises:
            MetadataError: If its columns are others.
        """
        pyarrow = import_pyarrow()
        if self._file is None:
            self._file = pyarrow.parquet.ParquetWriter(
                self._path, table.schema, compression=self._compress
            )
        if not table.schema.equals(self._file.schema):
            raise MetadataError(
                'Two batches have other columns, or types of columns: '
                f'{_describe(self._file.schema)} and {_describe(table.schema)}. Name '
                'those that all batches have by columns= of EmbeddingWriter.'
            )
        self._waiting.append(table)
        self._count += len(table)
        if self._count >= self._rows:
            self._flush(all_rows=False)

    def _flush(self, all_rows: bool) -> None:
        """Write the row groups that are full, or all rows."""
        table = import_pyarrow().concat_tables(self._waiting)
        size = len(table) if all_rows else len(table) // self._rows * self._rows
        self._file.write_table(table.slice(0, size), row_group_size=self._rows)
        self._waiting = [table.slice(size)]
        self._count = len(table) - size

    def close(self) -> None:
        """Write what is left, and finish the file."""
        if self._file is not None:
            if self._count:
                self._flush(all_rows=True)
            self._file.close()
            self._file = None

    def abort(self) -> None:
        """Close the file whatever happens; its content is not needed any more."""
        file, self._file, self._waiting = self._file, None, []
        if file is not None:
            with suppress(OSError):
                file.close()


def merge_tables(parts: Sequence[Path], path: Path, rows: int, compress: str) -> None:
    """Put the tables of several processes together, in the order of their column index.

    A process has every n-th row, so the row groups of the same number in all parts
    hold rows that belong together; more is never in memory.

    Args:
        parts: The files.
        path: File to write.
        rows: Rows of a row group.
        compress: Compression, as pyarrow calls it.

    Raises:
        MetadataError: If their columns differ.
    """
    pyarrow = import_pyarrow()
    files = [pyarrow.parquet.ParquetFile(part) for part in parts]
    try:
        with TableWriter(path, rows, compress) as writer:
            for group in range(max(file.num_row_groups for file in files)):
                groups = [
                    file.read_row_group(group)
                    for file in files
                    if group < file.num_row_groups
                ]
                first = groups[0].schema
                if not all(other.schema.equals(first) for other in groups[1:]):
                    raise MetadataError(
                        'Two processes have written other columns: '
                        f'{"; ".join(_describe(other.schema) for other in groups)}.'
                    )
                writer.add(pyarrow.concat_tables(groups).sort_by('index'))
    finally:
        for file in files:
            file.close()


def _describe(schema: Any) -> str:
    return ', '.join(f'{field.name} ({field.type})' for field in schema)
