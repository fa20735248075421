# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Work over many files: in this process, on a local Dask cluster or on the user's own."""

from .failure import JobFailure
from .progress import JobProgress
from .report import JobReport
from .run import run_jobs

__all__ = ('JobFailure', 'JobProgress', 'JobReport', 'run_jobs')
