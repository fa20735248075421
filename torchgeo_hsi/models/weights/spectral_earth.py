# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Entries for the published weights of SpectralEarth, in torchvision's way."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torchvision.models._api import Weights, WeightsEnum
from torchvision.transforms import v2 as T

from ..._compat import register_torchgeo_weights
from ..._typing import PathLike
from ...errors import UnknownNameError
from ...physics import get_sensor
from ...physics.statistics import band_statistics
from ._checkpoint_file import read_checkpoint
from ._matching import Wish, match_strictly

#: Folder of the files, with or without one folder per network.
FOLDER_VARIABLE = 'TORCHGEO_HSI_WEIGHTS'

_PAGE = 'https://syncandshare.desy.de/index.php/s/Po5bTPipz6EEHx3'
_REPO = 'https://github.com/AABNassim/spectral_earth'
_LICENSE_NOTE = (
    'No licence is stated with the files, and the code has none. They were trained on '
    'EnMAP data, whose licence is at https://geoservice.dlr.de/web/datasets/'
    'enmap_spectralearth.'
)


@cache
def _band_facts() -> dict[str, Any]:
    """Describe the input that all the networks were trained with."""
    table = band_statistics('enmap_spectral_earth')
    bands = get_sensor('enmap').bands
    centres = dict(zip(bands.names, bands.wavelength, strict=True))
    return {
        'in_chans': len(table.names),
        'bands': table.names,
        'wavelengths': tuple(round(float(centres[name]), 6) for name in table.names),
        'mean': tuple(table.mean.tolist()),
        'std': tuple(table.std.tolist()),
    }


def _transforms() -> nn.Module:
    """Make the normalization of the published networks."""
    facts = _band_facts()
    return cast(nn.Module, T.Normalize(list(facts['mean']), list(facts['std'])))


def _entry(model: str, method: str, file_name: str, *others: str) -> Weights:
    """Describe one file.

    Args:
        model: Name of the network.
        method: How it was trained.
        file_name: Name of the file.
        *others: Other names that it was seen under.
    """
    return Weights(
        url=_PAGE,
        transforms=_transforms(),
        meta={
            'dataset': 'SpectralEarth',
            'sensor': 'EnMAP',
            'model': model,
            'ssl_method': method,
            **_band_facts(),
            'units': 'reflectance x 10 000',
            'input_size': 128,
            'statistics': 'enmap_spectral_earth',
            'publication': 'https://doi.org/10.1109/JSTARS.2025.3581451',
            'repo': _REPO,
            'page': _PAGE,
            'license': None,
            'license_note': _LICENSE_NOTE,
            'file_names': (file_name, *others),
        },
    )


class SpectralEarthWeights(WeightsEnum):  # type: ignore[misc]
    """Weights of a network that was trained on SpectralEarth.

    Everything that torchvision's and torchgeo's entries have: ``meta`` names the bands
    and their wavelengths in µm, the statistics of the input, the paper, the page of the
    files, what is known about their licence and what the files are called; the
    ``transforms`` normalize an image of reflectance x 10 000.

    The server wants a person, so nothing is downloaded. Get the file from the page and
    put it into the folder that the environment variable ``TORCHGEO_HSI_WEIGHTS`` names,
    or into ``checkpoints`` of ``torch.hub.get_dir()``.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        value: An entry.
    """

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle the name: copies of the transforms are not equal to each other."""
        return getattr, (type(self), self._name_)

    def candidates(self) -> Iterator[Path]:
        """Yield where the file may be, the best place first."""
        folders = [Path(torch.hub.get_dir()) / 'checkpoints']
        own = os.environ.get(FOLDER_VARIABLE)
        if own:
            folders.insert(0, Path(own).expanduser())
        for folder in folders:
            for name in self.meta['file_names']:
                yield folder / name

    def path(self) -> Path:
        """Find the file.

        Returns:
            Its path.

        Raises:
            FileNotFoundError: If it is in none of the places.
        """
        for path in self.candidates():
            if path.is_file():
                return path
        names = ' or '.join(self.meta['file_names'])
        folder = os.environ.get(FOLDER_VARIABLE)
        raise FileNotFoundError(
            f'No file for {self!r}. Get it in a browser from {_PAGE} (linked from '
            f'{_REPO}), and put it as {names} into the folder that the environment '
            f'variable {FOLDER_VARIABLE} names (now {folder or "not set"}), or into '
            f'{Path(torch.hub.get_dir()) / "checkpoints"}.'
        )

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Read the file and check it against the network.

        Args:
            *args: As for torchvision; nothing is downloaded, so they have no effect.
            **kwargs: As for torchvision; nothing is downloaded, so they have no effect.

        Returns:
            The backbone without its head, under the names of timm.

        Raises:
            FileNotFoundError: If the file is in none of the places.
            CorruptFileError: If it is damaged, or of another network.
        """
        checkpoint = read_checkpoint(self.path())
        with torch.device('meta'):
            model = timm.create_model(self.meta['model'], num_classes=0)
        return match_strictly(model, checkpoint, Wish())[0]


class SpecResNet50_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_resnet50`.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MOCO = _entry(
        'spec_resnet50', 'moco', 'spec_rn50_moco.pth', 'spec_rn50/moco.pth'
    )
    SPECTRALEARTH_DINO = _entry(
        'spec_resnet50', 'dino', 'spec_rn50_dino.pth', 'spec_rn50/dino.pth'
    )


class SpecViTSmall_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_vit_small`.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MAE = _entry(
        'spec_vit_small', 'mae', 'spec_ViTs_mae.pth', 'spec_vit_s/mae.pth'
    )
    SPECTRALEARTH_MOCO = _entry(
        'spec_vit_small', 'moco', 'spec_ViTs_moco.pth', 'spec_vit_s/moco.pth'
    )
    SPECTRALEARTH_DINO = _entry(
        'spec_vit_small', 'dino', 'spec_ViTs_dino.pth', 'spec_vit_s/dino.pth'
    )


class SpecViTBase_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_vit_base`.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MAE = _entry(
        'spec_vit_base', 'mae', 'spec_ViTb_mae.pth', 'spec_vit_b/mae.pth'
    )


class SpecViTLarge_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_vit_large`.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MAE = _entry(
        'spec_vit_large', 'mae', 'spec_ViTl_mae.pth', 'spec_vit_l/mae.pth'
    )


class SpecViTHuge_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_vit_huge`.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MAE = _entry(
        'spec_vit_huge', 'mae', 'spec_ViTh_mae.pth', 'spec_vit_h/mae.pth'
    )


class SpecViTGiant_Weights(SpectralEarthWeights):
    """Weights of :func:`spec_vit_giant`.

    The card of the authors says 1.8 G parameters; their code builds 1.14 G. If the file
    is of the larger network it is refused, with the shapes named.

    Args:
        value: An entry.
    """

    SPECTRALEARTH_MAE = _entry(
        'spec_vit_giant', 'mae', 'spec_ViTg_mae.pth', 'spec_vit_g/mae.pth'
    )


#: The entries of each network. The first one is what ``pretrained=True`` loads.
WEIGHTS: dict[str, type[SpectralEarthWeights]] = {
    'spec_resnet50': SpecResNet50_Weights,
    'spec_vit_small': SpecViTSmall_Weights,
    'spec_vit_base': SpecViTBase_Weights,
    'spec_vit_large': SpecViTLarge_Weights,
    'spec_vit_huge': SpecViTHuge_Weights,
    'spec_vit_giant': SpecViTGiant_Weights,
}


def find_weights(weights: PathLike | WeightsEnum) -> Path:
    """Find the file that weights are in.

    Args:
        weights: A path, an entry, or the name of an entry. A file of that name wins.

    Returns:
        The path. If *weights* is a path, it may not exist.

    Raises:
        FileNotFoundError: If the file of an entry is in none of its places.
        UnknownNameError: If there is no entry of this name.
        TypeError: If it is an entry for a network of another package.
    """
    if isinstance(weights, str) and not Path(weights).exists():
        entries = {
            str(e): e for enum in WEIGHTS.values() for e in enum.__members__.values()
        }
        weights = entries.get(weights, weights)
        if isinstance(weights, str) and '_Weights.' in weights:
            raise UnknownNameError('weights', weights, entries)
    if isinstance(weights, SpectralEarthWeights):
        return weights.path()
    if isinstance(weights, WeightsEnum):
        raise TypeError(
            f'Expected weights of SpectralEarth, got {weights!r}. Build the network that '
            'it belongs to.'
        )
    return Path(weights)


def register_in_torchgeo() -> None:
    """Make ``torchgeo.models.get_weight`` find the entries by their names.

    Importing this package, and building one of its networks, does so where torchgeo has
    been imported before.
    """
    register_torchgeo_weights(
        {name: (timm.model_entrypoint(name), enum) for name, enum in WEIGHTS.items()}
    )
