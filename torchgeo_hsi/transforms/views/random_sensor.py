# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images as other sensors would have taken them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..._precision import full_precision
from ..._typing import Sample
from ...errors import EmptyDataError
from ...physics import BandSet, get_sensor, srf_matrix
from ._common import (
    IMAGES,
    Source,
    check_batch,
    check_probability,
    has_bands,
    map_bands,
)
from ._resampling import band_sets, covered

#: Pairs of a sensor and the bands of a batch whose maps are kept, the latest ones.
_KEPT = 64


class RandomSensor(nn.Module):
    """Resample a batch to the bands of another sensor, drawn at random.

    By the responses of the bands, see :func:`torchgeo_hsi.physics.srf_matrix`, to those
    of the usual bands of the sensor that lie where the images have bands. ``image``,
    ``target`` (if it has the same bands), ``wavelength``, ``fwhm``, ``mean`` and ``std``
    change together, for the whole batch, because images of a batch need the same number
    of bands. For networks that are told the wavelengths. Images are in physical units,
    see :class:`~torchgeo_hsi.transforms.PhysicalUnits`.

    The new standard deviation takes neighboring bands as fully correlated, which in
    spectra they nearly are. ``fwhm`` is that of the sensor, as in its products, also
    where the images have wider bands and nothing is sharpened.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.physics import get_sensor
        >>> bands = get_sensor('enmap').default_bandset
        >>> batch = {'image': torch.rand(2, len(bands), 4, 4),
        ...          'wavelength': torch.tensor(bands.wavelength),
        ...          'fwhm': torch.tensor(bands.fwhm)}
        >>> out = RandomSensor(['sentinel2'], p=1.0)(batch)
        >>> out['wavelength'].shape == out['image'].shape[:2]
        True
    """

    physical = True

    def __init__(
        self,
        sensors: Sequence[str] = ('prisma', 'desis', 'emit'),
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new RandomSensor instance.

        Args:
            sensors: Names of the sensors, see
                :func:`torchgeo_hsi.physics.list_sensors`.
            p: Probability with which a batch is resampled.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            EmptyDataError: If there is no sensor.
            UnknownNameError: If a sensor is not known.
            UnitError: If *p* is no probability.
        """
        super().__init__()
        if not sensors:
            raise EmptyDataError('Expected at least one sensor, got none.')
        self.sensors = tuple(sensors)
        self._targets = [get_sensor(name).default_bandset for name in sensors]
        self.p = check_probability(p)
        self.generator: Source = generator
        self._maps: dict[tuple[int, bytes], tuple[BandSet, Tensor]] = {}

    def forward(self, batch: Sample) -> Sample:
        """Resample a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` in physical units and
                ``wavelength`` of shape ``(B, C)`` or ``(C,)`` in micrometres; maybe with
                ``fwhm``, ``mean`` and ``std`` of the same shapes.

        Returns:
            A new batch, of other bands.

        Raises:
            MetadataError: If the batch has no wavelengths.
            BandMismatchError: If there is not one for each band.
            EmptyDataError: If the images see no band of the sensor.
        """
        image = check_batch(batch)
        sensor = int(torch.randint(len(self.sensors), (), generator=self.generator))
        if not bool(torch.rand((), generator=self.generator) < self.p):
            return dict(batch)
        sources, which = band_sets(batch, 'RandomSensor')
        target, maps = self._map(sensor, sources)
        maps = maps.to(image.device)
        matrix = maps[0] if len(maps) == 1 else maps[torch.tensor(which)]
        return _resample(batch, matrix) | _tell(batch, target)

    def _map(self, sensor: int, sources: list[BandSet]) -> tuple[BandSet, Tensor]:
        """Return the bands that all sources see, and the maps to them."""
        parts = [s.wavelength.tobytes() + _bytes(s.fwhm) for s in sources]
        key = sensor, b'|'.join(parts)
        if key not in self._maps:
            target = self._targets[sensor]
            for source in sources:
                target = covered(source, target)
            maps = torch.stack([srf_matrix(s, target) for s in sources]).float()
            while len(self._maps) >= _KEPT:
                del self._maps[next(iter(self._maps))]
            self._maps[key] = target, maps
        return self._maps[key]

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'sensors={list(self.sensors)}, p={self.p:g}'


def _bytes(width: np.ndarray | None) -> bytes:
    return b'' if width is None else width.tobytes()


def _resample(batch: Sample, matrix: Tensor) -> Sample:
    """Map images and their statistics."""
    bands = batch['image'].shape[1]
    result = dict(batch)
    for key in IMAGES:
        if has_bands(batch, key):
            result[key] = map_bands(batch[key], matrix)
    for key in ('mean', 'std'):
        value = batch.get(key)
        if value is not None and value.shape[-1] == bands:
            with full_precision(value.device):
                result[key] = (matrix.to(value) @ value[..., None]).squeeze(-1)
    return result


def _tell(batch: Sample, target: BandSet) -> Sample:
    """Return the centres and widths of the new bands, shape ``(B, M)``."""
    image = batch['image']
    assert target.fwhm is not None
    table = np.stack([target.wavelength, target.fwhm])
    numbers = torch.tensor(table, dtype=torch.float32).to(image.device)
    numbers = numbers[:, None].expand(-1, len(image), -1)
    found = {'wavelength': numbers[0], 'fwhm': numbers[1]}
    return {key: value for key, value in found.items() if key in batch}
