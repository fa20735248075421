# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Trainers of tests."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer


def quiet_trainer(folder: str | Path | None = None, **options: Any) -> Trainer:
    """Make a trainer that writes and says nothing, on the CPU.

    Args:
        folder: Where it would write; without, where the tests run.
        **options: Of the trainer.

    Returns:
        The trainer.
    """
    quiet = {'logger': False, 'enable_checkpointing': False, 'accelerator': 'cpu'}
    quiet |= {'enable_progress_bar': False, 'enable_model_summary': False}
    return Trainer(**({'default_root_dir': folder} | quiet | options))
