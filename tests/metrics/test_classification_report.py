# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scores against those of scikit-learn, and the split beside each of them."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
)

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics import ClassificationReport

NAMES = ('water', 'soil', 'tree', 'road')


@pytest.fixture
def truth_and_guess() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    guess = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 4, 300))
    return truth, guess


def make(truth: np.ndarray, guess: np.ndarray, **words: object) -> ClassificationReport:
    matrix = confusion_matrix(truth, guess, labels=range(4))
    return ClassificationReport(matrix, NAMES, 'block', **words)


class TestScores:
    def test_like_scikit_learn(
        self, truth_and_guess: tuple[np.ndarray, np.ndarray]
    ) -> None:
        truth, guess = truth_and_guess
        report = make(truth, guess)
        assert report.overall_accuracy[0] == pytest.approx(accuracy_score(truth, guess))
        assert report.average_accuracy[0] == pytest.approx(
            balanced_accuracy_score(truth, guess)
        )
        assert report.kappa[0] == pytest.approx(cohen_kappa_score(truth, guess))
        assert report.f1[0] == pytest.approx(f1_score(truth, guess, average=None))
        assert report.macro_f1[0] == pytest.approx(
            f1_score(truth, guess, average='macro')
        )

    def test_class_without_test_pixels_does_not_count(self) -> None:
        truth = np.array([0, 0, 1, 1, 2, 2])
        # one pixel is taken for a road, which the test does not have
        guess = np.array([0, 3, 1, 1, 2, 0])
        report = make(truth, guess)
        assert report.average_accuracy[0] == pytest.approx((0.5 + 1 + 0.5) / 3)
        assert report.average_accuracy[0] == pytest.approx(
            np.mean([np.mean(guess[truth == k] == k) for k in range(3)])
        )
        assert np.isnan(report.f1[0, 3])
        assert report.untested == ('road',)
        assert 'road   not tested' in str(report)

    def test_several_runs(self, truth_and_guess: tuple[np.ndarray, np.ndarray]) -> None:
        truth, guess = truth_and_guess
        first = confusion_matrix(truth[:150], guess[:150], labels=range(4))
        second = confusion_matrix(truth[150:], guess[150:], labels=range(4))
        report = ClassificationReport([first, second], NAMES, 'random', seeds=(0, 1))
        accuracy = [
            np.mean(truth[s] == guess[s]) for s in (slice(150), slice(150, 300))
        ]
        assert report.overall_accuracy == pytest.approx(accuracy)
        found = report.to_dict()
        assert found['mean']['OA'] == pytest.approx(np.mean(accuracy), abs=1e-6)
        assert found['std']['OA'] == pytest.approx(np.std(accuracy), abs=1e-6)
        assert found['confusion'] == (first + second).tolist()
        assert f'{np.mean(accuracy):.3f} ± {np.std(accuracy):.3f}' in str(report)

    def test_notes_and_split_go_along(self) -> None:
        note = 'trained on 15 labelled pixels'
        report = ClassificationReport(
            [[4, 0], [0, 4]], ('a', 'b'), 'block', notes=[note]
        )
        assert note in str(report)
        assert report.to_dict()['notes'] == [note]
        with pytest.raises(ValueError, match='kind of the split'):
            ClassificationReport([[4, 0], [0, 4]], ('a', 'b'), ' ')

    def test_one_class_right_has_no_kappa(self) -> None:
        # chance alone agrees
        report = ClassificationReport([[4, 0], [0, 0]], ('a', 'b'), 'block')
        assert report.overall_accuracy[0] == 1
        assert np.isnan(report.kappa[0])
        assert json.loads(report.to_json())['mean']['kappa'] is None


class TestSplit:
    def test_stands_beside_scores(
        self, truth_and_guess: tuple[np.ndarray, np.ndarray]
    ) -> None:
        report = make(
            *truth_and_guess,
            touching=(1.0, 0.9),
            window=9,
            guard=4,
            mode='transductive',
            method='svm',
            notes=['2 folds instead of 5'],
        )
        first, second, *_, last = str(report).splitlines()
        assert first == (
            'svm: block split, guard of 4 px, 95% of the 9-pixel test windows touch '
            'training, transductive'
        )
        assert second.startswith('OA 0.')
        assert last == '2 folds instead of 5'

    def test_has_to_be_named(self) -> None:
        with pytest.raises(TypeError, match='split'):
            ClassificationReport([[1, 0], [0, 1]], ('a', 'b'))  # type: ignore[call-arg]

    def test_names_have_to_fit(self) -> None:
        with pytest.raises(BandMismatchError, match=r'\(runs, 3, 3\)'):
            ClassificationReport([[1, 0], [0, 1]], ('a', 'b', 'c'), 'block')
