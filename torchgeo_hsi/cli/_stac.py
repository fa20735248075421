# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes of STAC catalogs, item collections and items that lie in local files.

STAC 1.0 and 1.1 (https://github.com/radiantearth/stac-spec): plain JSON, so no other
package is needed.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

from ..errors import CorruptFileError, MetadataError
from ..physics._text import read_text
from ._scenes import Scene, is_address

#: Media types and suffixes of files that may be cubes.
_TYPES = ('image/tiff', 'image/vnd.stac.geotiff', 'netcdf', 'hdf5', 'x-hdf')
_SUFFIXES = ('.tif', '.tiff', '.nc', '.nc4', '.h5', '.he5', '.hdf5', '.hdr', '.zarr')

#: Keys that catalogs of imaging spectrometers use for the image.
_KEYS = ('image', 'data', 'spectral_image', 'reflectance', 'cube', 'rfl')


def stac_scenes(file: str, asset: str | None) -> Iterator[Scene]:
    """Find the images behind a STAC file.

    Args:
        file: Item, item collection, catalog or collection.
        asset: Key of the asset that is the image; by default the one that says so by
            its role ``data`` or its key.

    Yields:
        The image of each item, named by its identifier. Where it has an address, so
        have the files that belong to it.

    Raises:
        MetadataError: If the file is no STAC, a link leads nowhere, or it is not clear
            which asset is the image.
    """
    for item, base in _items(file, frozenset()):
        name = str(item.get('id', 'item'))
        image = _image(item, name, asset, file)
        files = {
            key: _resolve(str(content['href']), base)
            for key, content in item['assets'].items()
            if key == image or not _is_picture(content)
        }
        beside = tuple(
            path for key, path in files.items() if key != image and is_address(path)
        )
        # an identifier may contain what a file name must not
        safe = ''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)
        yield Scene(files[image], safe, beside if is_address(files[image]) else ())


def _items(file: str, seen: frozenset[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the items behind a file, each with the file that they came from."""
    content = _read(file)
    kind = content.get('type')
    if kind == 'Feature' and 'assets' in content:
        yield content, file
    elif kind == 'FeatureCollection':
        for item in _list(content, 'features', file):
            if not isinstance(item, dict) or 'assets' not in item:
                raise MetadataError(
                    f'{file} holds features that are no STAC items: they have no '
                    'assets. Use an item collection.'
                )
            yield item, _self(item) or file
    elif kind in ('Catalog', 'Collection'):
        yield from _linked(file, content, seen | {os.path.realpath(file)})
    else:
        raise MetadataError(
            f'{file} is not STAC: expected the type Feature, FeatureCollection, Catalog '
            f'or Collection, got {kind!r}. Check the file.'
        )


def _linked(
    file: str, content: Mapping[str, Any], seen: frozenset[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Follow the links of a catalog to its children and items."""
    for link in _list(content, 'links', file):
        if not isinstance(link, dict) or link.get('rel') not in ('child', 'item'):
            continue
        href = link.get('href')
        if not isinstance(href, str) or not href:
            raise MetadataError(f'{file} has a link without an address. Correct it.')
        target = _resolve(href, file)
        if urlparse(target).scheme in ('http', 'https', 's3'):
            raise MetadataError(
                f'{file} links to {target}, which is not read from the net. Download '
                'the catalog, or search it and save the items as an item collection.'
            )
        if not os.path.exists(target):
            raise MetadataError(
                f'There is no file {target}, to which a STAC catalog links ({file}). '
                'Copy the whole catalog.'
            )
        # a catalog that links back to its parent would never end
        if os.path.realpath(target) not in seen:
            yield from _items(target, seen)


def _read(file: str) -> dict[str, Any]:
    try:
        text = read_text(file)
    except FileNotFoundError as error:
        raise MetadataError(
            f'There is no file {file}, to which a STAC catalog links. Copy the whole '
            'catalog.'
        ) from error
    except CorruptFileError as error:
        raise MetadataError(f'{file} is not JSON: {error}') from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetadataError(
            f'{file} is not JSON: {error}. Check the file, or copy it again.'
        ) from error
    if not isinstance(content, dict):
        raise MetadataError(f'{file} is not STAC: expected an object. Check the file.')
    return content


def _list(content: Mapping[str, Any], key: str, file: str) -> list[Any]:
    found = content.get(key) or []
    if not isinstance(found, list):
        raise MetadataError(f'Expected a list as {key!r} in {file}. Correct it.')
    return found


def _self(item: Mapping[str, Any]) -> str | None:
    """Return where an item itself says that it is from."""
    for link in item.get('links') or []:
        if isinstance(link, dict) and link.get('rel') == 'self':
            return str(link.get('href', '')) or None
    return None


def _resolve(href: str, base: str) -> str:
    """Make a reference absolute, or relative to the working directory."""
    parsed = urlparse(href)
    if parsed.scheme == 'file':
        return unquote(parsed.path)
    # a letter before the colon is a drive of Windows
    if len(parsed.scheme) > 1 or os.path.isabs(href) or href.startswith('/vsi'):
        return href
    start = urlparse(base)
    if start.scheme in ('http', 'https'):
        return urljoin(base, href)
    folder = unquote(start.path) if start.scheme == 'file' else base
    return os.path.normpath(os.path.join(os.path.dirname(folder), href))


def _image(item: Mapping[str, Any], name: str, asset: str | None, file: str) -> str:
    """Choose the asset of an item that is the image, by its key."""
    assets: dict[str, Any] = item['assets']
    if not isinstance(assets, dict) or not all(map(_is_asset, assets.values())):
        raise MetadataError(
            f'Item {name} of {file} has assets that are none: each needs an address '
            '(href). Correct it.'
        )
    if asset is not None:
        if asset not in assets:
            raise MetadataError(
                f'Item {name} of {file} has no asset {asset!r}. It has: '
                f'{", ".join(assets) or "none"}.'
            )
        return asset
    cubes = [key for key, content in assets.items() if _may_be_cube(content)]
    for candidates in (
        [key for key in cubes if 'data' in (assets[key].get('roles') or [])],
        [key for key in cubes if key.lower() in _KEYS],
        cubes,
    ):
        if len(candidates) == 1:
            return candidates[0]
    raise MetadataError(
        f'It is not clear which asset of item {name} of {file} is the image. Choose '
        f'with --asset: {", ".join(assets) or "none"}.'
    )


def _is_asset(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get('href'), str)


def _may_be_cube(asset: Mapping[str, Any]) -> bool:
    media = str(asset.get('type') or '').lower()
    path = urlparse(str(asset.get('href', ''))).path.lower()
    roles = set(asset.get('roles') or ())
    if _is_picture(asset) or 'metadata' in roles:
        return False
    return any(kind in media for kind in _TYPES) or path.endswith(_SUFFIXES)


def _is_picture(asset: Mapping[str, Any]) -> bool:
    """Whether an asset is there to be looked at only."""
    return bool(set(asset.get('roles') or ()) & {'thumbnail', 'overview', 'visual'})
