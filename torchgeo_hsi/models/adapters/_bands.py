# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How networks that know wavelengths are told the bands of an image."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...errors import BandMismatchError, HSIWarning, UnitError
from ...physics import get_sensor, list_sensors
from ...physics.units import MAX_FWHM, MICROMETRE_RANGE

#: Integers in a micrometre. Casting a network to half precision leaves integers alone.
_TICKS = 1e9

#: Least FWHM in micrometres; 0 stands for an unknown one in some files.
_LEAST_FWHM = 1e-5

#: A table of a sensor in another order than that of its products.
_OTHER_ORDERS = frozenset({'enmap_detector'})


class Bands(NamedTuple):
    """Bands of images.

    Args:
        wavelength: Centres in micrometres, shape ``(C,)``, or ``(B, C)`` where images
            differ.
        fwhm: Full widths at half maximum in micrometres, same shape, if known.
    """

    wavelength: Tensor
    fwhm: Tensor | None = None


def _check_values(values: Tensor, name: str, low: float, high: float) -> None:
    """Refuse values that cannot be micrometres."""
    least, most = float(values.min()), float(values.max())
    # NaN fails every comparison
    if not (low <= least and most <= high):
        raise UnitError(
            f'Expected {name} in micrometres ({low:g} to {high:g}), got {least:g} to '
            f'{most:g}. Divide nanometres by 1000, or use '
            'torchgeo_hsi.physics.to_micrometres(values, unit).'
        )


def _as_rows(values: Any, name: str) -> Tensor:
    """Make a tensor of shape ``(C,)`` or ``(B, C)``; one row where all are the same."""
    # arrays of band sets are read-only, which tensors that share memory must not be
    if not isinstance(values, Tensor):
        # also where networks are built without memory (torch.device('meta'))
        values = torch.tensor(np.asarray(values), device='cpu')
    tensor: Tensor = values.detach()
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    if tensor.ndim not in (1, 2) or not tensor.numel():
        raise BandMismatchError(
            f'Expected {name} of shape (C,) or (B, C), one for each band, got '
            f'{tuple(tensor.shape)}.'
        )
    if tensor.ndim == 2 and bool((tensor == tensor[:1]).all()):
        return tensor[0]
    return tensor


def read_bands(wavelength: Any, fwhm: Any = None) -> Bands:
    """Check the bands of images.

    Args:
        wavelength: Centres in micrometres, shape ``(C,)`` or ``(B, C)``.
        fwhm: Full widths at half maximum in micrometres, if known.

    Returns:
        The bands, of shape ``(C,)`` where all images have the same.

    Raises:
        BandMismatchError: If the shapes are no bands, or differ.
        UnitError: If the values are no micrometres.
    """
    if getattr(wavelength, 'dtype', None) is torch.bfloat16:
        warnings.warn(
            'Wavelengths in bfloat16 are off by up to 8 nm: precision="bf16-true" rounds '
            'the numbers of batches, too. Use "bf16-mixed".',
            HSIWarning,
            stacklevel=3,
        )
    centres = _as_rows(wavelength, 'wavelengths')
    _check_values(centres, 'wavelengths', *MICROMETRE_RANGE)
    if fwhm is None:
        return Bands(centres)
    widths = _as_rows(fwhm, 'FWHMs')
    if widths.shape[-1] != centres.shape[-1]:
        raise BandMismatchError(
            f'Expected {centres.shape[-1]} FWHMs, one for each wavelength, got '
            f'{widths.shape[-1]}.'
        )
    _check_values(widths, 'FWHMs', _LEAST_FWHM, MAX_FWHM)
    if centres.ndim + widths.ndim == 3:
        rows = max(centres.shape[:-1] + widths.shape[:-1])
        centres, widths = (t.expand(rows, -1) for t in (centres, widths))
    if centres.shape != widths.shape:
        raise BandMismatchError(
            f'Expected wavelengths and FWHMs of the same images, got {len(centres)} '
            f'and {len(widths)} rows.'
        )
    widths = widths.to(centres)
    if bool((widths >= centres).any()):
        # narrow bands in nanometres pass the absolute limit
        _check_values(widths, 'FWHMs', _LEAST_FWHM, float(centres.min()))
    return Bands(centres, widths)


def default_bands(in_chans: int) -> Bands | None:
    """Guess the bands of images from their number.

    Args:
        in_chans: Number of bands.

    Returns:
        The bands that are usually worked with of the one known sensor that has just so
        many, EnMAP's for 202; None if there is none, or another one could be meant.
    """
    enmap = get_sensor('enmap').default_bandset
    found = [enmap]
    if in_chans != len(enmap):
        names = [name for name in list_sensors() if name not in _OTHER_ORDERS]
        sensors = [get_sensor(name) for name in names]
        # all 224 bands of EnMAP are as many as those of AVIRIS
        sets = {s.name: (s.default_bandset, s.bands) for s in sensors}
        fitting = [n for n, pair in sets.items() if in_chans in map(len, pair)]
        found = [sets[name][0] for name in fitting]
    if len(found) != 1 or len(found[0]) != in_chans:
        return None
    return read_bands(found[0].wavelength, found[0].fwhm)


def _ticks(values: Tensor | None) -> Tensor | None:
    return None if values is None else (values.double() * _TICKS).round().long()


class BandConditioned(nn.Module):
    """Base of networks, and parts of them, that know the bands of the image.

    They take the bands that :func:`use_bands` gives, else those that they were built
    with.
    """

    #: What :func:`use_bands` gives; a plain attribute, so that no state dict has it.
    given_bands: Bands | None = None

    default_wavelength: Tensor | None
    default_fwhm: Tensor | None

    def set_default_bands(
        self,
        in_chans: int | None = None,
        wavelength: ArrayLike | None = None,
        fwhm: ArrayLike | None = None,
    ) -> None:
        """Set the bands of images that come without any.

        Args:
            in_chans: Number of bands; without *wavelength*, those of the only sensor
                that has so many are taken, if there is one.
            wavelength: Centres in micrometres, shape ``(C,)``.
            fwhm: Full widths at half maximum in micrometres, shape ``(C,)``.

        Raises:
            BandMismatchError: If the numbers differ, or FWHMs come alone.
            UnitError: If the values are no micrometres.
        """
        bands: Bands | None = None
        if wavelength is not None:
            widths = None if fwhm is None else np.asarray(fwhm)
            bands = read_bands(np.asarray(wavelength), widths)
            if bands.wavelength.ndim != 1 or in_chans not in (
                None,
                len(bands.wavelength),
            ):
                raise BandMismatchError(
                    f'Expected {in_chans or "any number of"} wavelengths of shape (C,), '
                    f'got {tuple(bands.wavelength.shape)}.'
                )
        elif fwhm is not None:
            raise BandMismatchError('Expected wavelengths with the FWHMs, got none.')
        elif in_chans is not None:
            bands = default_bands(in_chans)
        # not saved: weights fit any number of bands
        centres, widths_ = (None, None) if bands is None else bands
        self.register_buffer('default_wavelength', _ticks(centres), persistent=False)
        self.register_buffer('default_fwhm', _ticks(widths_), persistent=False)

    def bands_of(
        self, x: Tensor, wavelength: Any = None, fwhm: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        """Find the bands of images.

        Args:
            x: Images of shape ``(B, C, H, W)``.
            wavelength: Centres in micrometres, shape ``(C,)`` or ``(B, C)``; by default
                what :func:`use_bands` gives, else the default bands.
            fwhm: Full widths at half maximum in micrometres, same shape.

        Returns:
            Centres and widths in micrometres, float32 (float64 for such images), of
            shape ``(C,)``, or ``(B, C)`` where images differ; widths None if not known.

        Raises:
            BandMismatchError: If there are no bands, or another number of them.
            UnitError: If the values are no micrometres.
        """
        if x.ndim != 4:
            raise BandMismatchError(
                'Expected images of shape (batch, bands, height, width), got '
                f'{tuple(x.shape)}.'
            )
        bands = self._choose(x, wavelength, fwhm)
        shape = tuple(bands.wavelength.shape)
        if shape not in ((x.shape[1],), tuple(x.shape[:2])):
            raise BandMismatchError(
                f'Expected one wavelength for each of the {x.shape[1]} bands, shape '
                f'({x.shape[1]},) or {tuple(x.shape[:2])}, got {shape}. A transform '
                'that changes the bands has to change "wavelength" with them.'
            )
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        centres, widths = (
            None if values is None else values.to(device=x.device, dtype=dtype)
            for values in bands
        )
        assert centres is not None
        return centres, widths

    def _choose(self, x: Tensor, wavelength: Any, fwhm: Any) -> Bands:
        """Take the bands that were passed, those that were given, or the default."""
        if wavelength is not None:
            if torch.compiler.is_compiling():
                return Bands(wavelength, fwhm)
            return read_bands(wavelength, fwhm)
        if self.given_bands is not None:
            return self.given_bands
        if self.default_wavelength is None:
            raise BandMismatchError(
                f'{type(self).__name__} has to know the wavelengths of these '
                f'{x.shape[1]} bands: build the network with wavelength= and fwhm= in '
                'micrometres (model_kwargs or backbone_kwargs of a task), or run it '
                'inside of torchgeo_hsi.models.use_bands(network, batch) with batches '
                'that have "wavelength".'
            )
        count = len(self.default_wavelength)
        if count != x.shape[1]:
            raise BandMismatchError(
                f'This network was built for {count} bands, got {x.shape[1]} without '
                'wavelengths. Run it inside of torchgeo_hsi.models.use_bands(network, '
                'batch), or build it with wavelength= and fwhm= of these bands.'
            )
        # float64 holds the integers exactly
        widths = self.default_fwhm
        return Bands(
            self.default_wavelength.double() / _TICKS,
            None if widths is None else widths.double() / _TICKS,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of copies and pickles what holds for one batch only."""
        return {k: v for k, v in self.__dict__.items() if k != 'given_bands'}


def _parts(module: nn.Module | Callable[..., Any]) -> Sequence[BandConditioned]:
    """Find the parts that want to know the bands."""
    owner = getattr(module, '__self__', module)
    if not isinstance(owner, nn.Module):
        raise TypeError(
            'Expected a network (torch.nn.Module) or one of its methods, got '
            f'{type(module).__name__}.'
        )
    return [part for part in owner.modules() if isinstance(part, BandConditioned)]


@contextmanager
def use_bands(
    module: nn.Module | Callable[..., Any], sample: Mapping[str, Any]
) -> Iterator[None]:
    """Tell a network the bands of the images that it gets inside of this context.

    All parts that know wavelengths (:class:`WavelengthAdapter`, :class:`SeriesAdapter`,
    the foundation models) use ``sample['wavelength']`` and ``sample['fwhm']`` in place
    of their default. What is wrapped (DDP, ``torch.compile``, feature extractors) is
    found, too. Contexts may be nested. Nothing happens without such parts, or without
    ``wavelength``. What a network computes again in a backward pass behind the context
    does not know them.

    Args:
        module: The network, or one of its methods.
        sample: A sample or batch, with ``wavelength`` and maybe ``fwhm`` of shape
            ``(C,)`` or ``(B, C)`` in micrometres.

    Yields:
        Nothing.

    Raises:
        BandMismatchError: If there are FWHMs for another number of bands.
        TypeError: If *module* is no network.
        UnitError: If the values are no micrometres.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.models import WavelengthAdapter
        >>> adapter = WavelengthAdapter()
        >>> batch = {'image': torch.rand(1, 4, 8, 8),
        ...     'wavelength': torch.tensor([0.49, 0.56, 0.665, 0.842])}
        >>> with use_bands(adapter, batch):
        ...     adapter(batch['image']).shape
        torch.Size([1, 128, 8, 8])
    """
    parts = _parts(module)
    wavelength = sample.get('wavelength')
    if not parts or wavelength is None:
        yield
        return
    bands = read_bands(wavelength, sample.get('fwhm'))
    before = [part.given_bands for part in parts]
    for part in parts:
        part.given_bands = bands
    try:
        yield
    finally:
        for part, given in zip(parts, before, strict=True):
            part.given_bands = given
