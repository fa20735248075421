# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of fitted methods."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from workflows.scenes import make_scene
from workflows.toy import imitate, toy

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, NotFiniteError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.transforms import NormalizeValid
from torchgeo_hsi.workflows import FittedClassifier, fit_method

__all__ = ('toy',)


def test_probabilities_are_those_of_numpy(toy: str) -> None:
    scene = make_scene()
    fitted = fit_method(scene, toy)
    expected = softmax(-imitate(scene, scene.labels >= 0), axis=0)
    found = fitted.rows(scene, 0, scene.shape[1])
    np.testing.assert_allclose(
        found[:, scene.valid], expected[:, scene.valid], rtol=0, atol=2e-6
    )


def test_only_the_chosen_pixels_count(toy: str) -> None:
    scene = make_scene()
    chosen = (scene.labels >= 0) & (np.arange(scene.shape[1])[:, None] < 30)
    fitted = fit_method(scene, toy, pixels=chosen | (scene.labels < 0))
    np.testing.assert_array_equal(fitted.used, chosen)
    expected = softmax(-imitate(scene, chosen), axis=0)
    rows, columns = np.nonzero(scene.labels >= 0)
    found = fitted.pixels(scene, rows, columns)
    np.testing.assert_allclose(found, expected[:, rows, columns].T, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        ('hybridsn', {'window': 9, 'components': 8}),
        ('spectral_cnn', {'window': 1}),
        ('lola_specvit_tiny', {'window': 5, 'components': 6}),
    ],
)
def test_strips_and_pixels_are_those_of_the_whole(model: str, words: dict) -> None:
    """A network with random weights, which is what shows every seam."""
    torch.manual_seed(0)
    scene = make_scene()
    network = get_model(model, in_channels=12, num_classes=3, **words).eval()
    if network.reduction is not None:
        image = torch.randn(1, 12, 20, 20)
        network.fit_spectra([{'image': image}])
    normalize = NormalizeValid(torch.full((12,), 1500.0), torch.full((12,), 900.0))
    names = scene.class_names
    fitted = FittedClassifier('x', names, scene.labels >= 0, network, normalize)
    values = torch.from_numpy(scene.image.astype(np.float32))[None]
    batch = {'image': values, 'valid': torch.from_numpy(scene.valid)[None]}
    with torch.inference_mode():
        whole = network.dense(normalize(batch)['image']).softmax(1)[0].numpy()
    for step in (1, 7, 60):
        strips = [
            fitted.rows(scene, top, min(top + step, 60)) for top in range(0, 60, step)
        ]
        np.testing.assert_allclose(np.concatenate(strips, 1), whole, rtol=0, atol=1e-6)
    rows, columns = np.array([0, 0, 59, 31, 8]), np.array([0, 47, 47, 20, 9])
    found = fitted.pixels(scene, rows, columns)
    np.testing.assert_allclose(found, whole[:, rows, columns].T, rtol=0, atol=1e-5)


def test_networks_learn(toy: str) -> None:
    scene = make_scene()
    before = torch.random.get_rng_state()
    options = {'steps': 60, 'batch_size': 32, 'lr': 3e-3}
    fitted = [fit_method(scene, 'spectral_cnn', options=options) for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    rows, columns = np.nonzero(scene.labels >= 0)
    first, second = (f.pixels(scene, rows, columns) for f in fitted)
    np.testing.assert_array_equal(first, second)
    assert (first.argmax(1) == scene.labels[rows, columns]).mean() > 0.95


def test_most_labels_of_a_class(toy: str) -> None:
    scene = make_scene()
    fitted = fit_method(scene, toy, options={'labels_per_class': 20})
    counts = np.bincount(scene.labels[fitted.used])
    assert counts.tolist() == [20, 20, 20]
    again = fit_method(scene, toy, options={'labels_per_class': 20}, seed=1)
    assert (again.used != fitted.used).any()


def test_windows_larger_than_the_scene(toy: str) -> None:
    scene = make_scene()
    fitted = fit_method(scene, toy, window=101)
    assert fitted.rows(scene, 0, 5).shape == (3, 5, 48)


def test_what_cannot_be(toy: str) -> None:
    scene = make_scene()
    with pytest.raises(BandMismatchError, match='pixels of shape'):
        fit_method(scene, toy, pixels=np.ones((3, 3)))
    with pytest.raises(EmptyDataError, match='two classes, got water'):
        fit_method(scene, toy, pixels=scene.labels == 0)
    fitted = fit_method(scene, toy)
    other = make_scene(image=scene.image[:4], bands=None)
    with pytest.raises(BandMismatchError, match='fitted to 12 bands'):
        fitted.rows(other, 0, 5)
    assert isinstance(fitted, FittedClassifier)
    fitted.model.means[:] = torch.nan
    with pytest.raises(NotFiniteError, match='steps'):
        fitted.rows(scene, 0, 5)
