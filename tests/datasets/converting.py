# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How the tests convert datasets."""

from pathlib import Path
from typing import Any

from data.conversion.data import SHARD_MB

from torchgeo_hsi.datasets import convert_dataset
from torchgeo_hsi.datasets.conversion_report import ConversionReport


def convert(dataset: Any, out: Path, **options: Any) -> ConversionReport:
    return convert_dataset(
        dataset, out, **{'shard_mb': SHARD_MB, 'workers': 1, **options}
    )
