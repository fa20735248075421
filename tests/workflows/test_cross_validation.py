# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the scores of workflows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score
from workflows.scenes import make_scene, spectra
from workflows.toy import imitate, toy

from torchgeo_hsi.cli._splits import write_split
from torchgeo_hsi.datasets import random_pixel_split
from torchgeo_hsi.datasets.labelled_scenes import LabelledScene
from torchgeo_hsi.datasets.splits import leak_report
from torchgeo_hsi.datasets.splits.folds import pixel_folds
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.workflows import cross_validate

__all__ = ('toy',)


def noisy_scene() -> LabelledScene:
    scene = make_scene()
    image = spectra(np.maximum(scene.labels, 0), noise=2500)
    return make_scene(image=image)


def test_scores_are_those_of_sklearn(toy: str) -> None:
    scene = noisy_scene()
    report = cross_validate(scene, toy, folds=3)
    source = torch.Generator().manual_seed(0)
    # blocks and guard as for a window of 9 pixels
    words = {'ignore_index': -1, 'generator': source}
    folds = pixel_folds(scene.labels, 3, 9, 'block', **words)
    assert report.guard == 4
    assert report.window == 3
    assert len(report.counts) == 3
    for run, fold in enumerate(folds):
        train, test = fold.mask('train'), fold.mask('test')
        found = imitate(scene, train).argmin(0)[test]
        truth = scene.labels[test]
        known = np.isin(truth, np.unique(scene.labels[train]))
        truth, found = truth[known], found[known]
        assert report.counts[run].sum() == len(truth)
        assert report.overall_accuracy[run] == accuracy_score(truth, found)
        assert report.kappa[run] == pytest.approx(cohen_kappa_score(truth, found))
        recall = recall_score(truth, found, average='macro')
        assert report.average_accuracy[run] == pytest.approx(recall)
    assert 0.4 < report.overall_accuracy.mean() < 0.99
    assert set(report.touching) == {0.0}
    assert 'block split, guard of 4 px, 0%' in str(report)


def test_random_pixels_leak(toy: str) -> None:
    scene = noisy_scene()
    report = cross_validate(scene, toy, split='random', folds=4, seed=3)
    assert report.split == 'random'
    assert report.guard is None
    assert min(report.touching) > 0.99
    assert report.counts.sum() == (scene.labels >= 0).sum()
    assert any('do not hold for other places' in note for note in report.notes)


def test_given_splits(toy: str, tmp_path: Path) -> None:
    scene = noisy_scene()
    split = random_pixel_split(
        scene.labels, 3, {'train': 0.2, 'test': 0.8}, ignore_index=-1
    )
    report = cross_validate(scene, toy, split=[split])
    write_split(str(tmp_path / 'split.tif'), split, {})
    again = cross_validate(scene, toy, split=str(tmp_path / 'split.tif'))
    np.testing.assert_array_equal(report.counts, again.counts)
    leaks = leak_report(split, 3)
    assert report.touching[0] == leaks.touching['test']


def test_class_in_one_place_is_not_tested(toy: str) -> None:
    scene = make_scene()
    labels = scene.labels.copy()
    labels[1:11, 25:35] = 3
    words = {'class_names': ('a', 'b', 'c', 'd'), 'class_colors': ('#000000',) * 4}
    report = cross_validate(make_scene(labels=labels, **words), toy, folds=3)
    # a block may cut the place in two; then it is tested
    lost = [note for note in report.notes if 'not tested' in note]
    assert ('d' in report.untested) == (bool(lost) and 'd (' in lost[0])


def test_fewer_folds_are_said(toy: str) -> None:
    scene = make_scene()
    labels = np.full_like(scene.labels, -1)
    for corner, (r, c) in enumerate([(6, 8), (6, 40), (50, 8), (50, 40)]):
        labels[r : r + 4, c : c + 2] = 0
        labels[r : r + 4, c + 2 : c + 4] = 1 + corner % 2
    report = cross_validate(make_scene(labels=labels), toy, split='region', folds=40)
    assert len(report.counts) < 40
    assert any('folds instead of 40' in note for note in report.notes)


def test_labels_that_cannot_be_tested(toy: str) -> None:
    scene = make_scene()
    labels = np.full_like(scene.labels, -1)
    labels[20, 20], labels[20, 21] = 0, 1
    lonely = make_scene(labels=labels)
    with pytest.raises(EmptyDataError, match=r"parts.* split='random' needs"):
        cross_validate(lonely, toy)
    with pytest.raises(EmptyDataError, match=r'parts.* Label more pixels.$'):
        cross_validate(lonely, toy, split='random')
    with pytest.raises(EmptyDataError, match=r"fields are 'soil', and none"):
        cross_validate(make_scene(labels=np.where(labels == 1, 1, -1)), toy)


def test_names_of_splits_do_not_matter(toy: str) -> None:
    """Training is the first split, as in the data module, and labels are the scene's."""
    scene = make_scene()
    (fold, *_) = pixel_folds(scene.labels, 2, 9, ignore_index=-1)
    expected = cross_validate(scene, toy, split=[fold])
    codes = np.where(scene.labels < 0, 1, fold.codes).astype(np.int8)
    renamed = replace(fold, names=('known', 'unknown'), codes=codes)
    assert cross_validate(scene, toy, split=[renamed]).to_dict() == expected.to_dict()


def test_what_cannot_be(toy: str) -> None:
    scene = make_scene()
    with pytest.raises(ValueError, match='folds=2 or more'):
        cross_validate(scene, toy, folds=1)
    with pytest.raises(ValueError, match='at least one split'):
        cross_validate(scene, toy, split=[])
    with pytest.raises(FileNotFoundError, match='no file'):
        cross_validate(scene, toy, split='nowhere.tif')
    with pytest.raises(UnknownNameError, match='svm'):
        cross_validate(scene, 'svn')
    with pytest.raises(ValueError, match='odd window'):
        cross_validate(scene, toy, window=4)
    with pytest.raises(ValueError, match=r'random.* has no guard'):
        cross_validate(scene, toy, split='random', guard=3)
    (fold, _) = pixel_folds(scene.labels[:40], 2, 5, ignore_index=-1)
    with pytest.raises(BandMismatchError, match=r'splits of .60, 48. pixels'):
        cross_validate(scene, toy, split=[fold])
    whole = replace(fold, names=('train',))
    with pytest.raises(EmptyDataError, match='train alone'):
        cross_validate(scene, toy, split=[whole])


def test_progress(toy: str) -> None:
    told = []
    cross_validate(
        make_scene(), toy, folds=2, progress=lambda *told_: told.append(told_)
    )
    assert told == [('Cross-validating', 0.5), ('Cross-validating', 1.0)]
