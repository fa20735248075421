# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A verb whose help ends with examples."""

from collections.abc import Sequence
from typing import Any

import click

#: What every verb may end with, for help and documentation.
EXIT_CODES = (
    ('0', 'done'),
    ('1', 'an error, told in one line'),
    ('2', 'wrong use of the command'),
    ('3', 'done, but some files failed and were left out'),
    ('70', 'a bug, whose traceback is kept in a file'),
    ('130', 'interrupted (Ctrl-C)'),
    ('141', 'nobody read the output to its end, as with "| head"'),
)


class Verb(click.Command):
    """A command of click with examples at the end of its help.

    Args:
        *args: Arguments of :class:`click.Command`.
        examples: Whole command lines.
        **kwargs: Arguments of :class:`click.Command`.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        """Initialize a new Verb instance; see the class for the arguments."""
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples.

        Args:
            ctx: Context of the verb.
            formatter: Gets the lines.
        """
        if self.examples:
            with formatter.section('Examples'):
                for line in self.examples:
                    # never wrapped, so that it can be copied
                    formatter.write(f'{" " * formatter.current_indent}{line}\n')
        super().format_epilog(ctx, formatter)
