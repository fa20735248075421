# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A field spectrometer with eleven bands."""

import numpy as np

from torchgeo_hsi.physics import BandSet, Sensor


def library_sensor() -> Sensor:
    """Return the sensor: 0.45 to 0.95 µm in steps of 0.05 µm, 0.01 µm wide."""
    bands = BandSet(np.linspace(0.45, 0.95, 11), np.full(11, 0.01))
    return Sensor(
        name='library',
        title='Field spectrometer of the example',
        bands=bands,
        default_bands=bands.names,
        rgb=(0.65, 0.55, 0.45),
        false_color=(0.85, 0.65, 0.55),
        source='made up for the example',
    )
