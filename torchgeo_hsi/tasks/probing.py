# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Probes of backbones, as tasks know them; see :mod:`torchgeo_hsi.models.probes`."""

from ..models.probes import (
    BackboneFeatures,
    ProbeFeatures,
    Spectra,
    choose_penalty,
    collect_features,
    collect_from,
    count_classes,
    draw_shots,
    extract_features,
    knn_predict,
    linear_predict,
    principal_components,
    run_probes,
    score_probe,
)

__all__ = (
    'BackboneFeatures',
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
