# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks for a fixed number of bands, applied to any number of them."""

from typing import Any

import torch
from torch import Tensor

from ..._typing import PathLike
from ...errors import BandMismatchError
from ..api import register_model
from ._networks import build_network, check_local
from .base import SuperResolver


class BandWindowSuperResolver(SuperResolver):
    """A network for a fixed number of bands that runs along the spectrum.

    It enlarges windows of neighboring bands, one after the other, the last one moved
    back so that it ends with the last band. Where windows overlap, they fade into each
    other. Of images with fewer bands than a window, the spectrum is mirrored at its
    ends, as often as needed.

    A network sees neighboring bands wherever they lie in the spectrum, so it has to be
    trained on windows from everywhere.

    Example:
        >>> from torchgeo_hsi.models import get_model
        >>> network = get_model('bicubic', scale=2)
        >>> model = BandWindowSuperResolver(network, window=32, overlap=8)
        >>> model(torch.rand(1, 50, 16, 16)).shape
        torch.Size([1, 50, 32, 32])
    """

    def __init__(
        self,
        network: SuperResolver,
        window: int | None = None,
        overlap: int | None = None,
    ) -> None:
        """Initialize a new BandWindowSuperResolver instance.

        Args:
            network: Enlarges the windows.
            window: Bands of a window; those that the network takes by default.
            overlap: Bands that neighboring windows share at least; a quarter of a
                window by default.

        Raises:
            BandMismatchError: If the network takes another number of bands, or none is
                known.
            ValueError: If *overlap* is negative or no less than the window, or the
                network looks at whole scenes.
        """
        super().__init__(network.scale)
        check_local(network)
        window = network.in_channels if window is None else window
        if window is None or network.in_channels not in (None, window):
            raise BandMismatchError(
                f'Expected a network for windows of {window or "some"} bands, got one '
                f'for {network.in_channels or "any number"}. Say in window how many '
                'bands it takes.'
            )
        overlap = window // 4 if overlap is None else overlap
        if not 0 <= overlap < window:
            raise ValueError(
                f'Expected an overlap from 0 to {window - 1} bands, less than a window, '
                f'got {overlap}.'
            )
        self.network = network
        self.context = network.context
        self.window = window
        self.overlap = overlap

    def enlarge(self, image: Tensor, **inputs: Any) -> Tensor:
        """Enlarge images without gaps.

        Args:
            image: Images of shape ``(B, C, h, w)``.
            **inputs: More arguments of the network.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.
        """
        bands = image.shape[1]
        if bands <= self.window:
            return self._few(image, **inputs)
        starts = self.starts(bands)
        weights = self._weights(bands, starts).to(image)
        height, width = (self.scale * size for size in image.shape[2:])
        total = image.new_zeros(len(image), bands, height, width)
        for start, weight in zip(starts, weights, strict=True):
            stop = start + self.window
            fine = self.network(image[:, start:stop], **inputs)
            total[:, start:stop] += fine * weight[start:stop, None, None]
        return total

    def starts(self, bands: int) -> list[int]:
        """Return the first band of each window.

        Args:
            bands: Number of bands, at least those of a window.

        Returns:
            First bands, from 0.
        """
        last = bands - self.window
        return [*range(0, last, self.window - self.overlap), last]

    def _few(self, image: Tensor, **inputs: Any) -> Tensor:
        bands = image.shape[1]
        # 0 1 2 2 1 0 0 1 ...
        place = torch.arange(self.window, device=image.device) % (2 * bands)
        place = torch.minimum(place, 2 * bands - 1 - place)
        fine: Tensor = self.network(image[:, place], **inputs)
        return fine[:, :bands]

    def _weights(self, bands: int, starts: list[int]) -> Tensor:
        """Return how much each window counts for each band, shape ``(N, C)``."""
        place = torch.arange(self.window, dtype=torch.float64)
        ramp = torch.minimum(place, place.flip(0)) + 1
        weights = torch.zeros(len(starts), bands, dtype=torch.float64)
        for weight, start in zip(weights, starts, strict=True):
            weight[start : start + self.window] = ramp.clamp_max(self.overlap + 1)
        return weights / weights.sum(0)


@register_model
def band_window_superresolution(
    network: str | SuperResolver = 'deepshare',
    weights: PathLike | None = None,
    in_channels: int = 32,
    overlap: int | None = None,
    scale: int = 4,
    n_feats: int | None = None,
    residual: bool = False,
) -> BandWindowSuperResolver:
    """Build :class:`BandWindowSuperResolver`.

    Args:
        network: Name of a network, or the network itself.
        weights: Its weights, see :func:`load_restoration_weights`; random ones by
            default.
        in_channels: Bands of a window.
        overlap: Bands that neighboring windows share at least; a quarter of a window by
            default.
        scale: Factor of rows and columns, unless the network itself is given.
        n_feats: Channels of the network (``dim`` or ``n_feats``); its own default by
            default.
        residual: Whether a network that asks for it adds its result to the interpolated
            image.

    Returns:
        The method. The network in it can be trained.

    Raises:
        UnknownNameError: If there is no such network.
        ValueError: If *weights* are given for something that has none.
    """
    words = {'in_channels': in_channels, 'scale': scale, 'residual': residual}
    inside = build_network(network, weights, n_feats, **words)
    return BandWindowSuperResolver(inside, in_channels, overlap)
