# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole jobs, from files to files: what a verb of the command line does."""

from ._cross_validation import cross_validate
from ._fit import fit_method
from .classify_scene import classify_scene
from .fitted import FittedClassifier, FittedMethod
from .gas_report import GasReport
from .map_gas import map_gas
from .methods import DEFAULT_METHOD, METHODS, Recipe, find_recipe

__all__ = (
    'DEFAULT_METHOD',
    'METHODS',
    'FittedClassifier',
    'FittedMethod',
    'GasReport',
    'Recipe',
    'classify_scene',
    'cross_validate',
    'find_recipe',
    'fit_method',
    'map_gas',
)
