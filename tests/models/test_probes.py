# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fewer labels, principal components, and several features of the same pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from torchgeo_hsi.errors import HSIWarning
from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.adapters.wavelength_adapter import WavelengthAdapter
from torchgeo_hsi.models.probes import (
    BackboneFeatures,
    ProbeFeatures,
    Spectra,
    collect_features,
    collect_from,
    draw_shots,
    principal_components,
    run_probes,
)

BANDS = 80


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table(labels: Tensor, features: Tensor | None = None) -> ProbeFeatures:
    features = random(len(labels), 6) if features is None else features
    return ProbeFeatures(features, labels, torch.arange(len(labels)) // 2)


def classes(count: int, number: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, number, (count,), generator=generator)


@pytest.mark.parametrize('shots', [1, 4, 100])
def test_shots_of_each_class(shots: int) -> None:
    labels = torch.cat([classes(60), torch.tensor([7, 7])])
    data = table(labels)
    found = draw_shots(data, shots, torch.Generator().manual_seed(0))
    counts = labels.bincount()
    assert found.labels.bincount().tolist() == counts.clamp_max(shots).tolist()
    # rows stay together
    rows = {tuple(x.tolist()): int(y) for x, y, _ in zip(*data, strict=True)}
    for x, y, _ in zip(*found, strict=True):
        assert rows[tuple(x.tolist())] == int(y)
    numbers = torch.unique(found.images)
    assert numbers.tolist() == list(range(len(numbers)))


def test_shots_follow_the_generator() -> None:
    data = table(classes(60))
    state = torch.get_rng_state()
    draws = [
        draw_shots(data, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(draws[0].features, draws[1].features)
    assert not torch.equal(draws[0].features, draws[2].features)
    # each image is as likely as another one
    hits = torch.zeros(60)
    for seed in range(400):
        found = draw_shots(data, 3, torch.Generator().manual_seed(seed))
        hits += (data.features[:, None] == found.features).all(-1).any(1)
    for k in range(3):
        own = data.labels == k
        share = hits[own] / 400
        assert share.sum() == pytest.approx(3)
        assert (share - 3 / int(own.sum())).abs().max() < 0.09


def test_shots_of_several_labels() -> None:
    labels = (random(50, 3) > 0.8).long()
    found = draw_shots(table(labels), 4, torch.Generator().manual_seed(0))
    assert (found.labels.sum(0) >= 4).all()
    assert 4 <= len(found.labels) <= 12
    for data, shots, words in (
        (table(random(5, 2)), 1, 'no classes'),
        (table(classes(5)), 0, 'at least one label'),
    ):
        with pytest.raises(ValueError, match=words):
            draw_shots(data, shots)


@pytest.mark.parametrize(('count', 'components'), [(40, 3), (4, 30), (40, 30)])
def test_components_are_those_of_scikit_learn(count: int, components: int) -> None:
    scale = torch.tensor([9.0, 7.0, 5.0, 3.0, 2.0, 1.0])
    train = table(classes(count), random(count, 6) * scale + 100)
    test = table(classes(9), random(9, 6, seed=3) * scale + 100)
    found = principal_components(train, test, components=components)
    kept = min(components, count, 6)
    pca = PCA(kept).fit(train.features.double().numpy())
    for data, got in zip((train, test), found, strict=True):
        want = pca.transform(data.features.double().numpy())
        # the last of few rows is a direction without any variance
        last = min(kept, count - 1)
        values = got.features.numpy()[:, :last]
        np.testing.assert_allclose(abs(values), abs(want[:, :last]), atol=1e-3)
        assert torch.equal(got.labels, data.labels)
    with pytest.raises(ValueError, match='got 0'):
        principal_components(train, components=0)


def test_one_neighbour_is_that_of_scikit_learn() -> None:
    x, y = table(classes(60)), table(classes(30, seed=2), random(30, 6, seed=4))
    found = run_probes(x, y, k=1, linear=False)
    model = KNeighborsClassifier(1, metric='cosine').fit(*(v.numpy() for v in x[:2]))
    want = accuracy_score(y.labels.numpy(), model.predict(y.features.numpy()))
    assert found.keys() == {'knn'}
    assert found['knn']['OverallAccuracy'] == pytest.approx(want)
    few = run_probes(x, y, shots=2, seed=3)
    drawn = draw_shots(x, 2, torch.Generator().manual_seed(3))
    assert few['knn'] == run_probes(drawn, y, linear=False)['knn']
    assert few == run_probes(x, y, shots=2, seed=3)


def test_spectra_leave_out_what_is_not_valid() -> None:
    x = random(3, 5, 8, 8)
    valid = torch.rand(3, 8, 8) > 0.4
    valid[2] = False
    batch = {'image': x.masked_fill(~valid[:, None], torch.nan), 'valid': valid}
    batch['label'] = torch.tensor([0, 1, 1])
    found = collect_from({'': Spectra()}, [batch])['']
    # an image without any data is no example of its class
    assert found.labels.tolist() == [0, 1]
    assert found.images.tolist() == [0, 1]
    for i in range(2):
        want = x[i][:, valid[i]].numpy().mean(axis=1)
        np.testing.assert_allclose(found.features[i].numpy(), want, atol=1e-5)
    mask = torch.arange(3 * 64).reshape(3, 8, 8)
    pixels = collect_from({'': Spectra()}, [{'image': x, 'valid': valid, 'mask': mask}])
    rows = x.movedim(1, -1).reshape(-1, 5)
    assert torch.equal(pixels[''].features, rows[pixels[''].labels])
    assert valid.flatten()[pixels[''].labels].all()


def test_sources_see_the_same_pixels() -> None:
    torch.manual_seed(0)
    backbone: Any = get_model('spec_vit_tiny', in_chans=BANDS, num_classes=0, depth=1)
    batch = {'image': random(2, BANDS, 16, 16)}
    batch['mask'] = torch.arange(2 * 256).reshape(2, 16, 16)
    generator = torch.Generator().manual_seed(0)
    sources = {'a': BackboneFeatures(backbone), 'b': Spectra()}
    found = collect_from(sources, [batch, batch], 9, generator=generator)
    assert torch.equal(found['a'].labels, found['b'].labels)
    assert torch.equal(found['a'].images, found['b'].images)
    generator = torch.Generator().manual_seed(0)
    alone = collect_features(backbone, [batch, batch], pixels=9, generator=generator)
    assert torch.equal(alone.features, found['a'].features)
    assert torch.equal(alone.labels, found['a'].labels)


def test_networks_are_told_the_bands() -> None:
    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adapter = WavelengthAdapter()

        def forward_features(self, x: Tensor) -> Tensor:
            return self.adapter(x)

        def forward_head(self, x: Tensor, pre_logits: bool) -> Tensor:
            return x.mean(dim=(-2, -1))

    network = Pooled().eval()
    batch = {'image': random(2, 4, 8, 8), 'label': torch.tensor([0, 1])}
    batch['wavelength'] = torch.tensor([0.49, 0.56, 0.665, 0.842])
    one = collect_features(network, [batch]).features
    other = collect_features(
        network, [batch | {'wavelength': batch['wavelength'] + 0.5}]
    ).features
    assert not torch.allclose(one, other)


@pytest.mark.parametrize('broken', ['train', 'test'])
def test_features_that_are_no_numbers(broken: str) -> None:
    """They are no reason to stop a training, and no class 0."""
    sets = {name: table(classes(12)) for name in ('train', 'test')}
    sets[broken].features[3, 2] = torch.nan
    with pytest.warns(HSIWarning, match='NaN or infinite'):
        found = run_probes(sets['train'], sets['test'])
    assert found.keys() == {'knn', 'linear'}
    for values in found.values():
        assert values.keys() >= {'OverallAccuracy'}
        assert all(np.isnan(value) for value in values.values())


def test_one_number_for_each_image() -> None:
    batch = {'image': random(4, 5, 8, 8), 'label': torch.tensor([1.0, 2, 3, torch.nan])}
    found = collect_from({'': Spectra()}, [batch])['']
    assert found.kind == 'regression'
    assert found.labels.tolist() == [[1.0], [2.0], [3.0]]
    assert set(run_probes(found, found)) == {'knn', 'linear'}
    mask = torch.rand(4, 8, 8)
    mask[0] = torch.nan
    pixels = collect_from({'': Spectra()}, [{'image': batch['image'], 'mask': mask}])[
        ''
    ]
    assert pixels.labels.shape == (3 * 64, 1)


def test_labels_that_are_no_classes() -> None:
    data = table(torch.tensor([0, 1, -1]))
    with pytest.raises(ValueError, match=r'got -1.*ignore_index'):
        run_probes(data, data)


@pytest.mark.filterwarnings('error')
def test_a_single_image() -> None:
    found = run_probes(table(torch.tensor([0])), table(torch.tensor([0, 1])))
    assert found['linear']['OverallAccuracy'] == 0.5
