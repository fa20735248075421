# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Our backbones enter timm when somebody imports timm, and no sooner.

timm takes longer to import than all our datasets, and who only reads data needs none.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def import_with_timm(module: str) -> None:
    """Import a module as soon as timm is imported: now, if it is already.

    Args:
        module: Its name, e.g. that of a module which registers models in timm.
    """
    if 'timm' in sys.modules:
        import_module(module)
    elif not any(isinstance(finder, _AfterTimm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTimm(module))


class _AfterTimm(MetaPathFinder):
    """Finds timm by the usual finders, and lets a module follow it."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return how timm is loaded; nothing for all other modules."""
        if fullname != 'timm' or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Follow(spec.loader, self.module)
        return spec


class _Follow(Loader):
    """Loads timm as usual, and another module afterwards."""

    def __init__(self, usual: Loader, module: str) -> None:
        self.usual = usual
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as usual."""
        return self.usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run timm, which then is as if this class had not been there."""
        module.__loader__ = self.usual
        if module.__spec__ is not None:
            module.__spec__.loader = self.usual
        self.usual.exec_module(module)
        import_module(self.module)
