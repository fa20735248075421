# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One registry for everything that is looked up by name."""

from collections.abc import Iterator
from fnmatch import fnmatch

from .errors import NameClashError, UnknownNameError


class Registry[T]:
    """Names and the objects behind them, each with its owner.

    Args:
        kind: What is registered, in the singular (``'model'``); used in messages.

    Example:
        >>> registry = Registry[int]('number')
        >>> registry.add('one', 1, owner='docs')
        >>> registry.get('one'), registry.list('o*')
        (1, ['one'])
    """

    def __init__(self, kind: str) -> None:
        """Initialize a new Registry instance.

        Args:
            kind: What is registered, in the singular (``'model'``).
        """
        self.kind = kind
        self._entries: dict[str, tuple[T, str]] = {}

    def add(self, name: str, obj: T, *, owner: str) -> None:
        """Register an object.

        Registering the same object under the same name twice does nothing.

        Args:
            name: Name to look the object up by.
            obj: The object.
            owner: Plugin or module that registers it.

        Raises:
            NameClashError: If another object already has this name.
        """
        if name in self._entries:
            other, holder = self._entries[name]
            if other is obj:
                return
            raise NameClashError(
                f'The {self.kind} name {name!r} is registered by {holder!r} and by '
                f'{owner!r}. Uninstall one of the two, or ask one to rename it.'
            )
        self._entries[name] = (obj, owner)

    def get(self, name: str) -> T:
        """Return the object of a name.

        Args:
            name: A registered name.

        Returns:
            The object.

        Raises:
            UnknownNameError: If the name is not registered.
        """
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name][0]

    def owner(self, name: str) -> str:
        """Return who registered a name.

        Args:
            name: A registered name.

        Returns:
            The owner.

        Raises:
            UnknownNameError: If the name is not registered.
        """
        self.get(name)
        return self._entries[name][1]

    def list(self, pattern: str = '*') -> list[str]:
        """List names.

        Args:
            pattern: Shell-style wildcard that the names have to match.

        Returns:
            The matching names, sorted.
        """
        return sorted(name for name in self._entries if fnmatch(name, pattern))

    def __contains__(self, name: object) -> bool:
        """Whether a name is registered."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, sorted."""
        return iter(self.list())

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._entries)
