# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of stores compare, and give."""

from typing import Any

import torch

type Values = dict[str, Any]


def same(found: Values, wanted: Values, image: torch.dtype | None = None) -> None:
    """Check keys, their order, data types and numbers."""
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        if isinstance(value, torch.Tensor):
            if key == 'image' and image is not None:
                value = value.to(image)
            assert found[key].dtype == value.dtype, key
            assert torch.equal(found[key].nan_to_num(7), value.nan_to_num(7)), key
        else:
            assert found[key] == value, key


class Listed:
    """A dataset of given samples."""

    def __init__(self, samples: list[Values], **attributes: Any) -> None:
        self.samples = samples
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Values:
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        return self.samples[index]
