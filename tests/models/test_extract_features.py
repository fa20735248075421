# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Features of a dataset in one call are those of the plain loop."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
)
from torchgeo_hsi.models import get_model, use_bands
from torchgeo_hsi.models.probes import extract_features
from torchgeo_hsi.physics import get_sensor

BANDS = 80


class Patches(Dataset[dict[str, Any]]):
    """Images with labels or masks, raw numbers, and something that is no tensor."""

    ignore_index = 9

    def __init__(self, kind: str = 'label', count: int = 5) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = 100 * torch.randn(count, BANDS, 16, 16, generator=generator)
        self.masks = torch.randint(0, 3, (count, 16, 16), generator=generator)
        self.masks[:, :3] = 9
        self.kind = kind

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # without which a list of samples would never end
        sample = {'image': self.images[range(len(self))[index]], 'crs': 'EPSG:32633'}
        if self.kind == 'label':
            return sample | {'label': torch.tensor(9 if index == 1 else index % 3)}
        return sample | {'mask': self.masks[index]}


def normalize(batch: dict[str, Any]) -> dict[str, Any]:
    return batch | {'image': batch['image'] / 100}


@pytest.fixture(scope='module')
def backbone() -> nn.Module:
    torch.manual_seed(0)
    options = {'embed_dim': 32, 'depth': 2, 'num_heads': 2, 'img_size': 16}
    model: nn.Module = timm.create_model(
        'spec_vit_tiny', in_chans=BANDS, patch_size=4, **options
    )
    return model.eval()


def test_images_as_in_a_plain_loop(backbone: nn.Module) -> None:
    data = Patches()
    backbone.train()
    found = extract_features(backbone, data, normalize, batch_size=2)
    assert not backbone.training
    rows, labels = [], []
    for index in (0, 2, 3, 4):
        with torch.no_grad():
            image = data[index]['image'][None] / 100
            features = backbone.forward_features(image)
            rows.append(backbone.forward_head(features, pre_logits=True)[0])
        labels.append(index % 3)
    torch.testing.assert_close(found.features, torch.stack(rows), atol=1e-5, rtol=1e-4)
    # the second one has no label
    assert found.labels.tolist() == labels
    # a head may be trained on them
    (nn.Linear(32, 2)(found.features).sum()).backward()
    # batches of any kind, and models around the backbone
    around = nn.Sequential(backbone, nn.Linear(2, 2))
    samples = [normalize(data[index]) for index in range(len(data))]
    loader = DataLoader(data, batch_size=3)
    for model, source, transform in (
        (around, data, normalize),
        (backbone, samples, None),
        (backbone, loader, normalize),
        (backbone, iter(list(loader)), normalize),
    ):
        ignored = None if isinstance(source, Dataset | DataLoader) else 9
        again = extract_features(model, source, transform, ignore_index=ignored)
        torch.testing.assert_close(again.features, found.features, atol=1e-5, rtol=1e-4)
        assert torch.equal(again.labels, found.labels)


def test_all_pixels_as_in_a_plain_loop(backbone: nn.Module) -> None:
    data = Patches('mask')
    state = torch.get_rng_state()
    found = extract_features(backbone, data, normalize, pixels=None, batch_size=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(found.labels) == 5 * 13 * 16
    assert found.images.bincount().tolist() == [13 * 16] * 5
    with torch.no_grad():
        maps = backbone.forward_intermediates(  # type: ignore[operator]
            data[3]['image'][None] / 100, norm=True, intermediates_only=True
        )[-1]
    large = nn.functional.interpolate(maps, scale_factor=4, mode='bilinear')
    want = large[0, :, data.masks[3] != 9].T
    own = found.images == 3
    # in another order
    distance = torch.cdist(found.features[own], want)
    assert distance.shape == (13 * 16,) * 2
    assert max(distance.min(0).values.max(), distance.min(1).values.max()) < 0.01
    assert distance.max() > 1
    assert found.labels[own].bincount().equal(data.masks[3, 3:].flatten().bincount())
    few = [extract_features(backbone, data, normalize, pixels=7) for _ in range(2)]
    assert torch.equal(few[0].features, few[1].features)
    assert len(few[0].labels) == 35
    LogisticRegression().fit(few[0].features, few[0].labels)


def test_wavelengths_are_handed_on(backbone: nn.Module) -> None:
    bands = get_sensor('enmap').bands.wavelength[:BANDS]
    network = timm.create_model(
        'spec_vit_tiny_wl', in_chans=BANDS, img_size=16, patch_size=4
    ).eval()

    def samples(wavelength: np.ndarray) -> list[dict[str, Tensor]]:
        given = torch.from_numpy(wavelength.copy()).float()
        image = Patches().images[0] / 100
        return [{'image': image, 'label': torch.tensor(1), 'wavelength': given}]

    near, far = (samples(np.sort(bands) + shift) for shift in (0, 0.4))
    found = [extract_features(network, data).features for data in (near, far)]
    assert not torch.allclose(*found)
    batch = {key: value[None] for key, value in far[0].items()}
    with torch.no_grad(), use_bands(network, batch):
        features = network.forward_features(batch['image'])
        want = network.forward_head(features, pre_logits=True)
    torch.testing.assert_close(found[1], want)


class Scenes(Dataset[Any]):
    """Looks like a dataset of torchgeo that is indexed by space and time."""

    index = res = None


class Stream(IterableDataset[Any]):
    """Batches that come from somewhere."""

    def __iter__(self) -> Any:
        yield {'image': torch.zeros(2, BANDS, 16, 16), 'label': torch.tensor([0, 1])}


def test_streams(backbone: nn.Module) -> None:
    assert extract_features(backbone, Stream()).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ('data', 'error', 'match'),
    [
        (Patches(count=0), EmptyDataError, 'no sample'),
        ([], EmptyDataError, 'no sample'),
        (Scenes(), TypeError, r'space and time.*GridGeoSampler'),
        ([{'image': torch.zeros(BANDS, 16, 16)}], MetadataError, 'EmbeddingWriter'),
    ],
)
def test_refused(
    backbone: nn.Module, data: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        extract_features(backbone, data)


def test_what_is_not_normalized_is_named(backbone: nn.Module) -> None:
    data = Patches()
    data.images *= 100
    with pytest.warns(HSIWarning, match=r'do not look normalized.*NormalizeValid'):
        extract_features(backbone, data)
    with pytest.raises(BandMismatchError, match='found 0 in HSDT'):
        extract_features(get_model('hsdt_s', num_bands=31), data)
