# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The hooks. Each imports what it needs, so that finding this plugin costs nothing."""

from torchgeo_hsi.plugins import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the library of spectra."""
    from .data import LibrarySpectra

    register(LibrarySpectra)


@hookimpl
def register_datamodules(register: Register) -> None:
    """Register its datamodule: ``--data LibraryDataModule``."""
    from .data import LibraryDataModule

    register(LibraryDataModule)


@hookimpl
def register_samplers(register: Register) -> None:
    """Register a sampler that draws all classes equally often."""
    from .data import LibraryBalancedSampler

    register(LibraryBalancedSampler)


@hookimpl
def register_transforms(register: Register) -> None:
    """Register a normalization of spectra."""
    from .data import LibraryUnitNorm

    register(LibraryUnitNorm)


@hookimpl
def register_models(register: Register) -> None:
    """Register a network: ``get_model('library_mlp')``."""
    from .learning import library_mlp

    register(library_mlp)


@hookimpl
def register_losses(register: Register) -> None:
    """Register a loss."""
    from .learning import LibraryCosineLoss

    register(LibraryCosineLoss)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register a metric."""
    from .learning import LibraryWorstRecall

    register(LibraryWorstRecall)


@hookimpl
def register_tasks(register: Register) -> None:
    """Register the task: ``--model LibraryClassification``."""
    from .learning import LibraryClassification

    register(LibraryClassification)


@hookimpl
def register_sensors(register: Register) -> None:
    """Register a field spectrometer: ``get_sensor('library')``."""
    from .sensor import library_sensor

    register(library_sensor())


@hookimpl
def register_commands(register: Register) -> None:
    """Register the verb ``torchgeo-hsi library``."""
    from .command import library

    register(library)
