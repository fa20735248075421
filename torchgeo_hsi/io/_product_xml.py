# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Products that are a folder of rasters with a metadata file beside them."""

import os
import re
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException

from .._typing import FloatArray
from ..errors import CorruptFileError, EmptyDataError, MetadataError
from ._files import check_file, shorten, siblings

#: What is raised over a file that is no XML, or not safe: unknown encodings included.
_BROKEN = (ParseError, DefusedXmlException, ValueError, LookupError)


def find_image(
    path: str, pattern: re.Pattern[str], name: str
) -> tuple[str, dict[str, str]]:
    """Find the spectral image of a product.

    Args:
        path: Product folder, metadata file or spectral image.
        pattern: Names of spectral images, with the group ``stem``.
        name: How the spectral image is called, for messages.

    Returns:
        The image, and all files beside it as of :func:`siblings`.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If there is no spectral image.
        MetadataError: If a folder holds several scenes.
    """
    is_folder = os.path.isdir(path)
    if not is_folder:
        check_file(path)
    files = siblings(path)
    images = [file for key, file in files.items() if pattern.match(key)]
    own = os.path.basename(path).lower()
    if not is_folder and own.endswith('.xml'):
        stem = own.removesuffix('metadata.xml').rstrip('-')
        images = [image for image in images if stem_of(image, pattern) == stem]
    elif not is_folder:
        images = [path] if pattern.match(own) else []
    if not images:
        raise EmptyDataError(
            f'There is no {name} in {path} or beside it. Unpack the whole product into '
            'one folder.'
        )
    if len({stem_of(image, pattern) for image in images}) > 1:
        raise MetadataError(
            f'{path} holds {len(images)} scenes. Name one of them: '
            + ', '.join(os.path.basename(image) for image in images)
        )
    return images[0], files


def stem_of(image: str, pattern: re.Pattern[str]) -> str:
    """Return what the names of all files of a scene start with.

    Args:
        image: The spectral image.
        pattern: Names of spectral images, with the group ``stem``.

    Returns:
        The beginning in lower case, maybe empty.
    """
    match = pattern.match(os.path.basename(image).lower())
    return match['stem'] if match else ''


def root_tag(path: str) -> str | None:
    """Return the tag of the root.

    Args:
        path: Any file.

    Returns:
        The tag; None if the file is no XML.
    """
    try:
        for _, element in defusedxml.ElementTree.iterparse(path, events=('start',)):
            return str(element.tag)
    except (OSError, *_BROKEN):
        # whoever reads the file says what is wrong with it
        return None
    return None


def read_root(path: str, tag: str, what: str) -> Element:
    """Read a metadata file.

    Args:
        path: The file.
        tag: Tag that its root has to have.
        what: Name of the mission, for messages.

    Returns:
        The root.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is truncated, damaged or declares XML entities.
        MetadataError: If the root is another one.
    """
    check_file(path)
    try:
        # the parser refuses entities, so a file cannot blow up or reach out
        root = defusedxml.ElementTree.parse(path).getroot()
    except _BROKEN as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or unsafe XML ({shorten(str(error), 200)}). '
            'Download or copy it again.'
        ) from error
    if root is None or root.tag != tag:
        raise MetadataError(
            f'Expected {what} metadata (<{tag}>) in {path}. Check that it is the '
            'metadata file of the product, or download it again.'
        )
    return root


def refuse_level(level: str | None, path: str) -> None:
    """Refuse products that are no surface reflectance.

    Args:
        level: Level of the product.
        path: The metadata file, for messages.

    Raises:
        MetadataError: If it is another one than L2A.
    """
    if level != 'L2A':
        raise MetadataError(
            f'Expected an L2A product (surface reflectance), got '
            f'{shorten(str(level))} in {path}. Order the L2A product of the scene.'
        )


def missing_text(where: str, path: str) -> MetadataError:
    """Return the error for what a metadata file lacks.

    Args:
        where: What it lacks.
        path: The file.
    """
    return MetadataError(f'There is no {where} in {path}. Download it again.')


def column(bands: list[Element], tag: str, path: str) -> FloatArray:
    """Read a number of each band.

    Args:
        bands: Their descriptions.
        tag: Which number.
        path: The file, for messages.

    Returns:
        The numbers.

    Raises:
        MetadataError: If a band has none.
    """
    words = [(band.findtext(tag) or '').strip() for band in bands]
    if not all(words):
        raise missing_text(f'{tag} of every band', path)
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise MetadataError(
            f'Expected a number as {tag} of every band in {path}: '
            f'{shorten(str(error), 200)}. Download it again.'
        ) from error


def real(text: str | None) -> float | None:
    """Read a number that may be missing.

    Args:
        text: What the file says.

    Returns:
        The number; None if there is none.
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
