# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Output of ``predict``: one embedding for each image, in a table."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from pyproj import CRS
from torch import Tensor

from ..errors import EmptyDataError, MetadataError, NodataWarning
from ._embedding_table import (
    TableWriter,
    footprints,
    geo_metadata,
    import_pyarrow,
    make_table,
    merge_tables,
)
from ._prediction_writer import FileWriter
from ._scene import predict_dataset

#: Compressions of Parquet that all readers know.
_COMPRESSIONS = ('zstd', 'snappy', 'gzip', 'none')
#: Columns that are not taken from the batch.
_OWN = ('index', 'file', 'valid', 'xmin', 'ymin', 'xmax', 'ymax', 'embedding')


class EmbeddingWriter(FileWriter[TableWriter]):
    """Write one row for each image that is predicted to a Parquet file.

    Works with every task whose ``predict_step`` returns ``embedding`` of shape
    ``(B, F)``, as those that learn without labels do. The columns are

    =================  ================================================================
    ``index``          number of the sample in the dataset
    ``file``           its file, where the dataset has a list of them
    ``valid``          share of valid pixels, where the batch has ``valid``
    ``xmin`` ...       bounds, where the batch has them but nobody knows their CRS
    others             what the batch has one number or word of for each image
    ``embedding``      list of F float32 numbers; null without a valid pixel
    ``geometry``       footprint, where the batch has ``bounds``, and the batch or the
                       dataset a ``crs``: then the file is a GeoParquet, which
                       GeoPandas, QGIS and DuckDB read with its place
    =================  ================================================================

    Memory holds a row group, whatever the number of images. The file appears under its
    name when it is complete. With several processes, it is the same as with one.

    For an embedding of each pixel as a GeoTIFF, set ``predict: pixels`` of the task and
    take :class:`GeoTIFFCubeWriter` with ``output: regression`` and ``key: prediction``.

    * https://geoparquet.org/releases/v1.1.0

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.EmbeddingWriter
                  init_args: {output_path: output/embeddings.parquet}
    """

    _what = 'Embeddings'

    def __init__(
        self,
        output_path: str | Path = 'output/embeddings.parquet',
        key: str = 'embedding',
        crs: str = 'EPSG:4326',
        columns: list[str] | None = None,
        row_group_size: int = 4096,
        compress: str = 'zstd',
        overwrite: bool = True,
        keep_predictions: bool = False,
    ) -> None:
        """Initialize a new EmbeddingWriter instance.

        Args:
            output_path: File to write; folders are created.
            key: Entry of the prediction with the embeddings.
            crs: Coordinate reference system of the footprints, whatever that of the
                images.
            columns: Entries of the batch to keep, each one number or word for each
                image; all that are there by default.
            row_group_size: Rows that are written at a time.
            compress: ``'zstd'``, ``'snappy'``, ``'gzip'`` or ``'none'``.
            overwrite: Whether an existing file may be replaced.
            keep_predictions: Whether Lightning may keep all predictions in memory to
                return them.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__(output_path, overwrite, keep_predictions)
        if row_group_size < 1 or compress not in _COMPRESSIONS:
            raise ValueError(
                'Expected a row_group_size of 1 or more, and the compression '
                f'{", ".join(_COMPRESSIONS)}, got {row_group_size} and {compress!r}.'
            )
        self.key = key
        self.crs = CRS.from_user_input(crs)
        self.columns = columns
        self.row_group_size = row_group_size
        self.compress = compress
        self._dataset: Any = None
        self._features: int | None = None
        self._lost = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output path, and that pyarrow is there."""
        super().setup(trainer, pl_module, stage)
        if stage == 'predict':
            import_pyarrow()

    def _open(self, trainer: Trainer, folder: Path) -> TableWriter:
        self._dataset = predict_dataset(trainer)
        self._features = None
        self._lost = 0
        part = folder / f'{trainer.global_rank:05}.parquet'
        return TableWriter(part, self.row_group_size, self.compress)

    def write_batch(
        self,
        trainer: Trainer,
        module: LightningModule,
        prediction: Any,
        indices: Any,
        batch: Any,
    ) -> None:
        """Add the rows of one batch."""
        assert self._writer is not None
        values = self._embedding(prediction)
        index = np.array(self._numbers(trainer, indices, len(values)), dtype=np.int64)
        columns: dict[str, Any] = {'index': index}
        files = self._files(index)
        if files is not None and isinstance(indices, list):
            columns['file'] = files
        known = np.isfinite(values).all(axis=1)
        share = _valid_share(batch, len(values))
        if share is not None:
            columns['valid'] = share
            known &= share > 0
        self._lost += int((~known).sum())
        bounds = _bounds(prediction, batch, len(values))
        geometry, metadata = None, {}
        if bounds is not None:
            sources = self._sources(batch, len(values))
            if sources is None:
                names = ('xmin', 'xmax', 'ymin', 'ymax')
                columns |= dict(zip(names, bounds.T.copy(), strict=True))
            else:
                geometry = footprints(bounds, sources, self.crs)
                metadata = geo_metadata(self.crs)
        columns |= self._others(batch, len(values))
        with self._reported():
            self._writer.add(make_table(columns, values, known, geometry, metadata))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the parts together, in the first process."""
        if self._lost:
            warnings.warn(
                f'{self._lost} images have no valid pixel, or embeddings that are NaN '
                'or infinite. Their embedding is null.',
                NodataWarning,
                stacklevel=2,
            )
        super().on_predict_end(trainer, pl_module)

    def _complaint(self) -> str:
        return f'There was not a single image, so {self.output_path} is not written.'

    def _finish(self, trainer: Trainer, module: LightningModule, folder: Path) -> None:
        parts = sorted(folder.glob('*.parquet'))
        if not parts:
            raise EmptyDataError('No process has predicted a single image.')
        whole = parts[0]
        if len(parts) > 1:
            whole = folder / 'whole'
            merge_tables(parts, whole, self.row_group_size, self.compress)
        os.replace(whole, self.output_path)

    def _embedding(self, prediction: Any) -> NDArray[np.float32]:
        values = prediction
        if isinstance(prediction, dict):
            values = prediction.get(self.key)
        if not isinstance(values, Tensor) or values.ndim != 2:
            found = sorted(prediction) if isinstance(prediction, dict) else None
            raise MetadataError(
                f'Expected embeddings of shape (B, F) as {self.key!r} of the prediction, '
                f'got {found or type(values).__name__}. Set predict: image of the task, '
                'or name the entry with key.'
            )
        self._features = self._features or values.shape[1]
        if values.shape[1] != self._features:
            raise MetadataError(
                f'Expected embeddings of {self._features} features, as in the first '
                f'batch, got {values.shape[1]}. Write those of another network to '
                'another file.'
            )
        array: NDArray[np.float32] = values.detach().cpu().float().numpy()
        return array

    def _files(self, index: NDArray[np.int64]) -> list[str] | None:
        """Return the files of samples, if there is one for each."""
        files = getattr(self._dataset, 'files', None)
        # a GeoDataset has files, too, but each holds many samples
        if not isinstance(files, list | tuple) or hasattr(self._dataset, 'index'):
            return None
        if len(files) != len(self._dataset) or index.max() >= len(files):
            return None
        return [str(files[i]) for i in index]

    def _sources(self, batch: Any, count: int) -> list[CRS] | None:
        """Return the reference system of each image, if they are known."""
        found = batch.get('crs') if isinstance(batch, dict) else None
        if found is None:
            found = getattr(self._dataset, 'crs', None)
        if found is None:
            return None
        if isinstance(found, list | tuple):
            return [CRS.from_user_input(crs) for crs in found]
        return [CRS.from_user_input(found)] * count

    def _others(self, batch: Any, count: int) -> dict[str, Any]:
        """Return what a batch has one number or word of for each image."""
        content = batch if isinstance(batch, dict) else {}
        names = content if self.columns is None else self.columns
        found = {}
        for name in names:
            column = _column(content.get(name), count)
            if column is not None and name not in (*_OWN, 'crs'):
                found[name] = column
            elif self.columns is not None:
                raise MetadataError(
                    f'Expected one number or word for each image as {name!r} of the '
                    f'batch, which has {", ".join(sorted(content))}. Change columns of '
                    'EmbeddingWriter.'
                )
        return found

    def _clean(self) -> None:
        super()._clean()
        self._dataset = None


def _column(values: Any, count: int) -> Any:
    """Return a column, if there is one number or word for each image."""
    if isinstance(values, Tensor):
        return values.cpu().numpy() if values.shape == (count,) else None
    if isinstance(values, list | tuple) and len(values) == count:
        kinds = {type(value) for value in values}
        return values if kinds in ({str}, {int}, {float}, {bool}) else None
    return None


def _valid_share(batch: Any, count: int) -> NDArray[np.float32] | None:
    values = batch.get('valid') if isinstance(batch, dict) else None
    if not isinstance(values, Tensor) or len(values) != count:
        return None
    share: NDArray[np.float32] = values.float().flatten(1).mean(dim=1).cpu().numpy()
    return share


def _bounds(prediction: Any, batch: Any, count: int) -> NDArray[np.float64] | None:
    """Return west, east, south and north of each image, if they are known."""
    for source in (prediction, batch):
        values = source.get('bounds') if isinstance(source, dict) else None
        if isinstance(values, Tensor) and values.shape[:1] == (count,):
            rows: NDArray[np.float64] = values.cpu().double().numpy()
            # x and y, each from, to and resolution
            return rows[:, [0, 1, 3, 4]]
    return None
