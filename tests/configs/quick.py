# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of all configurations do alike."""

from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[2] / 'configs'

#: Options of the trainer with which nothing is drawn, logged or sent to a GPU.
QUICK = [
    '--trainer.logger=false',
    '--trainer.accelerator=cpu',
    '--trainer.enable_progress_bar=false',
    '--trainer.enable_model_summary=false',
]


def load(path: Path) -> dict[str, Any]:
    """Read a configuration."""
    content: dict[str, Any] = yaml.safe_load(path.read_text('utf-8'))
    return content
