# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A verb whose help ends with examples, and whose errors speak of its options."""

from collections.abc import Sequence
from typing import Any

import click

from ..errors import HSIError
from ._places import check_places
from ._words import say_options

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

    Its outputs are looked at before it runs, and errors of the library name its options
    instead of arguments of Python.

    Args:
        *args: Arguments of :class:`click.Command`.
        examples: Whole command lines.
        **kwargs: Arguments of :class:`click.Command`.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        """Initialize a new Verb instance; see the class for the arguments."""
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, if its outputs can be written.

        Args:
            ctx: Context of the verb.

        Returns:
            What the verb returns.
        """
        try:
            check_places(ctx)
            return super().invoke(ctx)
        except (HSIError, ValueError) as error:
            say_options(error, ctx)
            raise

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
