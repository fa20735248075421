# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""All hostile inputs."""

from fuzz.case import Case
from fuzz.cases_envi import envi_cases
from fuzz.cases_hdf5 import hdf5_cases
from fuzz.cases_kept import kept_cases
from fuzz.cases_labels import label_cases
from fuzz.cases_other import other_cases
from fuzz.cases_state import state_cases
from fuzz.cases_store import store_cases
from fuzz.cases_text import text_cases
from fuzz.cases_tiff import tiff_cases
from fuzz.cases_vectors import vector_cases
from fuzz.cases_weights import weight_cases
from fuzz.cases_xml import product_cases


def all_cases() -> list[Case]:
    """List all of them, by kind."""
    return [
        *envi_cases(),
        *tiff_cases(),
        *product_cases(),
        *hdf5_cases(),
        *store_cases(),
        *state_cases(),
        *text_cases(),
        *weight_cases(),
        *label_cases(),
        *other_cases(),
        *vector_cases(),
        *kept_cases(),
    ]
