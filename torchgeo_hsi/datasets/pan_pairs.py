# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of a cube and a panchromatic image from files of any kind."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from matplotlib.figure import Figure
from rasterio.crs import CRS
from rasterio.windows import Window
from torchgeo.datasets import NonGeoDataset

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, MetadataError
from ..io import CubeInfo
from ..physics import BandSet
from ..transforms.pansharpening import FullResolution, ReducedResolution
from ..transforms.pansharpening._pairs import cut_pair
from ._pair_figure import plot_pair
from ._pan_source import FileSource, as_pair, window_starts
from .hsi_cube import HSICube

#: Rows and columns of the kernels.
_SIZE = 41


class PanPairs(NonGeoDataset):
    """Pairs of a cube and a panchromatic image from files of any kind.

    Cubes are whatever :func:`~torchgeo_hsi.io.open_cube` opens, or a dataset of cubes.
    The panchromatic image is

    * a raster on a finer grid: the image of an airplane, a band of Sentinel-2; it has to
      divide the pixels of the cube into a whole number and share their edges, and may
      cover more or less than the cube. Nothing is resampled here,
    * that of the product itself (``pans='own'``, PRISMA), or
    * simulated from the bands of the cube (``pans=None``), which need wavelengths.

    At reduced resolution, pairs have a truth: see
    :class:`~torchgeo_hsi.transforms.ReducedResolution`. A simulated
    panchromatic image exists only there. Windows are read when they are asked for, with
    a margin for the kernels, so they are the same as cut out of the whole reduced scene.

    Sample:

    * ``image``: cube, float32 of shape ``(C, h, w)``
    * ``pan``: panchromatic image, float32 of shape ``(1, H, W)``, *ratio* times as many
      rows and columns
    * ``target``: the cube before it was reduced, float32 of shape ``(C, H, W)``; only at
      reduced resolution
    * ``valid``: where the cube has data, bool of shape ``(h, w)``
    * ``pan_valid``: where the panchromatic image and the target have data, bool of shape
      ``(H, W)``
    * ``wavelength``, ``fwhm``: micrometres, shape ``(C,)``, where known
    * ``bounds``, ``transform``: of ``image``, where all cubes have a georeference; the
      result has *ratio* times as many pixels on the same extent

    Values are those of the files: reflectance x 10 000 where they declare a scale. Cube
    and panchromatic image may have different units.

    Example:
        .. code-block:: python

            pairs = PanPairs('enmap.tif', pans=None, ratio=3, patch_size=48)
            prisma = PanPairs('PRS_L2D_STD_x.he5', pans='own', resolution='full')
            flight = PanPairs('flight.hdr', pans='pan.tif', wavelength_unit='nm')
    """

    def __init__(
        self,
        cubes: PathLike | Iterable[PathLike] | NonGeoDataset = 'data',
        pans: PathLike | Iterable[PathLike] | None = None,
        resolution: Literal['reduced', 'full'] = 'reduced',
        ratio: int | None = None,
        gain: float = 0.3,
        pan_gain: float = 0.2,
        pan_range: str | tuple[float, float] = (0.4, 0.7),
        patch_size: int | tuple[int, int] | None = None,
        stride: int | tuple[int, int] | None = None,
        pan_band: int | None = None,
        pan_options: dict[str, Any] | None = None,
        cache: bool = True,
        transforms: Callable[[Sample], Sample] | None = None,
        **options: Any,
    ) -> None:
        """Initialize a new PanPairs instance.

        Args:
            cubes: Files, a folder whose files are all taken, or a dataset whose samples
                have an ``image``, and maybe ``wavelength`` or ``pan``.
            pans: Panchromatic files, one for each cube in the same order, or a folder
                of them; ``'own'`` for those of PRISMA products; or None to simulate
                them.
            resolution: ``'reduced'`` with a truth, or ``'full'`` without one.
            ratio: Ratio of pixel sizes; from the files by default. A simulated
                panchromatic image needs one.
            gain: Gain of the cube's sensor at its Nyquist frequency.
            pan_gain: The same of the panchromatic sensor.
            pan_range: First and last wavelength in micrometres of a simulated
                panchromatic band, or its name.
            patch_size: Rows and columns of a sample, in pixels of the cube as it is
                stored; whole cubes by default. At reduced resolution, multiples of the
                ratio.
            stride: Rows and columns from one sample to the next; *patch_size* by
                default. The last sample of a row or column ends with the cube.
            pan_band: Band of panchromatic files that have several, from 0.
            pan_options: Options of :func:`~torchgeo_hsi.io.open_cube` for panchromatic
                files, such as ``key``.
            cache: Whether to keep files open between samples.
            transforms: Function that takes a sample and returns a changed one.
            **options: How to read cubes: ``bands``, ``key``, ``layout``,
                ``wavelength``, ``wavelength_unit``, ``fwhm``, ``nodata`` and ``scale``,
                as of :class:`HSICube`.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no files.
            MetadataError: If the ratio, a panchromatic image or wavelengths are needed
                and missing, or coordinate systems differ.
            BandMismatchError: If grids do not fit, or a cube is smaller than a patch.
            EmptyDataError: If a pair has no pixel in common.
            ValueError: If a size is no multiple of the ratio.
        """
        self.resolution = _check_resolution(resolution, pans, cubes)
        self.transforms = transforms
        self._dataset: NonGeoDataset | None = None
        self._source: FileSource | None = None
        self.ratio = ratio
        self._windows: list[tuple[int, Window]] = []
        if isinstance(cubes, NonGeoDataset):
            _check_dataset(pans, patch_size, stride, options)
            self._dataset = cubes
        else:
            files = HSICube(cubes, cache=cache, **options)
            self._source = FileSource(
                files, pans, ratio, pan_band, pan_options or {}, cache
            )
            self.ratio = self._source.ratio or ratio
            self._check_simulation(pans)
            self._windows = self._cover(patch_size, stride)
        self._reduce = ReducedResolution(self.ratio, gain, pan_gain, pan_range, _SIZE)
        self._whole = FullResolution(self.ratio)

    def _check_simulation(self, pans: object) -> None:
        """Check that a panchromatic image can be simulated, if there is none."""
        assert self._source is not None
        if pans is not None:
            return
        if self.ratio is None:
            raise MetadataError(
                'A simulated panchromatic image does not tell a ratio. Pass ratio=, '
                'or name panchromatic images in pans=.'
            )
        if self._source.cubes.bandset is None:
            raise MetadataError(
                f'{self.files[0]} carries no wavelengths, from which a panchromatic '
                'image is simulated. Pass wavelength= and wavelength_unit=, or name '
                'panchromatic images in pans=.'
            )

    def _cover(
        self,
        patch_size: int | tuple[int, int] | None,
        stride: int | tuple[int, int] | None,
    ) -> list[tuple[int, Window]]:
        """List windows that cover all cubes."""
        assert self._source is not None
        assert self.ratio is not None
        step = self.ratio if self.resolution == 'reduced' else 1
        sizes = None if patch_size is None else as_pair(patch_size, 'patch_size')
        strides = sizes if stride is None else as_pair(stride, 'stride')
        if any(length % step for length in (*(sizes or ()), *(strides or ()))):
            raise ValueError(
                f'Expected patch_size and stride as multiples of the ratio, {step}, at '
                f'reduced resolution, got {patch_size} and {stride}.'
            )
        windows = []
        for number, shape in enumerate(self._source.cubes.shapes):
            # what makes no whole coarse pixel is left out
            height, width = (length // step * step for length in shape)
            rows, columns = sizes or (height, width)
            if height < rows or width < columns or min(height, width) < step:
                raise BandMismatchError(
                    f'Expected at least {rows or step} x {columns or step} pixels in '
                    f'{self.files[number]}, got {shape[0]} x {shape[1]}. Lower '
                    'patch_size or ratio.'
                )
            down, right = strides or (rows, columns)
            windows += [
                (number, Window(column, row, columns, rows))
                for row in window_starts(height, rows, down)
                for column in window_starts(width, columns, right)
            ]
        return windows

    @property
    def files(self) -> list[str]:
        """The files of the cubes, in order; none of a dataset."""
        return [] if self._source is None else self._source.cubes.files

    @property
    def pan_files(self) -> list[str]:
        """The panchromatic files, in order; none if they are simulated."""
        return [] if self._source is None else self._source.paths

    @property
    def infos(self) -> list[CubeInfo]:
        """What is known of the cubes, in order; none of a dataset."""
        return [] if self._source is None else self._source.infos()

    @property
    def bandset(self) -> BandSet | None:
        """Bands of the first cube; None where it has no wavelengths."""
        if self._source is None:
            return getattr(self._dataset, 'bandset', None)
        return self._source.cubes.bandset

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system of the first cube, or None."""
        if self._source is None:
            return getattr(self._dataset, 'crs', None)
        return self._source.cubes.crs

    def __len__(self) -> int:
        """Return the number of pairs."""
        if self._dataset is not None:
            return len(self._dataset)
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        """Return a pair.

        Args:
            index: Its number.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If there is no such pair.
            CorruptFileError: If a file is damaged.
        """
        if self._dataset is not None:
            sample = self._of_dataset(self._dataset[index])
        else:
            sample = self.read_window(*self._windows[index])
        return sample if self.transforms is None else self.transforms(sample)

    def window(self, index: int) -> tuple[int, Window]:
        """Tell what a pair is cut out of.

        Args:
            index: Number of the pair.

        Returns:
            Number of the file, and rows and columns of the cube as it is stored.
        """
        return self._windows[index]

    def read_window(self, number: int, window: Window) -> Sample:
        """Read any window of a cube, without transforms.

        Args:
            number: Number of the file.
            window: Rows and columns of the cube as it is stored, inside of it; at
                reduced resolution, multiples of the ratio.

        Returns:
            The sample, see the class.

        Raises:
            MetadataError: If cubes are those of a dataset.
            CorruptFileError: If a file is damaged.
        """
        if self._source is None or self.ratio is None:
            raise MetadataError(
                'Cubes of a dataset are not in files. Index the pairs instead.'
            )
        if self.resolution == 'full':
            full: Sample = self._whole(self._source.read(number, window))
            return full
        ratio = self.ratio
        height, width = (
            length // ratio * ratio for length in self._source.cubes.shapes[number]
        )
        # kernels reach over the edge of the window, but not over that of the cube
        margin = -(-(_SIZE // 2) // ratio) * ratio
        top, left = (
            max(0, first - margin) for first in (window.row_off, window.col_off)
        )
        bottom = min(height, window.row_off + window.height + margin)
        right = min(width, window.col_off + window.width + margin)
        outer = Window(left, top, right - left, bottom - top)
        pair = self._reduce(self._source.read(number, outer))
        inset = (window.row_off - top) // ratio, (window.col_off - left) // ratio
        size = window.height // ratio, window.width // ratio
        return cut_pair(pair, ratio, *inset, size)

    def _of_dataset(self, sample: Sample) -> Sample:
        """Make a pair of a sample of a dataset."""
        transform = self._reduce if self.resolution == 'reduced' else self._whole
        pair: Sample = transform(sample)
        return pair

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a pair: true color of the cube, panchromatic image and target.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no known wavelength is visible.
        """
        return plot_pair(sample, show_titles=show_titles, suptitle=suptitle)


def _check_resolution(
    resolution: Literal['reduced', 'full'], pans: object, cubes: object
) -> Literal['reduced', 'full']:
    if resolution not in ('reduced', 'full'):
        raise MetadataError(
            f'Expected resolution as one of reduced, full, got {resolution!r}.'
        )
    if resolution == 'full' and pans is None and not isinstance(cubes, NonGeoDataset):
        raise MetadataError(
            'A panchromatic image cannot be simulated at a finer resolution than that '
            "of its cube. Use resolution='reduced', or name panchromatic images in "
            'pans=.'
        )
    return resolution


def _check_dataset(
    pans: object, patch_size: object, stride: object, options: dict[str, Any]
) -> None:
    """Refuse arguments that are for files."""
    given = {'pans': pans, 'patch_size': patch_size, 'stride': stride, **options}
    needless = [name for name, value in given.items() if value is not None]
    if needless:
        raise MetadataError(
            f'{", ".join(needless)} is for cubes in files, which a dataset reads '
            'itself. Leave it out.'
        )
