# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Messages of the library in the words of the command line.

The library says ``sigma=``, and a user of the command has ``--sigma``. What a verb calls
its arguments is known to its own table of options, so nothing is written down twice.
"""

import re

import click

#: Arguments of readers, which verbs take by ``--open``, or as those of a dataset.
READER_WORDS = (
    'fwhm',
    'key',
    'layout',
    'nodata',
    'scale',
    'variable',
    'wavelength',
    'wavelength_unit',
)

#: An object as Python writes it, with its arguments.
_CALL = r'\w+\((?:[^()]|\([^()]*\))*\)'

#: Arguments of datasets that their errors name.
_DATASET_WORDS = (
    *READER_WORDS,
    'bands',
    'crop_size',
    'download',
    'quality',
    'split_by',
    'split_dir',
)


def in_options(text: str, ctx: click.Context) -> str:
    """Put options where a message has arguments of Python.

    ``key=`` becomes ``--key``, ``key="a"`` becomes ``--key a``, ``key=True`` becomes
    ``--key`` and ``key=False`` becomes ``--no-key``, for options of the verb; arguments of
    readers become ``--open key=``, those of datasets ``--dataset.key``, and those that
    were given by ``--set`` become ``--set key=``. All else stays, and so do objects as Python
    writes them, and the names of files that the user gave.

    Args:
        text: The message.
        ctx: Context of the verb.

    Returns:
        The same message for a user of the verb.
    """
    table = _table(ctx)
    if not table:
        return text
    names = '|'.join(sorted(map(re.escape, table), key=len, reverse=True))
    value = r'(?P<quote>["\']?)(?P<word>\w+)(?P=quote)'
    pattern = re.compile(
        rf'(?<![\w.-])(?<!--\w{{3}} )(?<!--\w{{4}} )(?P<name>{names})=({value})?'
    )

    def say(match: re.Match[str]) -> str:
        option, off = table[match['name']]
        word = match['word']
        if word is None or word == 'True':
            return option
        if word == 'False':
            return off or match[0]
        return option + word if option.endswith('=') else f'{option} {word}'

    kept = sorted((word for word in _given(ctx) if '=' in word), key=len, reverse=True)
    parts = re.split(f'({"|".join([_CALL, *map(re.escape, kept)])})', text)
    # every second part is one that stays
    return ''.join(p if k % 2 else pattern.sub(say, p) for k, p in enumerate(parts))


def say_options(error: Exception, ctx: click.Context) -> None:
    """Change the message of an error for a user of the verb.

    Args:
        error: The error; one that holds more than its message stays as it is.
        ctx: Context of the verb.
    """
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (in_options(error.args[0], ctx),)


def _table(ctx: click.Context) -> dict[str, tuple[str, str]]:
    """List what stands for an argument, and for its being False."""
    options = [p for p in ctx.command.params if isinstance(p, click.Option)]
    own = {o.name: (_longest(o.opts), _longest(o.secondary_opts)) for o in options}
    table: dict[str, tuple[str, str]] = {}
    if 'opening' in own:
        table |= {name: (f'--open {name}=', '') for name in READER_WORDS}
    is_dataset = ctx.params.get('dataset') or ctx.params.get('config')
    if 'dataset' in own and (is_dataset or 'opening' not in own):
        table |= {name: (f'--dataset.{name}', '') for name in _DATASET_WORDS}
        table['paths'] = 'INPUT', ''
    settings = ctx.params.get('settings') or ()
    keys = [str(word).partition('=')[0] for word in settings]
    table |= {key: (f'--set {key}=', '') for key in keys}
    return table | {str(name): words for name, words in own.items()}


def _longest(words: list[str]) -> str:
    return max(words, key=len, default='')


def _given(ctx: click.Context) -> set[str]:
    """Return what the user wrote, such as names of files with an equals sign."""
    found: set[str] = set()
    pairs = ('settings', 'opening', 'opening_pan')
    for value in (value for name, value in ctx.params.items() if name not in pairs):
        found |= {
            word
            for word in (value if isinstance(value, tuple) else (value,))
            if isinstance(word, str)
        }
    return found
