# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes named on the command line: files, folders, lists and STAC."""

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from urllib.parse import urlparse

from ..errors import DownloadError, EmptyDataError, MetadataError

#: Files that may be scenes. ENVI's binary files are found through their headers.
_SUFFIXES = ('.hdr', '.mat', '.tif', '.tiff', '.nc', '.nc4', '.h5', '.hdf5', '.he5')

#: Lists of paths.
_LISTS = ('.txt', '.lst', '.list')

#: Parts of products that are no images: masks and uncertainties of EMIT.
_BESIDES = re.compile(r'EMIT_L2A_(MASK|RFLUNCERT)', re.IGNORECASE)

_URL = re.compile(r'^(https?|s3|gs)://', re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """One scene.

    Args:
        path: File or product folder, or the address of a file.
        name: Its name, of which outputs get theirs.
        beside: Addresses of the other files of a product.
    """

    path: str
    name: str
    beside: tuple[str, ...] = ()

    def absolute(self) -> 'Scene':
        """Return the same scene for processes that work in another folder.

        Returns:
            The scene by its absolute path; addresses stay as they are.
        """
        if is_address(self.path):
            return self
        return replace(self, path=os.path.abspath(self.path))

    @contextmanager
    def local(self) -> Iterator[str]:
        """Have the scene on this machine for a while.

        What lies elsewhere is copied into a temporary folder, with its product.

        Yields:
            Its path, or that of the copy.

        Raises:
            DownloadError: If a file cannot be had.
        """
        if not _URL.match(self.path):
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix='torchgeo-hsi-') as folder:
            copies = [_download(url, folder) for url in (self.path, *self.beside)]
            yield copies[0]

    def state(self) -> list[int] | None:
        """Return size and time of the file, to tell whether it has changed.

        Returns:
            Bytes and nanoseconds; None for what is not on this machine.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        # a folder changes with every file that is put beside the product
        return None if os.path.isdir(self.path) else [found.st_size, found.st_mtime_ns]


def find_scenes(
    inputs: Sequence[str], match: str | None = None, asset: str | None = None
) -> list[Scene]:
    """Find the scenes behind the arguments of a verb.

    Args:
        inputs: Files, product folders, folders of these at any depth, addresses, lists
            (``.txt``, one path in each line) or STAC (``.json``).
        match: Pattern that the names have to match, such as ``'ENMAP*'``.
        asset: Key of the asset that is the image in STAC items.

    Returns:
        The scenes in their order, each once, with different names.

    Raises:
        FileNotFoundError: If there is nothing at one of the inputs.
        EmptyDataError: If there is no scene.
        MetadataError: If a list or STAC file cannot be understood.
    """
    found: dict[str, Scene] = {}
    for entry in inputs:
        for scene in _expand(entry, asset):
            found.setdefault(scene.path, scene)
    scenes = list(found.values())
    if match is not None:
        scenes = [scene for scene in scenes if fnmatch(scene.name, match)]
    if not scenes:
        also = '' if match is None else f' whose name matches {match!r}'
        raise EmptyDataError(
            f'No scene{also} in {", ".join(inputs)}. Expected products of EnMAP, DESIS, '
            f'EMIT or PRISMA, or files that end in {", ".join(_SUFFIXES)}. Check the '
            'path, or what a list names.'
        )
    return _distinct(scenes)


def is_address(path: str) -> bool:
    """Tell addresses from paths of this machine.

    Args:
        path: Path or address.

    Returns:
        True for addresses, also those of GDAL's virtual file systems.
    """
    return bool(_URL.match(path)) or path.startswith('/vsi')


def _download(url: str, folder: str) -> str:
    """Copy a file of the net or of object storage into a folder."""
    fsspec = import_module('fsspec')
    target = os.path.join(folder, os.path.basename(urlparse(url).path) or 'scene')
    try:
        with fsspec.open(url, 'rb') as source, open(target, 'wb') as file:
            shutil.copyfileobj(source, file, 2**20)
    except ImportError as error:
        raise DownloadError(f'{url} needs another package: {error}') from error
    # each file system has errors of its own
    except Exception as error:
        raise DownloadError(
            f'{url} cannot be read: {type(error).__name__}: {error}. Check the address '
            'and the account.'
        ) from error
    return target


def _expand(
    entry: str, asset: str | None, above: tuple[str, ...] = ()
) -> Iterator[Scene]:
    """Yield the scenes behind one argument; *above* are the lists that name it."""
    if _URL.match(entry) and entry.lower().partition('?')[0].endswith('.json'):
        raise MetadataError(
            f'{entry} is not read from the net. Download the JSON file and pass its '
            'path; its assets may stay where they are.'
        )
    if is_address(entry):
        yield Scene(entry, scene_name(entry))
        return
    if not os.path.exists(entry):
        raise FileNotFoundError(f'There is nothing at {entry}. Check the path.')
    suffix = os.path.splitext(entry)[1].lower()
    if suffix in ('.json', '.geojson') and os.path.isfile(entry):
        from ._stac import stac_scenes

        yield from stac_scenes(entry, asset)
    elif suffix in _LISTS and os.path.isfile(entry):
        lists = (*above, os.path.realpath(entry))
        for path in _read_list(entry):
            there = os.path.exists(path)
            if there and os.path.realpath(path) in lists:
                raise MetadataError(
                    f'The list {entry} names {path}, which leads back to itself. '
                    'Remove that line.'
                )
            if there or is_address(path):
                yield from _expand(path, asset, lists)
            else:
                # one of many: it fails when it is opened, and the others do not
                yield Scene(path, scene_name(path))
    elif os.path.isdir(entry):
        yield from (Scene(path, scene_name(path)) for path in _walk(entry))
    else:
        yield Scene(entry, scene_name(entry))


def _read_list(file: str) -> Iterator[str]:
    """Yield the paths of a list; they are relative to its folder."""
    folder = os.path.dirname(file)
    try:
        lines = Path(file).read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise MetadataError(
            f'{file} is no list of paths: {error}. Save it as text in UTF-8, with one '
            'path in each line.'
        ) from error
    for line in lines:
        path = line.strip()
        if not path or path.startswith('#'):
            continue
        is_elsewhere = is_address(path) or os.path.isabs(path)
        yield path if is_elsewhere else os.path.join(folder, path)


def _walk(root: str) -> Iterator[str]:
    """Yield the scenes below a folder."""
    from ..io.store import is_store

    for folder, folders, files in os.walk(root):
        folders.sort()
        if is_store(folder):
            yield folder
            folders.clear()
            continue
        # what is hidden is not finished
        folders[:] = [name for name in folders if not name.startswith('.')]
        yield from (os.path.join(folder, name) for name in _scenes_of(sorted(files)))


def _scenes_of(names: Iterable[str]) -> list[str]:
    """Choose the scenes among the files of one folder."""
    files = [
        name
        for name in names
        if name.lower().endswith(_SUFFIXES)
        and not name.startswith('.')
        and not _BESIDES.search(name)
    ]
    # a product has more rasters than its spectral image
    images = [name for name in files if 'SPECTRAL_IMAGE' in name.upper()]
    return images or files


def scene_name(path: str) -> str:
    """Name a scene by its path.

    Args:
        path: File, folder or address.

    Returns:
        The last part without its suffix; that of a product without the words that all
        products have.
    """
    last = os.path.basename(path.partition('?')[0].rstrip('/\\'))
    stem, suffix = os.path.splitext(last)
    # product folders have dots in their names, too
    name = stem if suffix.lower() in (*_SUFFIXES, '.zarr', '.xml', '.bsq') else last
    short = re.sub(
        r'[-_](SPECTRAL_IMAGE(_COG)?|METADATA)$', '', name, flags=re.IGNORECASE
    )
    return short or name or 'scene'


def _distinct(scenes: Sequence[Scene]) -> list[Scene]:
    """Make names differ, by the folders that they lie in."""
    counts = Counter(scene.name for scene in scenes)
    named = []
    for scene in scenes:
        name = scene.name
        if counts[name] > 1:
            parent = os.path.basename(os.path.dirname(scene.path.rstrip('/')))
            name = f'{parent}_{name}' if parent else name
        named.append(replace(scene, name=name))
    again = Counter(scene.name for scene in named)
    twice = next((name for name, count in again.items() if count > 1), None)
    if twice is not None:
        same = [scene.path for scene in named if scene.name == twice]
        raise MetadataError(
            f'{" and ".join(same[:2])} would have outputs of the same name, {twice}. '
            'Convert or map them into different folders.'
        )
    return named
