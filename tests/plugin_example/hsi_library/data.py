# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A library of spectra in a CSV file, and how to draw from it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

type Sample = dict[str, Tensor]


class LibrarySpectra(NonGeoDataset):
    """Spectra of a CSV file: the class in the first column, then one band a column.

    The header holds the wavelengths in micrometres.
    """

    def __init__(
        self,
        path: str | Path = 'library.csv',
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Initialize a new LibrarySpectra instance.

        Args:
            path: The CSV file.
            transforms: Takes a sample and returns another.

        Raises:
            DatasetNotFoundError: If the file does not exist.
        """
        self.paths = Path(path)
        self.download = False
        if not self.paths.is_file():
            raise DatasetNotFoundError(self)
        header = self.paths.read_text().splitlines()[0]
        table = np.loadtxt(self.paths, delimiter=',', skiprows=1, ndmin=2)
        self.transforms = transforms
        self.wavelength = torch.tensor([float(x) for x in header.split(',')[1:]])
        self.labels = torch.from_numpy(table[:, 0]).long()
        self.spectra = torch.from_numpy(table[:, 1:]).float()

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """Return one spectrum as an image of one pixel, ``(C, 1, 1)``."""
        sample = {
            'image': self.spectra[index, :, None, None],
            'label': self.labels[index],
            'wavelength': self.wavelength,
        }
        return self.transforms(sample) if self.transforms is not None else sample


class LibraryUnitNorm(nn.Module):
    """Divide each spectrum by its length, which removes the illumination."""

    def forward(self, sample: Sample) -> Sample:
        """Normalize the channels of ``image``, ``(..., C, H, W)``."""
        image = sample['image']
        length = image.norm(dim=-3, keepdim=True).clamp_min(1e-12)
        return {**sample, 'image': image / length}


class LibraryBalancedSampler(Sampler[int]):
    """Draw every class equally often."""

    def __init__(
        self, labels: Tensor, length: int, generator: torch.Generator | None = None
    ) -> None:
        """Initialize a new LibraryBalancedSampler instance.

        Args:
            labels: Class of each sample, of shape ``(N,)``.
            length: Number of samples of an epoch.
            generator: Source of the random numbers.
        """
        counts = torch.bincount(labels).clamp_min(1)
        self.weights = 1 / counts[labels].double()
        self.length = length
        self.generator = generator

    def __len__(self) -> int:
        """Return the number of samples of an epoch."""
        return self.length

    def __iter__(self) -> Iterator[int]:
        """Iterate over the positions of the samples."""
        drawn = torch.multinomial(
            self.weights, self.length, replacement=True, generator=self.generator
        )
        yield from drawn.tolist()


class LibraryDataModule(NonGeoDataModule):
    """Train and validate on one library."""

    def __init__(
        self, path: str = 'library.csv', batch_size: int = 16, num_workers: int = 0
    ) -> None:
        """Initialize a new LibraryDataModule instance.

        Args:
            path: The CSV file.
            batch_size: Spectra in a batch.
            num_workers: Processes that load data.
        """
        super().__init__(
            LibrarySpectra,
            batch_size=batch_size,
            num_workers=num_workers,
            path=path,
            transforms=LibraryUnitNorm(),
        )
        # the spectra are of unit length already
        self.aug = nn.Identity()

    def setup(self, stage: str) -> None:
        """Read the library.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.
        """
        self.dataset = LibrarySpectra(**self.kwargs)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return batches in which no class prevails."""
        assert isinstance(self.dataset, LibrarySpectra)
        return DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            sampler=LibraryBalancedSampler(self.dataset.labels, len(self.dataset)),
            num_workers=self.num_workers,
        )
