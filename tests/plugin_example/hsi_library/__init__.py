# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classify the spectra of a library: one small part for every hook of torchgeo-hsi."""
