# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of groups of alike ground."""

import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics.gases import SpectralClusters

LIBRARY = torch.tensor(
    [[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [1.0, 9.0, 1.0, 9.0]]
)


def scene(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randint(3, (40, 30), generator=rng)
    bright = 200 + 3000 * torch.rand(40, 30, generator=rng)
    noise = 1 + 0.03 * torch.randn(4, 40, 30, generator=rng)
    return bright * LIBRARY[truth].movedim(-1, 0) * noise, truth


def test_kinds_of_ground_are_found() -> None:
    image, truth = scene()
    generator = torch.Generator().manual_seed(4)
    clusters = SpectralClusters.fit(image.flatten(1).T, 3, generator)
    assert len(clusters) == 3
    torch.testing.assert_close(clusters.centers.norm(dim=1), torch.ones(3).double())
    groups = clusters(image)
    for number in range(3):
        # each kind is one group
        assert groups[truth == number].unique().numel() == 1
    assert groups.unique().tolist() == [0, 1, 2]
    # brightness does not matter
    torch.testing.assert_close(clusters(1e-4 * image), groups)
    torch.testing.assert_close(clusters(image[None])[0], groups)
    again = SpectralClusters.fit(
        image.flatten(1).T, 3, torch.Generator().manual_seed(4)
    )
    torch.testing.assert_close(again.centers, clusters.centers, rtol=0, atol=0)


def test_it_is_a_fixed_point_of_k_means() -> None:
    rng = torch.Generator().manual_seed(1)
    spectra = torch.rand(500, 5, generator=rng) + 0.1
    clusters = SpectralClusters.fit(spectra, 4, rng)
    unit = spectra.double() / spectra.double().norm(dim=1, keepdim=True)
    groups = clusters(spectra.T[:, None])[0]
    for number in range(4):
        mean = unit[groups == number].mean(0)
        torch.testing.assert_close(
            mean / mean.norm(), clusters.centers[number], rtol=0, atol=1e-5
        )
        angles = unit[groups == number] @ clusters.centers.mT
        assert (angles.argmax(1) == number).all()


def test_no_data_has_no_group() -> None:
    image, _ = scene()
    clusters = SpectralClusters.fit(image.flatten(1).T, 3)
    image[1, 0] = torch.nan
    image[:, 1] = 0
    groups = clusters(image)
    assert (groups[:2] == -1).all()
    assert (groups[2:] >= 0).all()


def test_what_cannot_be() -> None:
    image, _ = scene()
    with pytest.raises(EmptyDataError, match='at least 3 different spectra'):
        SpectralClusters.fit(LIBRARY[:2].repeat(50, 1), 3)
    with pytest.raises(EmptyDataError, match='got 0 among 0'):
        SpectralClusters.fit(torch.full((9, 4), torch.nan), 1)
    with pytest.raises(ValueError, match='at least 1 group'):
        SpectralClusters.fit(LIBRARY, 0)
    with pytest.raises(BandMismatchError, match=r'\(\.\.\., 4, H, W\)'):
        SpectralClusters.fit(LIBRARY, 2)(image[:3])
