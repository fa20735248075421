# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The drawing of the rooms: boxes by layer, arrows from the imports in the files.

A room is a folder of the package. It stands above all that it imports. An arrow that
others imply is left out: where ``tasks`` import ``models`` and these import ``physics``,
there is none from ``tasks`` to ``physics``. Imports of ``errors`` and of files whose name
starts with an underscore are not drawn, as everything has them.
"""

import ast
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[2] / 'torchgeo_hsi'

#: What rooms are for, in the words of the drawing.
PURPOSES = {
    'plugins': 'parts of other packages',
    'physics': 'bands, sensors, gases',
    'io': 'readers and writers',
    'layers': 'blocks of networks',
    'metrics': 'scores of valid pixels',
    'losses': 'losses of valid pixels',
    'models': 'networks and methods',
    'scenes': 'scenes, tile by tile',
    'transforms': 'samples to samples',
    'graphs': 'graphs of pixels',
    'jobs': 'work on many files',
    'datasets': 'files to samples',
    'samplers': 'which windows',
    'datamodules': 'splits, batches',
    'callbacks': 'maps, figures, scores',
    'tasks': 'what is learned',
    'workflows': 'whole jobs',
    'cli': 'verbs of the command',
}

_HEAD = """\
<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" class="arch"
 aria-labelledby="arch-title" xmlns="http://www.w3.org/2000/svg">
<title id="arch-title">Rooms of torchgeo_hsi by layer, and what they import</title>
<defs><marker id="arch-head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7"
 markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" class="arch-tip"/></marker>
</defs>"""

#: Sizes of boxes and of the space between them.
WIDTH, HEIGHT, GAP, RISE, MARGIN = 144, 58, 12, 46, 8


#: A box by its name, or a gap that an arrow passes by both ends and the row.
type Slot = tuple[str, ...]


class Room(NamedTuple):
    """A folder of the package.

    Args:
        name: Its name.
        files: Number of modules.
        lines: Their lines.
        imports: Rooms that its files import.
    """

    name: str
    files: int
    lines: int
    imports: frozenset[str]


def _targets(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the first part of what a module imports from its own package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            stem = (node.module or '').split('.') if node.module else []
            if node.level:
                stem = package[: len(package) - node.level + 1] + stem
            for alias in node.names:
                found = [*stem, alias.name]
                if found[0] == PACKAGE.name and len(found) > 1:
                    yield found[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found = alias.name.split('.')
                if found[0] == PACKAGE.name and len(found) > 1:
                    yield found[1]


def find_rooms(package: Path = PACKAGE) -> dict[str, Room]:
    """Read all files of the package.

    Args:
        package: Its folder.

    Returns:
        Rooms by name.
    """
    names = {p.parent.name for p in package.glob('*/__init__.py')}
    rooms = {}
    for name in sorted(names):
        found: set[str] = set()
        files = sorted((package / name).rglob('*.py'))
        lines = 0
        for path in files:
            text = path.read_text('utf-8')
            lines += text.count('\n')
            folder = [package.name, *path.relative_to(package).parts[:-1]]
            found |= set(_targets(ast.parse(text), folder)) & names
        rooms[name] = Room(name, len(files), lines, frozenset(found - {name}))
    return rooms


def levels(rooms: Mapping[str, Room]) -> dict[str, int]:
    """Say on which layer each room stands, from 0: right below those that import it.

    Args:
        rooms: The rooms.

    Returns:
        Layers by name.

    Raises:
        ValueError: If rooms import each other in a circle.
    """
    found: dict[str, int] = {}

    def level(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f'rooms import each other: {" -> ".join((*above, name))}')
        if name not in found:
            below = [level(other, (*above, name)) for other in rooms[name].imports]
            found[name] = 1 + max(below, default=-1)
        return found[name]

    for name in rooms:
        level(name, ())
    # short arrows: as high as those above allow
    for name in sorted(found, key=lambda n: -found[n]):
        above = [found[other] for other in rooms if name in rooms[other].imports]
        found[name] = min(above, default=found[name] + 1) - 1
    return found


def arrows(rooms: Mapping[str, Room]) -> list[tuple[str, str]]:
    """List imports that no others imply.

    Args:
        rooms: The rooms.

    Returns:
        Pairs of a room and what it imports.
    """

    def reach(name: str) -> set[str]:
        direct = set(rooms[name].imports)
        return direct.union(*(reach(other) for other in direct))

    return [
        (name, target)
        for name, room in rooms.items()
        for target in sorted(room.imports)
        if not any(target in reach(o) for o in room.imports - {target})
    ]


def _lay_out(rooms: Mapping[str, Room]) -> tuple[list[list[Slot]], list[list[Slot]]]:
    """Put rooms into rows, and a gap wherever an arrow passes a row.

    Args:
        rooms: The rooms.

    Returns:
        Rows from below with their slots in order, and arrows as the slots that they pass.
    """
    layer = levels(rooms)
    rows: list[list[Slot]] = [[] for _ in range(max(layer.values()) + 1)]
    for name in rooms:
        rows[layer[name]].append((name,))
    paths: list[list[Slot]] = []
    for name, target in arrows(rooms):
        passed = range(layer[name] - 1, layer[target], -1)
        path: list[Slot] = [(name,), *((name, target, str(i)) for i in passed)]
        for i, slot in zip(passed, path[1:], strict=True):
            rows[i].append(slot)
        paths.append([*path, (target,)])
    pairs = {pair for path in paths for pair in pairwise(path)}
    for _ in range(8):
        # by the mean place of what they hang on, upwards and downwards in turn
        for above, order in ((0, rows[1:]), (1, rows[-2::-1])):
            place = _columns(rows)[0]
            for row in order:
                row.sort(key=lambda s: _mean_place(s, pairs, place, above))
                place |= _columns(rows)[0]
    return rows, paths


def _mean_place(
    slot: Slot, pairs: set[tuple[Slot, Slot]], place: Mapping[Slot, float], above: int
) -> float:
    """Return the mean place of the slots above or below that a slot hangs on."""
    found = [place[p[1 - above]] for p in pairs if p[above] == slot]
    return sum(found) / len(found) if found else place[slot]


def _columns(rows: list[list[Slot]]) -> tuple[dict[Slot, float], float]:
    """Return the middle of each slot, and the width of all."""
    sizes = [[WIDTH if len(slot) == 1 else GAP for slot in row] for row in rows]
    widths = [sum(row) + GAP * (len(row) - 1) for row in sizes]
    width = max(widths) + 2 * MARGIN
    place: dict[Slot, float] = {}
    for row, size, total in zip(rows, sizes, widths, strict=True):
        x = (width - total) / 2
        for slot, step in zip(row, size, strict=True):
            place[slot] = x + step / 2
            x += step + GAP
    return place, width


def _arrow(path: list[Slot], place: Mapping[Slot, float], tops: list[float]) -> str:
    """Draw an arrow from the bottom of a box past others to the top of one."""
    line = f'M{place[path[0]]:.0f},{tops[0] + HEIGHT:.0f}'
    for i, (slot, after) in enumerate(pairwise(path)):
        x, to_x = place[slot], place[after]
        y, to_y = tops[i] + HEIGHT, tops[i + 1]
        last = i == len(path) - 2
        to_y -= 6 if last else 0
        bend = (to_y - y) / 2
        line += f' C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} '
        line += f'{to_x:.0f},{to_y:.0f}'
        if not last:
            line += f' V{to_y + HEIGHT:.0f}'
    return f'<path d="{line}" class="arch-arrow" marker-end="url(#arch-head)"/>'


def draw(rooms: Mapping[str, Room]) -> str:
    """Draw the rooms.

    Args:
        rooms: The rooms.

    Returns:
        An SVG whose colours are those of the page.
    """
    rows, paths = _lay_out(rooms)
    place, width = _columns(rows)
    step = HEIGHT + RISE
    top = {s: MARGIN + i * step for i, row in enumerate(reversed(rows)) for s in row}
    height = MARGIN + len(rows) * step - RISE + MARGIN
    parts = [
        _HEAD.format(width=width, height=height),
        *(_arrow(path, place, [top[slot] for slot in path]) for path in paths),
    ]
    for name, room in rooms.items():
        x, y = place[(name,)], top[(name,)]
        rows = (
            (20, 'arch-name', name),
            (36, 'arch-word', PURPOSES.get(name, '')),
            (51, 'arch-count', f'{room.files} files, {room.lines:,} lines'),
        )
        parts.append(
            f'<rect x="{x - WIDTH / 2:.0f}" y="{y:.0f}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="7" class="arch-box"/>'
        )
        parts += [
            f'<text x="{x:.0f}" y="{y + dy:.0f}" class="{kind}">{escape(text)}</text>'
            for dy, kind, text in rows
        ]
    return '\n'.join([*parts, '</svg>'])
