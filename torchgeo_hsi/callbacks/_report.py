# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How callbacks tell the user what they wrote, and where."""

import logging

#: Everything that callbacks report goes through this logger.
logger = logging.getLogger('torchgeo_hsi.callbacks')


def report(message: str, *args: object) -> None:
    """Log a line that the user should see, e.g. the path of a map.

    The stock ``torchgeo`` command sets up no logging, and a run that says nothing
    looks like a run that wrote nothing. So, as Lightning does for its own lines, a
    handler is added where neither the program nor a caller has one.

    Args:
        message: Format of the line, as in :meth:`logging.Logger.info`.
        *args: What the format refers to.
    """
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
    if logger.getEffectiveLevel() > logging.INFO and logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    logger.info(message, *args)
