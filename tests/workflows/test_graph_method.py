# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the graph method of the workflows."""

import numpy as np
import pytest
from workflows.scenes import make_scene

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.workflows import _graph_method, cross_validate, fit_method

OPTIONS = {
    'steps': 4,
    'components': 6,
    'hidden_dim': 16,
    'output_dim': 8,
    'sample_nodes': 128,
}


@pytest.fixture(autouse=True)
def _needs_geometric() -> None:
    pytest.importorskip('torch_geometric')


def test_features_are_learned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    start = _graph_method.SceneEmbedding.__init__

    def count(self: object, *args: object) -> None:
        made.append(start(self, *args))  # type: ignore[func-returns-value]

    monkeypatch.setattr(_graph_method.SceneEmbedding, '__init__', count)
    report = cross_validate(make_scene(), 'graph', folds=3, options=OPTIONS)
    assert len(made) == 1
    assert report.mode == 'transductive'
    assert any('without their labels' in note for note in report.notes)
    assert report.overall_accuracy.mean() > 0.8


@pytest.mark.parametrize('nodes', ['pixel', 'superpixel'])
def test_map_of_nodes(nodes: str) -> None:
    if nodes == 'superpixel':
        pytest.importorskip('skimage')
    scene = make_scene()
    options = OPTIONS | {'nodes': nodes}
    fitted = fit_method(scene, 'graph', options=options)
    whole = fitted.rows(scene, 0, scene.shape[1])
    np.testing.assert_allclose(whole[:, scene.valid].sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(fitted.rows(scene, 9, 13), whole[:, 9:13])
    rows, columns = np.nonzero(scene.labels >= 0)
    found = fitted.pixels(scene, rows, columns)
    np.testing.assert_array_equal(found.T, whole[:, rows, columns])
    assert (found.argmax(1) == scene.labels[rows, columns]).mean() > 0.8
    again = fit_method(scene, 'graph', options=options)
    np.testing.assert_array_equal(again.rows(scene, 0, scene.shape[1]), whole)
    with pytest.raises(BandMismatchError, match='no other scene'):
        fitted.rows(make_scene(), 0, 3)


def test_labels_of_the_test_are_not_seen() -> None:
    scene = make_scene()
    half = (scene.labels >= 0) & (np.arange(scene.shape[2]) < 24)
    swapped = np.where(half | (scene.labels < 0), scene.labels, 2 - scene.labels)
    other = make_scene(labels=swapped)
    first, second = (
        fit_method(each, 'graph', pixels=half, options=OPTIONS).rows(each, 0, 60)
        for each in (scene, other)
    )
    np.testing.assert_array_equal(first, second)
