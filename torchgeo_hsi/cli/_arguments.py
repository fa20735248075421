# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options like ``--set rank=8``: words on a command line, arguments of a function."""

import inspect
import json
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

import click

#: What a decorator of click does.
type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_YES = ('true', 'yes', 'on')
_NO = ('false', 'no', 'off')

#: Stands for a value that is not of the wanted kind; None may be a value.
_OTHER = object()

#: What a user has to write for each kind of value.
_NAMES: dict[Any, str] = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number',
    str: 'text',
    list: 'a list in brackets',
    dict: 'JSON in braces',
    types.NoneType: 'null',
}


class FiniteRange(click.FloatRange):
    """A number in a range, of which NaN and infinity are not.

    NaN is neither too small nor too large, so click lets it through, and a distance
    of NaN would keep nothing apart.
    """

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Read a number.

        Args:
            value: What the user wrote.
            param: The option.
            ctx: Context of the verb.

        Returns:
            The number.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f'Expected a finite number, got {value}.', param, ctx)
        return number


def read_pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Read ``KEY=VALUE``.

    Args:
        words: What the user wrote.
        option: Name of the option, for messages.

    Returns:
        Values as they were written, by key.

    Raises:
        click.BadParameter: If a word is no such pair.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition('=')
        if not equals or not key.isidentifier():
            raise click.BadParameter(
                f'Expected KEY=VALUE, got {word!r}.', param_hint=option
            )
        found[key] = text
    return found


def convert_pairs(
    pairs: Mapping[str, str],
    kinds: Mapping[str, Any],
    option: str,
    infinite: Iterable[str] = (),
) -> dict[str, Any]:
    """Turn words into the values that a function takes.

    Args:
        pairs: What the user wrote, by key.
        kinds: Annotations of arguments; those that are not named take anything.
        option: Name of the option, for messages.
        infinite: Keys whose number may be NaN or infinite.

    Returns:
        The values.

    Raises:
        click.BadParameter: If a word is of another kind.
    """
    found: dict[str, Any] = {}
    for key, text in pairs.items():
        known = [kind for kind in _flatten(kinds.get(key, Any)) if _is_known(kind)]
        # anything may be text, so that comes last
        known.sort(key=lambda kind: (kind is str, kind is not types.NoneType))
        values = [_take(kind, _parse(text), text) for kind in known]
        value: Any = next((value for value in values if value is not _OTHER), _OTHER)
        is_number = isinstance(value, float) and key not in infinite
        if not known:
            value = _parse(text)
        elif value is _OTHER or (is_number and not math.isfinite(value)):
            known.sort(key=lambda kind: kind is types.NoneType)
            wanted = ' or '.join(dict.fromkeys(map(_describe, known)))
            raise click.BadParameter(
                f'Expected {wanted} for {key}, got {text!r}.', param_hint=option
            )
        found[key] = value
    return found


def argument_kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the arguments of a function.

    Args:
        function: A function or class.

    Returns:
        Annotations by name, of those that have one.
    """
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except NameError:
        # names that only a type checker imports
        return {}
    return {
        name: word.annotation
        for name, word in parameters.items()
        if word.annotation is not word.empty
    }


def _parse(text: str) -> Any:
    """Read JSON; anything else is text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _flatten(kind: Any) -> list[Any]:
    """List the kinds of a union, without names that stand for something else."""
    if isinstance(kind, TypeAliasType):
        return _flatten(kind.__value__)
    if get_origin(kind) in (Union, types.UnionType):
        return [part for member in get_args(kind) for part in _flatten(member)]
    return [kind]


def _is_known(kind: Any) -> bool:
    return kind in _NAMES or _origin(kind) in (list, dict, Literal)


def _origin(kind: Any) -> Any:
    """Return what a list, a mapping or a choice is in JSON."""
    origin = get_origin(kind)
    if origin is Literal:
        return origin
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return list
    return None


def _take(kind: Any, value: Any, text: str) -> Any:
    """Return a value of some kind, or that it is of another one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    origin = _origin(kind)
    if origin is Literal:
        return value if value in get_args(kind) else _OTHER
    if origin is list or kind is list:
        return _take_list(get_args(kind), value)
    if origin is dict or kind is dict:
        return value if isinstance(value, dict) else _OTHER
    if kind is types.NoneType:
        return None if value is None else _OTHER
    if kind is bool:
        word = text.lower()
        return word in _YES if word in _YES + _NO else _OTHER
    if kind is int:
        return value if is_number and isinstance(value, int) else _OTHER
    if kind is float:
        return float(value) if is_number else _OTHER
    # a number may be the name of a file
    return value if isinstance(value, str) else text


def _take_list(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return a list of values of some kind, or that it is something else."""
    if not isinstance(value, list):
        return _OTHER
    members = [kind for kind in kinds[:1] if _is_known(kind)]
    if not members:
        return value
    # texts are quoted in a list, so that numbers are none
    taken = [
        _OTHER
        if members[0] is str and not isinstance(item, str)
        else _take(members[0], item, str(item))
        for item in value
    ]
    return _OTHER if any(item is _OTHER for item in taken) else taken


def _describe(kind: Any) -> str:
    origin = _origin(kind)
    if origin is Literal:
        return f'one of {", ".join(map(str, get_args(kind)))}'
    return _NAMES[origin or kind]


def with_options(options: Sequence[Decorator]) -> Decorator:
    """Give a verb many options, in the order in which its help lists them.

    Args:
        options: What ``click.option`` returned.

    Returns:
        A decorator.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
