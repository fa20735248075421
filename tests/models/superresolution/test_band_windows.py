# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks for a fixed number of bands on images with any number of them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import (
    BandWindowSuperResolver,
    Bicubic,
    SuperResolver,
    get_model,
)
from torchgeo_hsi.physics.resampling import imresize_up


class Numbered(SuperResolver):
    """Interpolate, and add the place in the window."""

    def __init__(self, window: int, step: float = 0.0) -> None:
        super().__init__(2)
        self.in_channels = window
        self.step = step
        self.seen: list[Tensor] = []

    def enlarge(self, image: Tensor, add: float = 0.0) -> Tensor:
        self.seen.append(image)
        place = torch.arange(image.shape[1]).to(image)[:, None, None]
        return imresize_up(image, 2) + self.step * place + add


@pytest.mark.parametrize('overlap', [0, 1, 3, 6])
@pytest.mark.parametrize('bands', [1, 2, 6, 7, 8, 20, 23])
def test_interpolation_changes_nothing(bands: int, overlap: int) -> None:
    image = torch.rand(2, bands, 6, 5)
    model = BandWindowSuperResolver(Numbered(7), overlap=overlap)
    torch.testing.assert_close(model(image), imresize_up(image, 2))


def test_windows_cover_all_bands() -> None:
    model = BandWindowSuperResolver(probe := Numbered(8), overlap=3)
    image = torch.arange(21.0).view(1, 21, 1, 1).expand(1, 21, 2, 2)
    model(image)
    found = [x[0, :, 0, 0].tolist() for x in probe.seen]
    assert found == [list(range(start, start + 8)) for start in (0, 5, 10, 13)]
    assert model.starts(8) == [0]
    assert model.starts(9) == [0, 1]


def test_windows_fade_into_each_other() -> None:
    """Weights of the overlap are 3/4, 1/2, 1/4 against 1/4, 1/2, 3/4."""
    model = BandWindowSuperResolver(Numbered(8, step=1.0), overlap=3)
    found = model(torch.zeros(1, 13, 1, 1))[0, :, 0, 0]
    overlap = [
        (1 - share) * (5 + k) + share * k for k, share in enumerate((0.25, 0.5, 0.75))
    ]
    expected = [0, 1, 2, 3, 4, *overlap, 3, 4, 5, 6, 7]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


def test_few_bands_are_mirrored() -> None:
    model = BandWindowSuperResolver(probe := Numbered(8))
    image = torch.arange(3.0).view(1, 3, 1, 1)
    model(image)
    assert probe.seen[0].flatten().tolist() == [0, 1, 2, 2, 1, 0, 0, 1]


def test_more_arguments_reach_the_network() -> None:
    image = torch.rand(1, 20, 4, 4)
    model = BandWindowSuperResolver(Numbered(8), overlap=4)
    torch.testing.assert_close(model(image, add=3.0), imresize_up(image, 2) + 3)


def test_gradient_reaches_all_windows() -> None:
    image = torch.rand(1, 20, 4, 4, requires_grad=True)
    BandWindowSuperResolver(Numbered(8), overlap=4)(image).sum().backward()
    assert image.grad is not None
    torch.testing.assert_close(image.grad.sum((2, 3)), torch.full((1, 20), 64.0))


def test_what_cannot_be_built() -> None:
    with pytest.raises(BandMismatchError, match='windows of 9 bands, got one for 8'):
        BandWindowSuperResolver(Numbered(8), window=9)
    with pytest.raises(BandMismatchError, match='Say in window'):
        BandWindowSuperResolver(Bicubic(2))
    inside = get_model('subspace_superresolution', network='bicubic')
    with pytest.raises(ValueError, match='looks at whole scenes'):
        BandWindowSuperResolver(inside, window=8)
    with pytest.raises(ValueError, match='from 0 to 7'):
        BandWindowSuperResolver(Numbered(8), overlap=8)


def test_by_name() -> None:
    model = get_model('band_window_superresolution', network='bicubic', scale=3)
    assert isinstance(model.network, Bicubic)
    assert (model.scale, model.window, model.in_channels) == (3, 32, None)


def test_checkpoint_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = get_model('deepshare', in_channels=12, n_feats=16, scale=2)
    torch.save(network.state_dict(), tmp_path / 'deepshare.pth')
    model = get_model(
        'band_window_superresolution',
        in_channels=12,
        n_feats=16,
        scale=2,
        weights=tmp_path / 'deepshare.pth',
    ).eval()
    expected = BandWindowSuperResolver(network).eval()
    image = torch.rand(1, 20, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(model(image), expected(image))
