# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Directive of the drawing of the rooms.

``{architecture}`` shows what `rooms` reads and draws, which needs no Sphinx.
"""

from typing import Any

from docutils import nodes
from rooms import PACKAGE, draw, find_rooms
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Architecture(SphinxDirective):
    """Show the drawing."""

    def run(self) -> list[nodes.Node]:
        """Draw, again whenever the page is read."""
        for path in PACKAGE.rglob('*.py'):
            self.env.note_dependency(str(path))
        picture = draw(find_rooms())
        text = f'<div class="arch-scroll" tabindex="0">{picture}</div>'
        return [nodes.raw('', text, format='html')]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive('architecture', Architecture)
    return {'version': '1', 'parallel_read_safe': True}
