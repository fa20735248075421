# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The weights that ship, on images that they have not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics import mean_spectral_angle, mpsnr
from torchgeo_hsi.models import (
    BandWindowSuperResolver,
    SubspaceSuperResolver,
    get_model,
    list_weights,
)
from torchgeo_hsi.physics.resampling import imresize_down


def jasper(folder: Path, scale: int) -> tuple[Tensor, Tensor]:
    """Return a coarse and a fine cube of a scene that is held back."""
    cube = loadmat(folder / 'aviris' / 'jasper_ridge.mat')['Y']
    # MATLAB counts pixels down the columns
    cube = cube.reshape(-1, 100, 100).swapaxes(1, 2).astype(np.float32)
    fine = torch.from_numpy(cube / np.quantile(cube, 0.999))[None]
    return imresize_down(fine, scale), fine


def test_weights_ship() -> None:
    assert list_weights('essaformer') == ['eigen']
    assert list_weights('deepshare') == ['windows']
    assert isinstance(get_model('pretrained_superresolution'), SubspaceSuperResolver)
    model = get_model('pretrained_superresolution', scale=4)
    assert isinstance(model, BandWindowSuperResolver)


@pytest.mark.realdata
@pytest.mark.parametrize(('scale', 'least'), [(2, 1.5), (4, 0.3)])
def test_better_than_interpolation(scale: int, least: float, real_data: Path) -> None:
    coarse, fine = jasper(real_data, scale)
    plain = get_model('bicubic', scale=scale)(coarse)
    with torch.inference_mode():
        found = get_model('pretrained_superresolution', scale=scale).eval()(coarse)
    assert float(mpsnr(found, fine)) > float(mpsnr(plain, fine)) + least
    assert float(mean_spectral_angle(found, fine)) < float(
        mean_spectral_angle(plain, fine)
    )


def test_wrong_use_is_refused() -> None:
    """The weights are for parts of images, and for networks that add."""
    with pytest.raises(BandMismatchError, match='pretrained_superresolution'):
        get_model('essaformer', in_channels=31, weights='eigen')
    words = {'in_channels': 32, 'n_feats': 32, 'weights': 'windows'}
    with pytest.raises(BandMismatchError, match='residual=True'):
        get_model('deepshare', **words)
    with pytest.raises(ValueError, match='2 and 4, not of 3'):
        get_model('pretrained_superresolution', scale=3)
    with pytest.raises(ValueError, match='no ensemble'):
        get_model('pretrained_superresolution', scale=4, ensemble=True)
