# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A table of the names at the top of each page of the reference, made from the page."""

import re
from importlib import import_module
from inspect import cleandoc
from typing import Any

from sphinx.application import Sphinx

_AUTO = re.compile(
    r'^\.\. auto(?:class|function|exception|data):: +(\S+)', re.MULTILINE
)
# with its options, up to the first empty line
_MODULE = re.compile(
    r'^\.\. (currentmodule|module|automodule):: (\S+)\n(?: +.*\n)*', re.MULTILINE
)

_LITERAL = re.compile(r'`+[^`]+`+')
_END = re.compile(r'(?<=[.!?])\s')

#: Fewest names that are worth a table.
LEAST = 3


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring; dots in literals end none."""
    paragraph = ' '.join(cleandoc(text).split('\n\n')[0].split())
    shown = _LITERAL.sub(lambda match: 'x' * len(match[0]), paragraph)
    end = _END.search(shown)
    return paragraph[: end.start()] if end else paragraph


def table(module: str, names: list[str]) -> str:
    """Make the table of the names of one module."""
    lines = ['', '.. list-table::', '   :class: api-summary', '   :widths: 35 65', '']
    for name in dict.fromkeys(names):
        full = name if name.startswith('torchgeo') else f'{module}.{name}'
        inside, _, last = full.rpartition('.')
        thing = getattr(import_module(inside), last)
        # data has the docstring of its type
        own = callable(thing) and getattr(thing, '__doc__', None)
        lines.append(f'   * - :py:obj:`~{full}`')
        lines.append(f'     - {first_sentence(own or "")}'.rstrip())
    return '\n'.join([*lines, '', ''])


def add_summary(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put a table behind each name of a module, of the names up to the next one."""
    if not docname.startswith('api/'):
        return
    text = source[0]
    found = list(_MODULE.finditer(text))
    # from the end, as places before it stay what they are
    stop = len(text)
    for match in reversed(found):
        kind, module = match.groups()
        names = _AUTO.findall(text[match.end() : stop])
        stop = match.start()
        if kind != 'automodule' and len(names) >= LEAST:
            place = match.end()
            text = text[:place] + table(module, names) + text[place:]
    source[0] = text


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect('source-read', add_summary)
    return {'version': '1', 'parallel_read_safe': True}
