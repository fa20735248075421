# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Who imports whom, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'torchgeo_hsi'

FILES = sorted(PACKAGE.rglob('*.py'))


def part_of(module: str) -> str:
    """Name the part that a module of ours belongs to."""
    words = module.split('.')
    return words[1] if len(words) > 1 else 'torchgeo_hsi'


def module_name(path: Path) -> str:
    words = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(words[:-1] if words[-1] == '__init__' else words)


def imports(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Yield the full names that a file imports, wherever in the file that is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ''
            if node.level:
                anchor = module.split('.')
                drop = node.level - (1 if is_package else 0)
                anchor = anchor[: len(anchor) - drop]
                stem = '.'.join([*anchor, *([stem] if stem else [])])
            # each name may be a module or something inside of one
            yield from (f'{stem}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            called = getattr(function, 'attr', getattr(function, 'id', ''))
            target = node.args[0]
            known = ('import_module', '_import_with_timm', '__import__')
            if called in known and isinstance(target, ast.Constant):
                yield str(target.value)


def own_parts(names: Iterator[str]) -> set[str]:
    """Reduce imported names to the parts of our package."""
    parts = set()
    for name in names:
        words = name.split('.')
        if words[0] != 'torchgeo_hsi':
            continue
        exists = len(words) > 1 and (
            (PACKAGE / words[1]).is_dir() or (PACKAGE / f'{words[1]}.py').is_file()
        )
        # e.g. torchgeo_hsi.__version__ belongs to the package itself
        parts.add(words[1] if exists else 'torchgeo_hsi')
    return parts


MODULES = {module_name(path): path for path in FILES}


def loaded(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield what runs when a module is loaded: no functions, nothing for types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.dump(child.test):
            for other in child.orelse:
                yield from loaded(other)
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from loaded(child)


def neighbours(path: Path) -> set[str]:
    """Return the modules of ours that a module imports when it is loaded."""
    module = module_name(path)
    statements = loaded(ast.parse(path.read_text('utf-8')))
    source = '\n'.join(ast.unparse(statement) for statement in statements)
    found = set()
    for name in imports(source, module, path.name == '__init__.py'):
        while name and name not in MODULES:
            name = name.rpartition('.')[0]
        found.add(name)
    return found - {module, ''}


def cycles(edges: dict[str, set[str]]) -> list[str]:
    """Return what is left of a graph once all that ends in nothing is taken out."""
    left = {name: set(others) for name, others in edges.items()}
    while done := [name for name, others in left.items() if not others & left.keys()]:
        for name in done:
            del left[name]
    return sorted(left)


def sub_room(module: str) -> str:
    """Name the folder of a room that a module lies in, or the module itself."""
    words = module.split('.')
    is_folder = len(words) > 2 and PACKAGE.joinpath(*words[1:3]).is_dir()
    return '.'.join(words[:3]) if is_folder else module
