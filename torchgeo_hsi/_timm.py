# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Our backbones enter timm when somebody imports timm, and no sooner.

timm takes longer to import than all our datasets, and who only reads data needs none.
"""

import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


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
    """Finds timm by the usual finders, and lets a module follow it.

    It stays until timm is imported: others ask where timm is without importing it, to
    see whether it is installed, and an import can fail and be tried again.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self._thread = threading.local()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return how timm is loaded; nothing for all other modules."""
        if fullname != 'timm' or getattr(self._thread, 'asks', False):
            return None
        # the finders after this one, which is asked again
        self._thread.asks = True
        try:
            spec = find_spec(fullname)
        finally:
            self._thread.asks = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Follow(spec.loader, self)
        return spec

    def leave(self) -> None:
        """Look for nothing any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Follow(Loader):
    """Loads timm as usual, and another module afterwards."""

    def __init__(self, usual: Loader, finder: _AfterTimm) -> None:
        self.usual = usual
        self.finder = finder

    def __getattr__(self, name: str) -> Any:
        """Answer what else a loader can be asked, such as for files beside timm."""
        if name == 'usual':
            raise AttributeError(name)
        return getattr(self.usual, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as usual."""
        return self.usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run timm, which then is as if this class had not been there."""
        module.__loader__ = self.usual
        if module.__spec__ is not None:
            module.__spec__.loader = self.usual
        self.usual.exec_module(module)
        self.finder.leave()
        import_module(self.finder.module)
