# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Output of ``predict``: a file for each equation that was solved."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from scipy.io import netcdf_file
from torch import Tensor

from ..errors import MetadataError, OutputError
from ..io._scratch import ScratchFolder
from ..io._whole import not_written, put_whole
from ._prediction_writer import BatchWriter
from ._report import report

#: Names of arrays, and of the axes of each.
type Field = tuple[NDArray[Any], tuple[str, ...]]

FORMATS = ('netcdf', 'npz')
_SUFFIX = {'netcdf': '.nc', 'npz': '.npz'}

_REMEDY = 'choose another folder for FieldWriter'


class FieldWriter(BatchWriter):
    """Write each predicted solution with its axes.

    For :class:`~torchgeo_hsi.tasks.NeuralSpectral`. The file of a function holds

    * ``t``, ``x`` and so on, the points of each axis, in units of the box, as float64
    * ``prediction``, the solution of the network
    * ``given``, the given fields on the same points; their number is the first axis
    * ``solution``, the numerical solution, if it is on the same points

    and the name of the equation, its options and the relative error. NetCDF files are of
    version 3, which every reader of NetCDF knows and no further package is needed for.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.FieldWriter
                  init_args: {folder: output/fields}
    """

    def __init__(
        self,
        folder: str | Path = 'output/fields',
        format: Literal['netcdf', 'npz'] = 'netcdf',
        overwrite: bool = True,
        keep_predictions: bool = False,
    ) -> None:
        """Initialize a new FieldWriter instance.

        Args:
            folder: Folder of the files ``field_00000.nc`` and so on; it is created.
            format: ``'netcdf'`` or ``'npz'``.
            overwrite: Whether files of an earlier prediction may be replaced.
            keep_predictions: Whether Lightning may keep all predictions in memory to
                return them.

        Raises:
            ValueError: If there is no such format.
        """
        super().__init__(keep_predictions)
        if format not in FORMATS:
            raise ValueError(f"Expected the format 'netcdf' or 'npz', got {format!r}.")
        self.folder = Path(folder)
        self.format = format
        self.overwrite = overwrite
        self._scratch: ScratchFolder | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the folder, and that the task solves equations.

        Raises:
            MetadataError: If the task solves no equation.
            OutputError: If the folder is a file, or may not be overwritten.
        """
        super().setup(trainer, pl_module, stage)
        if stage != 'predict':
            return
        if not hasattr(pl_module, 'equation'):
            raise MetadataError(
                f'{type(pl_module).__name__} solves no equation. Use FieldWriter with '
                'NeuralSpectral.'
            )
        if self.folder.is_file():
            raise OutputError(f'{self.folder} is a file. Name a folder.')
        if not self.overwrite and any(self.folder.glob('field_*')):
            raise OutputError(
                f'There are fields in {self.folder} already. Choose another folder, or '
                'set overwrite to true.'
            )

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open a folder for the file that is being written.

        Raises:
            OutputError: If it cannot be made.
        """
        super().on_predict_start(trainer, pl_module)
        if getattr(trainer, 'fast_dev_run', False):
            return
        # one for each process, and for all of its files
        name = f'field_{trainer.global_rank}'
        try:
            self._scratch = ScratchFolder(self.folder / name)
        except OSError as error:
            raise not_written(self.folder, error, _REMEDY) from error

    def write_batch(
        self,
        trainer: Trainer,
        module: LightningModule,
        prediction: Any,
        indices: Any,
        batch: Any,
    ) -> None:
        """Write the functions of one batch."""
        numbers = self._numbers(trainer, indices, len(prediction['prediction']))
        if self._scratch is None:
            return
        for index, number in enumerate(numbers):
            fields, about = describe_field(module, prediction, index)
            path = self.folder / f'field_{number:05}{_SUFFIX[self.format]}'
            write_field(path, self._scratch.path, fields, about)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the files are."""
        if trainer.is_global_zero and self._count and self._scratch is not None:
            report('Solutions written to %s', self.folder)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove what is not finished."""
        self._clean()

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        """Remove the folder of unfinished files."""
        self._clean()

    def _clean(self) -> None:
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None


def describe_field(
    task: Any, prediction: dict[str, Tensor], index: int
) -> tuple[dict[str, Field], dict[str, str | float]]:
    """Collect what a file holds.

    Args:
        task: The task.
        prediction: Output of its ``predict_step``.
        index: Number of the function in the batch.

    Returns:
        Arrays with the names of their axes, and what else is known.
    """
    names: tuple[str, ...] = task.equation.variables
    values = prediction['prediction'][index].cpu()
    points = task.equation.grid(list(values.shape))
    parameter = prediction['parameter'][index : index + 1].cpu()
    given = task.equation.to_grid(parameter.float(), points)[0]
    fields: dict[str, Field] = {
        name: (line.numpy(), (name,)) for name, line in zip(names, points, strict=True)
    }
    fields['prediction'] = values.numpy(), names
    fields['given'] = given.numpy(), ('field', *names)
    about: dict[str, str | float] = {
        'equation': task.equation.name,
        'equation_options': json.dumps(task.hparams['equation_options'] or {}),
    }
    solution = prediction.get('solution')
    if solution is not None and solution.shape[1:] == values.shape:
        reference = solution[index].cpu()
        fields['solution'] = reference.numpy(), names
        size = reference.norm().clamp_min(1e-30)
        about['relative_l2'] = float((values - reference).norm() / size)
    return fields, about


def write_field(
    path: Path, scratch: Path, fields: dict[str, Field], about: dict[str, str | float]
) -> None:
    """Write arrays under a temporary name, and rename the file.

    Args:
        path: File that ends with ``.nc`` or ``.npz``.
        scratch: Folder for the file that is not finished.
        fields: Arrays with the names of their axes.
        about: What else is known.

    Raises:
        OutputError: If the file cannot be written.
    """
    write = _write_netcdf if path.suffix == '.nc' else _write_npz
    part = scratch / path.name
    try:
        put_whole(part, path, lambda file: write(file, fields, about))
    except OSError as error:
        raise not_written(path, error, _REMEDY) from error


def _write_npz(
    path: Path, fields: dict[str, Field], about: dict[str, str | float]
) -> None:
    arrays: dict[str, Any] = {name: array for name, (array, _) in fields.items()}
    np.savez_compressed(path, **arrays, about=np.array(json.dumps(about)))


def _write_netcdf(
    path: Path, fields: dict[str, Field], about: dict[str, str | float]
) -> None:
    # version 2: files of more than 2 GB
    with netcdf_file(path, 'w', version=2) as file:
        for name, value in about.items():
            setattr(file, name, value)
        for name, (array, axes) in fields.items():
            for axis, size in zip(axes, array.shape, strict=True):
                if axis not in file.dimensions:
                    file.createDimension(axis, size)
            kind = 'd' if array.dtype == np.float64 else 'f'
            file.createVariable(name, kind, axes)[:] = array
