# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A data module for the tests of the probe, named by its path in a configuration."""

from typing import Literal

import torch
from torch import Tensor
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset

from torchgeo_hsi.transforms import NormalizeValid

BANDS = 80


class Rows(NonGeoDataset):
    """Images whose first bands say what they show."""

    def __init__(self, split: str = 'train', kind: str = 'label') -> None:
        generator = torch.Generator().manual_seed(len(split))
        self.kind = kind
        self.image = torch.randn(24, BANDS, 16, 16, generator=generator)
        self.label = torch.arange(24) % 2
        self.image += 3000 + 800 * self.label[:, None, None, None]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        label = self.label[index]
        if self.kind == 'several':
            return {
                'image': self.image[index],
                'label': torch.stack([label, 1 - label]),
            }
        if self.kind == 'numbers':
            return {'image': self.image[index], 'label': torch.stack([label * 2.0 - 1])}
        return {'image': self.image[index], 'label': label}


class RowsDataModule(NonGeoDataModule):
    """The same images for each split, with other noise."""

    def __init__(
        self,
        kind: Literal['label', 'several', 'numbers'] = 'label',
        batch_size: int = 10,
        test: bool = True,
    ) -> None:
        """Initialize a new RowsDataModule instance.

        Args:
            kind: Labels of the images.
            batch_size: Images per batch.
            test: Whether there are test data.
        """
        super().__init__(Rows, batch_size)
        self.kind = kind
        self.has_test = test
        self.aug = NormalizeValid(
            torch.full((BANDS,), 3400.0), torch.full((BANDS,), 400.0)
        )
        # must not be used: a probe looks at the images as they are
        self.train_aug = torch.nn.Identity()

    def setup(self, stage: str) -> None:
        """Open the data.

        Args:
            stage: The stage.
        """
        if stage == 'fit':
            self.train_dataset = Rows('train', self.kind)
            self.val_dataset = Rows('validation', self.kind)
        elif self.has_test:
            self.test_dataset = Rows('test', self.kind)
