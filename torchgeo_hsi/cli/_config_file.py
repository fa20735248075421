# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Configurations in YAML."""

from typing import Any

from .._typing import PathLike
from ..errors import CorruptFileError, MetadataError

#: Letters of a message of the parser, which may quote the file.
_LONGEST = 500


def read_yaml(path: PathLike) -> Any:
    """Read a configuration; nothing in it is run.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        FileNotFoundError: If there is no such file.
        MetadataError: If it is no text, or no YAML.
    """
    # not at the top: a verb's help needs neither
    import yaml

    from ..physics._text import read_text

    try:
        return yaml.safe_load(read_text(path))
    # dates that do not exist, and lists in lists without an end
    except (CorruptFileError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise MetadataError(
            f'{path} is not YAML, or not valid YAML: {str(error)[:_LONGEST]}. Correct it, or '
            'copy it again.'
        ) from error
