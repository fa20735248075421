# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Connections to Dask: to a cluster of this machine, or to that of the user."""

import logging
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from ..errors import HSIWarning, JobError
from ._calls import describe

#: How a cluster of our own differs from what Dask does elsewhere.
_SETTINGS = {
    # we count deaths ourselves: only so is it known which item was on its own
    'distributed.scheduler.allowed-failures': 0,
    # data loaders start processes, which those of a daemon cannot
    'distributed.worker.daemon': False,
    # nothing can be spilled, and a worker that is paused would never go on
    'distributed.worker.memory.target': False,
    'distributed.worker.memory.spill': False,
    'distributed.worker.memory.pause': False,
    # a first import of torch and GDAL on a busy machine takes longer than 30 s
    'distributed.comm.timeouts.connect': '120s',
}

#: Seconds to wait for the scheduler of a user.
_CONNECT = 30

#: Seconds for a cluster of our own to answer, however busy the machine is.
_START = 120

_LOGGERS = ('distributed', 'bokeh', 'tornado', 'asyncio')


def import_distributed() -> Any:
    """Import the optional package distributed.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            'dask and distributed are needed for more than one worker or a scheduler. '
            "Install them with pip install 'torchgeo-hsi[parallel]', or use one worker."
        ) from error
    return distributed


@contextmanager
def connect(scheduler: str | None, workers: int) -> Iterator[Any]:
    """Connect to a cluster.

    Args:
        scheduler: Address of the user's own, or None to start one.
        workers: Processes of the one to start.

    Yields:
        The client.

    Raises:
        JobError: If the scheduler does not answer, or no cluster can be started.
    """
    distributed = import_distributed()
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if scheduler is None:
            address = stack.enter_context(_local_cluster(workers))
            timeout = _START
        else:
            address, timeout = scheduler, _CONNECT
        try:
            client = distributed.Client(
                address, timeout=timeout, set_as_default=False, name='torchgeo-hsi'
            )
        except (OSError, ValueError, TypeError) as error:
            raise JobError(
                f'No Dask scheduler answers at {scheduler}: {describe(error)}. Expected '
                'an address such as tcp://10.0.0.1:8786, as "dask scheduler" prints it.'
            ) from error
        stack.callback(client.close, timeout=5)
        yield client


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    import dask

    distributed = import_distributed()
    folder = tempfile.mkdtemp(prefix='torchgeo-hsi-')
    try:
        with dask.config.set(_SETTINGS):
            try:
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    # by default, a part that goes by the number of CPUs
                    memory_limit=1 / workers,
                    processes=True,
                    dashboard_address='127.0.0.1:0',
                    worker_dashboard_address='127.0.0.1:0',
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                )
            except (OSError, RuntimeError) as error:
                raise JobError(
                    f'{workers} worker processes could not be started: '
                    f'{describe(error).rstrip(".")}. A script has to start its work below "if '
                    "__name__ == '__main__':\". With workers=1 none are needed."
                ) from error
            try:
                yield cluster
            finally:
                cluster.close(timeout=10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from reporting what is handled here anyway, such as dead workers."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def brought(client: Any, payload: bytes) -> Iterator[str]:
    """Bring a function to all workers of a cluster, also to those that come later.

    Args:
        client: The client.
        payload: The pickled function.

    Yields:
        The token under which workers find it.

    Raises:
        JobError: If the workers cannot import this package.
    """
    from ._plugin import FunctionPlugin

    token = f'torchgeo-hsi-{uuid.uuid4().hex}'
    try:
        client.register_plugin(FunctionPlugin(token, payload), name=token)
    except Exception as error:
        raise JobError(
            f'The workers of {client.scheduler.address} cannot take the work: '
            f'{describe(error)}. They need the same versions of Python and torchgeo-hsi '
            'as this process.'
        ) from error
    try:
        yield token
    finally:
        # workers that are just dying, e.g. by Ctrl-C, have nothing to forget
        with suppress(Exception):
            client.unregister_worker_plugin(name=token)


def count_workers(client: Any) -> int:
    """Return the number of workers that are alive, as far as the client knows.

    Args:
        client: The client.

    Returns:
        Number of worker processes.
    """
    return len(client.scheduler_info(n_workers=-1).get('workers', {}))


def warn_of_threads(client: Any) -> None:
    """Say that workers have threads that stay idle.

    Args:
        client: The client.
    """
    info = client.scheduler_info(n_workers=-1).get('workers', {})
    idle = [w for w in info.values() if w.get('nthreads', 1) > 1]
    if idle:
        warnings.warn(
            f'{len(idle)} of {len(info)} workers have more than one thread, of which '
            'one works: datasets and models belong to a process. Start them with '
            '"dask worker --nworkers N --nthreads 1".',
            HSIWarning,
            stacklevel=2,
        )
