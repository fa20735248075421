# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Names for the completion of shells, without importing torch."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from ._names import DATASETS, MODELS

type Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def begin(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Choose the words that begin as what is typed.

    Args:
        words: All words.
        incomplete: What is typed.

    Returns:
        Those to offer.
    """
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def complete_models(*kinds: str) -> Completer:
    """Return a function that completes names of models.

    Those of plugins are left out: their names are known after an import only.

    Args:
        *kinds: Kinds as ``torchgeo-hsi models`` says them; all by default.

    Returns:
        What click takes as ``shell_complete``.
    """

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [names for kind, names in MODELS.items() if not kinds or kind in kinds]
        return begin(sorted(name for names in found for name in names), incomplete)

    return complete


def complete_datasets(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of our datasets; see click for the arguments.

    Args:
        ctx: Not used.
        param: Not used.
        incomplete: What is typed.

    Returns:
        The names.
    """
    return begin(DATASETS, incomplete)


def complete_gases(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of gases.

    Args:
        ctx: Not used.
        param: Not used.
        incomplete: What is typed.

    Returns:
        The names.
    """
    return begin(('carbon_dioxide', 'methane'), incomplete)


def complete_devices(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of devices.

    Args:
        ctx: Not used.
        param: Not used.
        incomplete: What is typed.

    Returns:
        The names.
    """
    return begin(('cpu', 'cuda', 'mps'), incomplete)
