# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Run the tutorials anew and keep what they show: ``python docs/tutorials/run.py``.

Name notebooks to run some of them only. Where the variable ``TORCHGEO_HSI_DATA`` names
the folder of "Real data" in CONTRIBUTING.md, those that can show real scenes do so; the
committed outputs were made that way. A notebook needs no kernel here: its cells are
executed one after the other in a folder that is removed afterwards.
"""

import argparse
import ast
import base64
import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

import matplotlib as mpl
from PIL import Image

TUTORIALS = Path(__file__).resolve().parent

#: Largest notebook in bytes; the repository keeps them forever.
LIMIT = 300_000

#: Colors of a picture, and its resolution.
COLORS, DPI = 128, 80

#: Tag of the cell whose variables a test may change.
PARAMETERS = 'parameters'


def read(path: Path) -> dict[str, Any]:
    """Read a notebook.

    Args:
        path: The file.

    Returns:
        What it holds.
    """
    notebook: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    return notebook


def write(path: Path, notebook: Mapping[str, Any]) -> None:
    """Write a notebook.

    Args:
        path: The file.
        notebook: What it holds.

    Raises:
        ValueError: If it is too large.
    """
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + '\n'
    if len(text.encode()) > LIMIT:
        raise ValueError(f'{path.name} has {len(text.encode())} bytes, not {LIMIT}.')
    path.write_text(text, encoding='utf-8')


def pictures() -> Iterator[dict[str, Any]]:
    """Take all open figures, and close them.

    Yields:
        Outputs of a cell.
    """
    from matplotlib import pyplot as plt

    for number in plt.get_fignums():
        drawn, small = io.BytesIO(), io.BytesIO()
        plt.figure(number).savefig(drawn, dpi=DPI, bbox_inches='tight')
        with Image.open(drawn) as picture:
            picture.convert('RGB').quantize(COLORS).save(small, 'png', optimize=True)
        data = {'image/png': base64.b64encode(small.getvalue()).decode()}
        yield {'output_type': 'display_data', 'data': data, 'metadata': {}}
    plt.close('all')


def evaluate(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Execute a cell.

    Args:
        source: Its code.
        name: Its name in tracebacks.
        namespace: Variables of the notebook.

    Returns:
        The value of its last line if that is an expression.
    """
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body else None
    if not isinstance(last, ast.Expr):
        tree.body += [last] if last else []
        last = None
    exec(compile(tree, name, 'exec'), namespace)  # noqa: S102
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), name, 'eval'), namespace)


def outputs(cell: Mapping[str, Any], name: str, namespace: dict[str, Any]) -> list[Any]:
    """Execute a cell and collect what it shows.

    Args:
        cell: The cell.
        name: Its name in tracebacks.
        namespace: Variables of the notebook.

    Returns:
        Its outputs: text, pictures and the last value.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        value = evaluate(''.join(cell['source']), name, namespace)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        found.append({'output_type': 'stream', 'name': 'stdout', 'text': lines})
    found += pictures()
    if value is not None:
        plain = pformat(value, width=80, sort_dicts=False).splitlines(keepends=True)
        result = {'output_type': 'execute_result', 'data': {'text/plain': plain}}
        found.append(result | {'metadata': {}, 'execution_count': None})
    return found


def run(notebook: dict[str, Any], name: str, changes: Mapping[str, Any]) -> Any:
    """Execute all cells of a notebook in the current folder.

    Args:
        notebook: The notebook, whose outputs are replaced.
        name: Its name in tracebacks.
        changes: Variables that replace those of the cell with the tag of parameters.

    Returns:
        The variables at its end.
    """
    mpl.use('Agg')
    namespace: dict[str, Any] = {'__name__': '__main__'}
    codes = (cell for cell in notebook['cells'] if cell['cell_type'] == 'code')
    for number, cell in enumerate(codes, 1):
        cell['outputs'] = outputs(cell, f'{name}[{number}]', namespace)
        cell['execution_count'] = number
        for output in cell['outputs']:
            if 'execution_count' in output:
                output['execution_count'] = number
        if PARAMETERS in cell['metadata'].get('tags', ()):
            namespace.update(changes)
    return namespace


def refresh(path: Path) -> None:
    """Execute a notebook and keep its outputs.

    Args:
        path: The file.

    Raises:
        ValueError: If an output names a folder of this machine, or is too large.
    """
    notebook, start = read(path), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run(notebook, path.stem, {})
    shown = json.dumps([cell.get('outputs') for cell in notebook['cells']])
    for place in (tempfile.gettempdir(), os.environ.get('TORCHGEO_HSI_DATA')):
        if place and f'{place}/' in shown:
            raise ValueError(f'{path.name} shows {place}, which is of this machine.')
    write(path, notebook)
    seconds, size = time.perf_counter() - start, path.stat().st_size
    sys.stdout.write(f'{path.name}: {seconds:.0f} s, {size / 1000:.0f} kB\n')


def main() -> None:
    """Run the notebooks."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('names', nargs='*', help='notebooks, all by default')
    names = parser.parse_args().names or [
        path.stem for path in sorted(TUTORIALS.glob('*.ipynb'))
    ]
    # what a user sees once is noise in a committed output
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    for name in names:
        refresh(TUTORIALS / f'{Path(name).stem}.ipynb')


if __name__ == '__main__':
    main()
