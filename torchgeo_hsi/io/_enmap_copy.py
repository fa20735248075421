# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products with another image: all else stays as it was delivered."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import OutputError
from ._enmap_xml import EnMAPProduct
from ._files import siblings
from ._writer import AtomicWriter, is_taken, move_folder, open_scratch
from .cog import CubeWriter


class EnMAPProductCopy(AtomicWriter):
    """Write an EnMAP product again, with another spectral image of the same layout.

    The metadata file, the quality layers, the quicklooks and whatever else belongs to
    the scene are copied. The image is written window by window, as a COG of the same
    file name. The folder appears when it is complete, not before.

    Args:
        path: Folder of the new product; must not exist, or be empty.
        product: The old product.
        shape: Bands, rows and columns of the image.
        dtype: Data type of the image.
        document: What was done to the image; written as ``*-RESTORATION.JSON``.
        overwrite: Whether an existing folder may be replaced.
        **options: More arguments of :class:`CubeWriter`.

    Raises:
        OutputError: If the folder exists and is not empty, lies in the old product, or
            cannot be created.
    """

    def __init__(
        self,
        path: PathLike,
        product: EnMAPProduct,
        shape: tuple[int, int, int],
        dtype: str,
        *,
        document: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> None:
        """Initialize a new EnMAPProductCopy instance; see the class."""
        self.path = Path(path)
        self.product = product
        self.overwrite = overwrite
        self._document = document
        source = Path(product.image).resolve().parent
        if self.path.resolve() == source or self.path.resolve() in source.parents:
            raise OutputError(
                f'{self.path} holds the scene itself. Name another folder.'
            )
        if not overwrite and is_taken(self.path):
            raise OutputError(
                f'{self.path} exists already and is not empty. Choose another folder, '
                'or pass overwrite=True.'
            )
        self._scratch = open_scratch(self.path)
        with self._guard():
            self._work.mkdir()
            self._image = CubeWriter(
                self._work / os.path.basename(product.image), shape, dtype, **options
            )

    @property
    def _work(self) -> Path:
        assert self._scratch is not None
        return self._scratch.path / 'product'

    def write(
        self, window: Window, array: NDArray[Any], mask: BoolArray | None = None
    ) -> None:
        """Write one window of the image.

        Args:
            window: Rows and columns to write.
            array: Values of shape ``(C, h, w)`` in the data type of the image.
            mask: True where there are data, see :meth:`CubeWriter.write`.

        Raises:
            OutputError: If the array does not fit, or the disk is full.
        """
        with self._guard():
            self._image.write(window, array, mask)

    def close(self) -> None:
        """Complete the image, copy the other files, and move the folder to its place.

        Raises:
            OutputError: If anything could not be written. Nothing half-written is left
                behind then.
        """
        if self._scratch is None:
            return
        with self._guard():
            self._image.close()
            image = os.path.basename(self.product.image)
            stem = image[: image.upper().index('SPECTRAL_IMAGE')]
            for name, file in siblings(self.product.image).items():
                own = name.startswith(image.lower())
                if name.startswith(stem.lower()) and not own and os.path.isfile(file):
                    shutil.copy2(file, self._work / os.path.basename(file))
            if self._document is not None:
                text = json.dumps(self._document, indent=2)
                document = self._work / f'{stem}RESTORATION.JSON'
                document.write_text(text + '\n', encoding='utf-8')
            move_folder(self._work, self.path, self._scratch.path, self.overwrite)
        self._release()

    def _close_rasters(self) -> None:
        if hasattr(self, '_image'):
            self._image.abort()
