# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Errors and warnings of torchgeo-hsi.

Every error derives from :class:`HSIError` and from the builtin error that a caller
would catch anyway, so both styles of ``except`` work.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class HSIError(Exception):
    """Root of all errors raised by torchgeo-hsi."""


class UnitError(HSIError, ValueError):
    """A quantity is in another unit than the one asked for."""


class BandMismatchError(HSIError, ValueError):
    """The number, order or kind of bands is not the expected one."""


class MetadataError(HSIError, ValueError):
    """A file lacks metadata that must not be guessed."""


class CorruptFileError(HSIError, OSError):
    """A file is damaged, truncated or not what its name says."""


class OutputError(HSIError, OSError):
    """An output could not be written; nothing half-written is left behind."""


class NotFiniteError(HSIError, ArithmeticError):
    """A network or method gave numbers that are NaN or infinite."""


class DownloadError(HSIError, OSError):
    """A file cannot be had from its server."""


class AccessError(DownloadError, PermissionError):
    """A server wants an account, or refuses the one that it got."""


class JobError(HSIError, RuntimeError):
    """Work over many items cannot be started, or cannot go on."""


class EmptyDataError(HSIError, ValueError):
    """There is no valid pixel, file or sample to work on."""


class NameClashError(HSIError, ValueError):
    """Two owners registered the same name."""


class PluginError(HSIError, RuntimeError):
    """A plugin breaks the rules of the host."""


class UnknownNameError(HSIError, KeyError):
    """A name is not in a registry; the message lists close matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Initialize a new UnknownNameError instance.

        Args:
            kind: What was looked up, e.g. ``'sensor'``.
            name: The name that is not known.
            known: All known names.
        """
        names = sorted(known)
        # people write EnMAP, and registries enmap
        folded: dict[str, list[str]] = {}
        for known_name in names:
            folded.setdefault(known_name.casefold(), []).append(known_name)
        matches = get_close_matches(name.casefold(), folded, n=3)
        close = [known_name for match in matches for known_name in folded[match]]
        hint = f'Did you mean {", ".join(close)}?' if close else ''
        listing = ', '.join(names) if names else 'none'
        self.message = f'Unknown {kind} {name!r}. {hint} Known: {listing}.'
        self.message = self.message.replace('  ', ' ')
        super().__init__(self.message)
        self._arguments = (kind, name, names)

    def __reduce__(self) -> tuple[type['UnknownNameError'], tuple[str, str, list[str]]]:
        """Pickle the arguments: a worker process sends its errors that way."""
        return type(self), self._arguments

    def __str__(self) -> str:
        """Return the message; a plain ``KeyError`` would print its ``repr``."""
        return self.message


class HSIWarning(UserWarning):
    """Root of all warnings of torchgeo-hsi."""


class NominalWavelengthWarning(HSIWarning):
    """A file carries no wavelengths, so the sensor's nominal table is used."""


class PluginWarning(HSIWarning):
    """A plugin failed to load and was skipped."""


class NodataWarning(HSIWarning):
    """Some data hold no valid value and were left out."""
