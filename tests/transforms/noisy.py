# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of noise share."""

import torch

from torchgeo_hsi.transforms import (
    BandGaussianNoise,
    CorrelatedNoise,
    DeadlineNoise,
    GaussianNoise,
    ImpulseNoise,
    MixtureNoise,
    NoiseChoice,
    NoiseSequence,
    PoissonNoise,
    PushbroomStriping,
    SensorNoise,
    StripeNoise,
)

Sample = dict[str, torch.Tensor]


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def sample(*batch: int, bands: int = 12) -> Sample:
    image = torch.rand(*batch, bands, 24, 30, generator=seed())
    valid = torch.ones(*batch, 24, 30, dtype=torch.bool)
    valid[..., :5, :] = False
    return {'image': image, 'valid': valid}


#: Each transform, made with some options, in units of a peak.
TRANSFORMS = {
    'gaussian': lambda **o: GaussianNoise(30.0, **o),
    'band': lambda **o: BandGaussianNoise(**o),
    'correlated': lambda **o: CorrelatedNoise(**o),
    'stripe': lambda **o: StripeNoise(**o),
    'deadline': lambda peak=1.0, **o: DeadlineNoise(value=-0.3 * peak, peak=peak, **o),
    'impulse': lambda **o: ImpulseNoise(**o),
    'mixture': lambda **o: MixtureNoise(**o),
    'poisson': lambda **o: PoissonNoise(200.0, 3.0, **o),
    'sensor': lambda **o: SensorNoise(level=20.0, **o),
    'sensor on a map': lambda **o: SensorNoise(level=30.0, angle=9.0, **o),
    'pushbroom': lambda **o: PushbroomStriping(0.1, 0.1, dead=0.1, angle=5.0, **o),
    'sequence': lambda peak=1.0, **o: NoiseSequence(
        [GaussianNoise(30.0, peak=peak), StripeNoise(peak=peak)], **o
    ),
    'choice': lambda peak=1.0, **o: NoiseChoice(
        [GaussianNoise(30.0, peak=peak), MixtureNoise(peak=peak)], **o
    ),
}
