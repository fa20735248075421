# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which bands the samples of EnMAP have."""

from abc import abstractmethod
from collections.abc import Sequence

from ..physics import BandSet, get_sensor
from .base import HSIGeoDataModule


class EnMAPBands(HSIGeoDataModule):
    """Base of data modules of EnMAP, whose *bands* may be chosen."""

    bands: list[str | int | float] | None

    @abstractmethod
    def _chosen_bands(self) -> BandSet:
        """Return the bands that *bands* chooses, as in the first scene."""

    def band_names(self) -> Sequence[str]:
        """Return the names of the bands of the samples."""
        return self._axis().names

    def band_wavelength(self) -> Sequence[float]:
        """Return the centres of the bands in micrometres."""
        centres: list[float] = self._axis().wavelength.tolist()
        return centres

    def _axis(self) -> BandSet:
        if self.bands is not None:
            return self._chosen_bands()
        return get_sensor('enmap').default_bandset.by_wavelength()
