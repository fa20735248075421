# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Calls of the user's function, as they run in a worker process.

Only plain data go back: an error whose class cannot be rebuilt elsewhere would
otherwise hide the reason of the failure.
"""

import pickle
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ..errors import HSIWarning, JobError

#: Pickled functions of this process by token, and the functions themselves.
_PAYLOADS: dict[str, bytes] = {}
_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], tuple[type[Exception], ...]]] = {}

#: One item at a time in each process, whatever number of threads a worker has: models,
#: file handles and warning filters belong to the process.
_LOCK = threading.RLock()


@dataclass
class Outcome:
    """What a call came to.

    Args:
        value: What the function returned.
        error: Class and message of the error; empty if there was none.
        traceback: Where it was raised.
        warnings: Category and text of our own warnings, each once.
        fatal: The error, if it ends all of the work.
    """

    value: Any = None
    error: str = ''
    traceback: str = ''
    warnings: list[tuple[type[Warning], str]] = field(default_factory=list)
    fatal: Exception | None = None


def describe(error: BaseException) -> str:
    """Return the class and message of an error as one line."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def call(
    function: Callable[[Any], Any], item: Any, fatal: tuple[type[Exception], ...]
) -> Outcome:
    """Call a function and keep whatever happens.

    Args:
        function: The function.
        item: Its argument.
        fatal: Errors that end all of the work.

    Returns:
        The outcome.
    """
    try:
        return Outcome(function(item))
    # code that is meant for a command line ends with SystemExit
    except (Exception, SystemExit) as error:  # noqa: BLE001
        outcome = Outcome(error=describe(error), traceback=traceback.format_exc())
        if isinstance(error, fatal):
            outcome.fatal = error
        return outcome


def call_elsewhere(token: str, item: bytes) -> bytes:
    """Call a function of this worker process.

    Args:
        token: Under which the function was brought here.
        item: Its pickled argument.

    Returns:
        The pickled outcome.
    """
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('ignore')
        warnings.simplefilter('always', HSIWarning)
        outcome = _call_pickled(token, item)
    outcome.warnings = list(
        dict.fromkeys((warning.category, str(warning.message)) for warning in caught)
    )
    if outcome.fatal is not None and not _survives(outcome.fatal):
        outcome.fatal = JobError(outcome.error)
    try:
        return dumps(outcome)
    # pickle calls the code of others, which may fail in any way
    except Exception as error:  # noqa: BLE001
        text = f'The result cannot be sent back: {describe(error)}'
        return dumps(Outcome(error=text, traceback=traceback.format_exc()))


def _call_pickled(token: str, item: bytes) -> Outcome:
    try:
        if token not in _FUNCTIONS:
            _FUNCTIONS[token] = pickle.loads(_PAYLOADS[token])
        argument = pickle.loads(item)
    except Exception as error:  # noqa: BLE001
        text = f'A worker process cannot load the work: {describe(error)}'
        return Outcome(error=text, traceback=traceback.format_exc())
    function, fatal = _FUNCTIONS[token]
    return call(function, argument, fatal)


def _survives(error: Exception) -> bool:
    """Whether an error can be sent to another process."""
    try:
        return isinstance(pickle.loads(dumps(error)), type(error))
    except Exception:  # noqa: BLE001
        return False


def dumps(value: Any) -> bytes:
    """Pickle a value; functions of a script or notebook by their code.

    Args:
        value: Anything.

    Returns:
        The pickled value.
    """
    cloudpickle = import_module('cloudpickle')
    payload: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return payload


def dumps_function(
    function: Callable[[Any], Any], fatal: tuple[type[Exception], ...]
) -> bytes:
    """Pickle the function of the user.

    Args:
        function: The function.
        fatal: Errors that end all of the work.

    Returns:
        Both, pickled.

    Raises:
        JobError: If that is not possible.
    """
    try:
        return dumps((function, fatal))
    except Exception as error:
        raise JobError(
            f'{function!r} cannot be sent to worker processes: {describe(error)}. Pass '
            'a function that holds no open files, locks, generators or connections '
            '(open them when it is called), or use workers=1.'
        ) from error


def bring(token: str, payload: bytes) -> None:
    """Keep a function in this process.

    Args:
        token: Name of the function.
        payload: The pickled function; loaded when it is needed.
    """
    _PAYLOADS[token] = payload


def forget(token: str) -> None:
    """Drop a function from this process.

    Args:
        token: Name of the function.
    """
    _PAYLOADS.pop(token, None)
    _FUNCTIONS.pop(token, None)
