# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The weights that ship, on images that they have not seen."""

from pathlib import Path

import pytest
import rasterio
import torch
from models.denoising.classical.painted_fields import gain, gaussian, truth
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.metrics import mpsnr
from torchgeo_hsi.models import EigenImageNetwork, MeanDenoiser, get_model, list_weights

NETWORKS = ('hsdt_s', 'man_s')


@pytest.mark.parametrize('network', NETWORKS)
def test_weights_ship(network: str) -> None:
    assert list_weights(network) == ['eigen']
    model = get_model('pretrained_subspace', network=network)
    assert isinstance(model.denoiser, EigenImageNetwork)


@pytest.mark.parametrize('network', NETWORKS)
def test_noise_goes(network: str) -> None:
    clean = truth()
    noisy = gaussian(clean)
    model = get_model('pretrained_subspace', network=network).eval()
    with torch.no_grad():
        better = gain(model(noisy), noisy, clean)
    assert better > gain(get_model('svd')(noisy), noisy, clean) + 1


def test_mean_with_the_filter() -> None:
    model = get_model('pretrained_subspace', collaborative=True, ensemble=True).eval()
    assert isinstance(model.denoiser, MeanDenoiser)
    clean = truth(12, 24)
    noisy = gaussian(clean)
    with torch.no_grad():
        assert gain(model(noisy), noisy, clean) > 10


def test_unknown_weights() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean eigen'):
        get_model('pretrained_subspace', weights='eigne')


@pytest.mark.parametrize('network', NETWORKS)
def test_weights_are_not_for_bands(network: str) -> None:
    with pytest.raises(BandMismatchError) as error:
        get_model(network, weights='eigen')
    said = str(error.value)
    assert f"get_model('pretrained_subspace', network='{network}')" in said
    assert f'({network}: ' in said
    assert 'trained on bands' in said
    # what would only make the file fit is no advice
    assert 'noise_map=True' not in said


@pytest.mark.realdata
@pytest.mark.parametrize(('network', 'expected'), [('hsdt_s', 34.9), ('man_s', 34.7)])
def test_held_back_tile(network: str, expected: float, real_data: Path) -> None:
    """EnMAP tile 128_128 with noise of level 30 stands on the cards."""
    folder = real_data / 'enmap_potsdam' / 'images'
    with rasterio.open(folder / 'enmap_potsdam_tile_128_128.tif') as file:
        cube = torch.from_numpy(file.read())
    cube = cube[(cube != -32768).all(2).all(1)]
    low = cube.min()
    clean: Tensor = ((cube - low) / (torch.quantile(cube[::4], 0.999) - low))[None]
    noisy = gaussian(clean, 30)
    model = get_model('subspace', denoiser=network, weights='eigen').eval()
    with torch.no_grad():
        score = float(mpsnr(model(noisy), clean))
        plain = float(mpsnr(get_model('svd')(noisy), clean))
    assert score > expected - 0.5
    assert score > plain + 1.2
