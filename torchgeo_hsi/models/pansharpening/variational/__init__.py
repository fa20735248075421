# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Variational methods: the cube that explains what both sensors saw."""
