# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masked autoencoder whose encoder sees visible tokens only."""

from .model import MaskedAutoencoder

__all__ = ('MaskedAutoencoder',)
