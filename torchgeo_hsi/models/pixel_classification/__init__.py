# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classifiers of pixels, by the spectra of the window around each."""

from .base import PixelClassifier
from .hybridsn import HybridSN, hybridsn
from .lola_specvit import LoLASpecViT, lola_specvit, lola_specvit_tiny
from .random_forest import RandomForest, random_forest
from .spectral_cnn import SpectralCNN, spectral_cnn
from .spectral_mlp import SpectralMLP, SpectralWhitening, spectral_mlp
from .spectralformer import SpectralFormer, spectralformer
from .svm import SVM, svm
from .window_classifier import WindowClassifier, window_classifier

__all__ = (
    'SVM',
    'HybridSN',
    'LoLASpecViT',
    'PixelClassifier',
    'RandomForest',
    'SpectralCNN',
    'SpectralFormer',
    'SpectralMLP',
    'SpectralWhitening',
    'WindowClassifier',
    'hybridsn',
    'lola_specvit',
    'lola_specvit_tiny',
    'random_forest',
    'spectral_cnn',
    'spectral_mlp',
    'spectralformer',
    'svm',
    'window_classifier',
)
