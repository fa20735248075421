# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Few examples, the same in every run, and no deadline on a machine that is busy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    'fixed',
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile('fixed')
