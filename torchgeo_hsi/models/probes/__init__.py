# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Probes: what the features of a frozen backbone know, without training it."""

from .extract import extract_features
from .features import (
    BackboneFeatures,
    FeatureSource,
    Kind,
    ProbeFeatures,
    Spectra,
    collect_features,
    collect_from,
)
from .predictors import choose_penalty, count_classes, knn_predict, linear_predict
from .scores import run_probes, score_probe
from .subsets import draw_shots, principal_components

__all__ = (
    'BackboneFeatures',
    'FeatureSource',
    'Kind',
    'ProbeFeatures',
    'Spectra',
    'choose_penalty',
    'collect_features',
    'collect_from',
    'count_classes',
    'draw_shots',
    'extract_features',
    'knn_predict',
    'linear_predict',
    'principal_components',
    'run_probes',
    'score_probe',
)
