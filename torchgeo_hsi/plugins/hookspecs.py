# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The hooks that a plugin may implement.

All have one shape: the host passes a function, and the plugin calls it once for each
thing that it contributes. The host knows who is calling, so it can name both owners
when two plugins want the same name.
"""

from typing import Any, Protocol

import pluggy

#: Name under which pluggy keeps our markers.
PROJECT = 'torchgeo_hsi'

#: Marks a function of a plugin as the implementation of a hook.
hookimpl = pluggy.HookimplMarker(PROJECT)

_hookspec = pluggy.HookspecMarker(PROJECT)


class Register(Protocol):
    """The function that each hook receives."""

    def __call__(self, obj: Any, name: str | None = None) -> None:
        """Register one thing.

        Args:
            obj: The class, function or object; each hook says which.
            name: Name to find it by; the object's own name by default.

        Raises:
            PluginError: If *obj* is not of the kind that the hook takes.
        """


@_hookspec
def register_datasets(register: Register) -> None:
    """Register dataset classes.

    Args:
        register: Takes a subclass of :class:`torch.utils.data.Dataset`.
    """


@_hookspec
def register_datamodules(register: Register) -> None:
    """Register datamodule classes; ``--data`` then takes their short names.

    Args:
        register: Takes a subclass of :class:`torchgeo.datamodules.BaseDataModule`.
            Its name is always that of the class.
    """


@_hookspec
def register_samplers(register: Register) -> None:
    """Register sampler classes.

    Args:
        register: Takes a subclass of :class:`torch.utils.data.Sampler`.
    """


@_hookspec
def register_transforms(register: Register) -> None:
    """Register transform classes.

    Args:
        register: Takes a subclass of :class:`torch.nn.Module` that maps a sample to
            a sample.
    """


@_hookspec
def register_models(register: Register) -> None:
    """Register builders of models, for ``torchgeo_hsi.models.get_model``.

    Args:
        register: Takes a function that returns a :class:`torch.nn.Module`.
    """


@_hookspec
def register_losses(register: Register) -> None:
    """Register loss classes.

    Args:
        register: Takes a subclass of :class:`torch.nn.Module`.
    """


@_hookspec
def register_metrics(register: Register) -> None:
    """Register metric classes.

    Args:
        register: Takes a subclass of ``torchmetrics.Metric``.
    """


@_hookspec
def register_tasks(register: Register) -> None:
    """Register task classes; ``--model`` then takes their short names.

    Args:
        register: Takes a subclass of :class:`torchgeo.tasks.BaseTask`. Its name is
            always that of the class.
    """


@_hookspec
def register_sensors(register: Register) -> None:
    """Register sensors, for ``torchgeo_hsi.physics.get_sensor``.

    Args:
        register: Takes a ``torchgeo_hsi.physics.Sensor``. Its name is always that of
            the sensor.
    """


@_hookspec
def register_commands(register: Register) -> None:
    """Register verbs of the command ``torchgeo-hsi``.

    Args:
        register: Takes a ``click.Command``.
    """
