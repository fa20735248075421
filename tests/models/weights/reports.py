# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whether a network holds weights, and the report has all of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import timm
import torch
from data.spectral_earth_weights.data import State
from torch import nn

from torchgeo_hsi.models import WeightReport

type Save = Callable[[object], Path]

vit = partial(timm.create_model, 'spec_vit_tiny')


def official(state: State) -> State:
    """Return a state with the names of our networks."""
    return {
        k.removeprefix('vit_core.').removeprefix('resnet.'): v for k, v in state.items()
    }


def assert_holds(model: nn.Module, state: State) -> None:
    """Check that a model holds the weights of an official state dict, all of them."""
    own, expected = model.state_dict(), official(state)
    assert own.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(own[key], value), key


def assert_backbone_holds(
    model: nn.Module, state: State, but: tuple[str, ...] = ()
) -> None:
    """Check that a backbone holds published weights, except for some keys."""
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(but)}
    expected = official(state)
    assert len(own) >= 171
    for key, value in own.items():
        assert torch.equal(value, expected[key]), key


def assert_complete(report: WeightReport, state: State) -> None:
    """Check that the report has each key of the file, once, in the file's order."""
    assert list(report.ledger) == list(state)
    ignored = [key for keys in report.ignored.values() for key in keys]
    loaded = [k for k, fate in report.ledger.items() if fate.startswith('loaded')]
    assert len(loaded) == len(report.loaded) == len(set(report.loaded))
    assert sorted(loaded + ignored) == sorted(state)
    for reason in report.ignored:
        assert f'ignored ({reason})' in str(report)
