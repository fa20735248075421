# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the samplers that balance classes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torchgeo.datasets import IntersectionDataset

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.samplers import BalancedPatchSampler, BalancedWindowSampler


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def label_map() -> np.ndarray:
    """Class 0 nearly everywhere, 1 in a corner, 2 in one pixel, 255 in a stripe."""
    classes = np.zeros((40, 40), dtype=np.int64)
    classes[:4, :4] = 1
    classes[30, 20] = 2
    classes[:, 35] = 255
    return classes


def test_rare_classes_are_as_frequent(pixels: Any) -> None:
    dataset = pixels((0, 0, 40, 40), masks=[label_map()])
    sampler = BalancedWindowSampler(dataset, 5, 1500, generator=seeded())
    held = Counter()
    places = Counter()
    for query in sampler:
        classes = dataset[query]['mask'].unique().tolist()
        held.update(classes)
        places[query[0].start, query[1].start] += 2 in classes
    # a third each; windows of the others mostly show class 0, too
    assert held[1] / 1500 == pytest.approx(1 / 3, abs=0.05)
    assert held[2] / 1500 == pytest.approx(1 / 3, abs=0.05)
    # the single pixel of class 2 is anywhere in its windows, 5 x 5 places
    assert sum(count > 0 for count in places.values()) == 25
    assert sampler.class_counts == {0: 1600 - 40 - 17, 1: 16, 2: 1}


def test_class_weights(pixels: Any) -> None:
    dataset = pixels((0, 0, 40, 40), masks=[label_map()])
    sampler = BalancedWindowSampler(
        dataset, 3, 60, class_weights={2: 1.0, 0: 0.0}, generator=seeded()
    )
    assert all((dataset[query]['mask'] == 2).any() for query in sampler)


def test_windows_are_valid_enough_and_hold_the_class(pixels: Any) -> None:
    valid = np.ones((40, 40), dtype=bool)
    valid[25:, :] = False
    images = pixels((0, 0, 40, 40), valid=[valid])
    labels = pixels((0, 0, 40, 40), masks=[label_map()])
    joined = IntersectionDataset(images, labels)
    sampler = BalancedWindowSampler(joined, 8, 300, min_valid=1.0, generator=seeded())
    # the pixel of class 2 lies where nothing is valid
    assert set(sampler.class_counts) == {0, 1}
    for query in sampler:
        assert images[query]['valid'].all()
    assert sampler.class_counts[0] == 25 * 40 - 16 - 25


def test_scene_smaller_than_the_window(pixels: Any) -> None:
    classes = np.zeros((4, 4), dtype=np.int64)
    classes[3, 3] = 1
    dataset = pixels((0, 0, 4, 4), masks=[classes])
    sampler = BalancedWindowSampler(dataset, 6, 10, generator=seeded())
    assert sampler.class_counts == {0: 15, 1: 1}
    assert all((dataset[query]['mask'] == 1).any() for query in sampler)


def test_no_labels(pixels: Any) -> None:
    empty = np.full((16, 16), 255)
    sampler = BalancedWindowSampler(pixels((0, 0, 16, 16), masks=[empty]), 8)
    for _ in range(2):
        with pytest.raises(EmptyDataError, match='No labelled pixel'):
            list(sampler)
    with pytest.raises(EmptyDataError, match='Pass labels='):
        list(BalancedWindowSampler(pixels((0, 0, 16, 16)), 8))
    with pytest.raises(MetadataError, match='class_weights of 0 or more'):
        BalancedWindowSampler(pixels((0, 0, 16, 16)), 8, class_weights={1: -1.0})


def test_patches_in_balance() -> None:
    counts = np.zeros((1000, 4), dtype=int)
    counts[:, 0] = 100
    counts[7, 1] = 3
    counts[8, 1] = 9
    counts[900:, 2] = 1
    sampler = BalancedPatchSampler(counts, 6000, generator=seeded())
    found = Counter(sampler)
    assert len(sampler) == sum(found.values()) == 6000
    # class 1 is in two patches, in proportion to its pixels; class 3 does not exist
    assert (found[7] + found[8]) / 6000 == pytest.approx(1 / 3, abs=0.03)
    assert found[8] / found[7] == pytest.approx(3, rel=0.25)
    assert sum(found[i] for i in range(900, 1000)) / 6000 == pytest.approx(
        1 / 3 + 1 / 30, abs=0.03
    )


def test_patches_without_a_class_are_never_drawn() -> None:
    counts = np.array([[0, 0], [1, 0], [0, 0], [0, 5], [0, 0]])
    assert set(BalancedPatchSampler(counts, 100)) == {1, 3}
    assert set(BalancedPatchSampler(counts, 20, class_weights=[0, 1])) == {3}


def test_bad_counts() -> None:
    with pytest.raises(BandMismatchError, match=r'shape \(N, K\)'):
        BalancedPatchSampler([1, 2])
    with pytest.raises(BandMismatchError, match='Expected 2 class_weights'):
        BalancedPatchSampler([[1, 2]], class_weights=[1.0])
    with pytest.raises(EmptyDataError, match='No patch has a pixel'):
        BalancedPatchSampler([[1, 0]], class_weights=[0.0, 1.0])
    with pytest.raises(ValueError, match='0 or more'):
        BalancedPatchSampler([[1, -1]])
    with pytest.raises(ValueError, match='finite counts'):
        BalancedPatchSampler([[1, float('nan')]])
    with pytest.raises(ValueError, match='positive length'):
        BalancedPatchSampler([[1, 1]], length=0)
