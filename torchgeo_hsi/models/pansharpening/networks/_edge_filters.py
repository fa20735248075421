# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The fixed filters by which Hyper-DSNet finds edges in the PAN."""

import torch
from torch import Tensor, nn

#: The filters, in the order of the published checkpoint.
_KERNELS = {
    'gaussian_filter': ((1, 2, 1), (2, 4, 2), (1, 2, 1)),
    'sobel_x': ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    'sobel_y': ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    'prewitt_x': ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
    'prewitt_y': ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)),
    'roberts_x': ((-1, 0, 0), (0, 1, 0), (0, 0, 0)),
    'roberts_y': ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    'laplacian': ((2, 0, 2), (0, -8, 0), (2, 0, 2)),
}


class EdgeFilters(nn.Module):
    """Edges of the PAN by four classical operators, as images of 8 bits had them.

    The smoothed PAN is stretched so that its maximum is 255, the magnitudes of the
    filters are rounded to whole numbers, and the result is stretched back. So there are
    no gradients with respect to the PAN, and none are needed.
    """

    def __init__(self) -> None:
        """Initialize a new EdgeFilters instance."""
        super().__init__()
        for name, kernel in _KERNELS.items():
            conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode='reflect', bias=False)
            weight = torch.tensor(kernel, dtype=torch.float32)[None, None]
            # fixed, but published as part of the checkpoint
            conv.weight = nn.Parameter(
                weight / 16 if name == 'gaussian_filter' else weight,
                requires_grad=False,
            )
            self.add_module(name, conv)

    def forward(self, pan: Tensor) -> Tensor:
        """Find edges.

        Args:
            pan: PAN of shape ``(B, 1, H, W)``.

        Returns:
            The PAN, its differences to the row above and to the column to the left, and
            the edges by Roberts, Prewitt, Sobel and Laplace, shape ``(B, 7, H, W)``.
        """
        smooth: Tensor = self.get_submodule('gaussian_filter')(pan)
        top = smooth.amax((-2, -1), keepdim=True)
        # a PAN without light has no edges
        top = torch.where(top > 0, top, torch.ones_like(top))
        # in this order, the brightest pixel is 255 and not the number before
        image = smooth / top * 255
        whole = image.floor()
        edges = [
            self._magnitude(whole, 'roberts_x', 'roberts_y'),
            self._magnitude(whole, 'prewitt_x', 'prewitt_y'),
            self._magnitude(image, 'sobel_x', 'sobel_y'),
            self._single(whole, 'laplacian'),
        ]
        rows = torch.diff(pan, dim=-2, prepend=pan[..., :1, :])
        cols = torch.diff(pan, dim=-1, prepend=pan[..., :1])
        return torch.cat([pan, rows, cols, *(edge * top / 255 for edge in edges)], 1)

    def _single(self, image: Tensor, name: str) -> Tensor:
        filtered: Tensor = self.get_submodule(name)(image)
        return filtered.abs().clamp(max=255).round()

    def _magnitude(self, image: Tensor, first: str, second: str) -> Tensor:
        total = self._single(image, first) + self._single(image, second)
        return (0.5 * total).round()
