# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Features and labels of images, or of some of their pixels."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import EmptyDataError, MetadataError
from ..adapters._bands import use_bands
from ..backbones._features import check_pool, feature_maps, levels_of, pooled_features

Kind = Literal['multiclass', 'multilabel', 'regression']


class ProbeFeatures(NamedTuple):
    """Features and labels of images, or of sampled pixels.

    Args:
        features: Features of shape ``(N, F)``.
        labels: Classes of shape ``(N,)``, labels of shape ``(N, K)``, or numbers of
            shape ``(N, K)`` and a floating type.
        images: Which image each belongs to, shape ``(N,)``.
    """

    features: Tensor
    labels: Tensor
    images: Tensor

    @property
    def kind(self) -> Kind:
        """What the labels are."""
        if self.labels.is_floating_point():
            return 'regression'
        return 'multiclass' if self.labels.ndim == 1 else 'multilabel'


class FeatureSource(Protocol):
    """What makes features of batches."""

    def of_images(self, batch: Sample) -> Tensor:
        """Compute features of whole images.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``.

        Returns:
            Features of shape ``(B, F)``.
        """

    def of_pixels(self, batch: Sample) -> Callable[[int, Tensor], Tensor]:
        """Prepare features of pixels.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``.

        Returns:
            A function of the number of an image, and rows and columns of shape
            ``(N, 2)``, that returns features of shape ``(N, F)``.
        """


class BackboneFeatures:
    """Features of a frozen backbone; its last feature map for pixels."""

    def __init__(
        self, backbone: nn.Module, pool: Literal['token', 'avg'] | None = None
    ) -> None:
        """Initialize a new BackboneFeatures instance.

        Args:
            backbone: A backbone of timm; it is put into evaluation mode.
            pool: Class token or average of the others, for vision transformers; by
                default what the backbone does.

        Raises:
            ValueError: If the backbone cannot be pooled this way.
        """
        check_pool(backbone, pool)
        self.backbone = backbone.eval()
        self.pool = pool

    def of_images(self, batch: Sample) -> Tensor:
        """Compute features of whole images; see :class:`FeatureSource`."""
        with use_bands(self.backbone, batch):
            return pooled_features(self.backbone, batch['image'], self.pool).float()

    def of_pixels(self, batch: Sample) -> Callable[[int, Tensor], Tensor]:
        """Prepare features of pixels; see :class:`FeatureSource`."""
        level = levels_of(self.backbone, 1)
        with use_bands(self.backbone, batch):
            (maps,), size = feature_maps(self.backbone, batch['image'], level)
        return lambda i, places: _interpolate(maps[i : i + 1].float(), size, places)


class Spectra:
    """The spectra themselves, which any features have to beat."""

    def of_images(self, batch: Sample) -> Tensor:
        """Average the valid pixels of images; see :class:`FeatureSource`."""
        image = batch['image'].float()
        if 'valid' not in batch:
            return image.mean(dim=(-2, -1))
        valid = batch['valid'].flatten(0, -3)[:, None]
        total = image.masked_fill(~valid, 0).sum(dim=(-2, -1))
        return total / valid.sum(dim=(-2, -1)).clamp_min(1)

    def of_pixels(self, batch: Sample) -> Callable[[int, Tensor], Tensor]:
        """Look up the spectra of pixels; see :class:`FeatureSource`."""
        image = batch['image'].float()
        return lambda i, places: image[i][:, places[:, 0], places[:, 1]].T


def _interpolate(maps: Tensor, size: tuple[int, int], places: Tensor) -> Tensor:
    """Interpolate the feature map of an image at pixels.

    Args:
        maps: Feature map of shape ``(1, F, h, w)``.
        size: Height and width of the image.
        places: Rows and columns of the pixels, shape ``(N, 2)``.

    Returns:
        Features of shape ``(N, F)``.
    """
    sides = torch.tensor(size, device=maps.device)
    # grid_sample counts from -1 to 1, and columns first
    grid = (2 * (places + 0.5) / sides - 1).flip(1)[None, None]
    found = F.grid_sample(
        maps, grid.to(maps.dtype), padding_mode='border', align_corners=False
    )
    return found[0, :, 0].T


def _known_images(batch: Sample, ignore_index: int | None) -> Tensor:
    """Tell which images have all of their labels, and any data."""
    labels = batch['label']
    if labels.is_floating_point():
        known = labels.isfinite()
    else:
        known = labels != (-1000 if ignore_index is None else ignore_index)
    known = known.flatten(1).all(1) if known.ndim > 1 else known
    return known & batch['valid'].flatten(1).any(1) if 'valid' in batch else known


def _draw_pixels(
    batch: Sample,
    mask: Tensor,
    pixels: int | None,
    ignore_index: int | None,
    generator: torch.Generator | None,
) -> list[Tensor]:
    """Draw some labelled pixels of each image: rows and columns."""
    known = mask != (-1000 if ignore_index is None else ignore_index)
    if mask.is_floating_point():
        known &= mask.isfinite()
    if 'valid' in batch:
        known &= batch['valid'].flatten(0, -3)
    found = []
    for labelled in known:
        places = labelled.nonzero()
        order = torch.randperm(len(places), generator=generator)[:pixels]
        found.append(places[order.to(places.device)])
    return found


def collect_from(
    sources: Mapping[str, FeatureSource],
    batches: Iterable[Sample],
    pixels: int | None = 100,
    ignore_index: int | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, ProbeFeatures]:
    """Compute several kinds of features of the same images, or the same pixels.

    Args:
        sources: What makes features, by any name.
        batches: Normalized batches with ``image`` of shape ``(B, C, H, W)`` and
            ``label``, or ``mask`` of shape ``(B, H, W)`` and maybe ``valid``.
        pixels: Labelled pixels to draw from each image with a ``mask``; None for all.
        ignore_index: Label that does not count.
        generator: What draws the pixels.

    Returns:
        Features and labels of what has a label and data, on the CPU, by the same names.

    Raises:
        EmptyDataError: If nothing has a label.
        MetadataError: If a batch has neither ``label`` nor ``mask``.
    """
    with torch.inference_mode():
        rows, labels, counts = _collect(
            sources, batches, pixels, ignore_index, generator
        )
    if not sum(counts):
        raise EmptyDataError(
            'Nothing in the data has a label. Check the masks, nodata and ignore_index.'
        )
    images = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    # out here they are normal tensors again, from which gradients may start
    truth = torch.cat(labels)
    if truth.is_floating_point() and truth.ndim == 1:
        truth = truth[:, None]
    return {
        name: ProbeFeatures(torch.cat(found), truth, images.clone())
        for name, found in rows.items()
    }


def _collect(
    sources: Mapping[str, FeatureSource],
    batches: Iterable[Sample],
    pixels: int | None,
    ignore_index: int | None,
    generator: torch.Generator | None,
) -> tuple[dict[str, list[Tensor]], list[Tensor], list[int]]:
    """Return features by their source, labels, and the rows of each image."""
    rows: dict[str, list[Tensor]] = {name: [] for name in sources}
    labels: list[Tensor] = []
    counts: list[int] = []
    for batch in batches:
        if 'label' in batch:
            known = _known_images(batch, ignore_index)
            labels.append(batch['label'][known].cpu())
            counts += [1] * len(labels[-1])
            for name, source in sources.items():
                rows[name].append(source.of_images(batch)[known].cpu())
            continue
        if 'mask' not in batch:
            raise MetadataError(
                f'Expected batches with a label or a mask, got {", ".join(batch)}. Images '
                'without labels get their embeddings from "predict" and EmbeddingWriter.'
            )
        mask = batch['mask'].flatten(0, -3)
        places = _draw_pixels(batch, mask, pixels, ignore_index, generator)
        counts += [len(there) for there in places]
        labels += [mask[i][p[:, 0], p[:, 1]].cpu() for i, p in enumerate(places)]
        for name, source in sources.items():
            look_up = source.of_pixels(batch)
            rows[name] += [look_up(i, there).cpu() for i, there in enumerate(places)]
    return rows, labels, counts


def collect_features(
    backbone: nn.Module,
    batches: Iterable[Sample],
    pool: Literal['token', 'avg'] | None = None,
    pixels: int | None = 100,
    ignore_index: int | None = None,
    generator: torch.Generator | None = None,
) -> ProbeFeatures:
    """Compute the features of data.

    Args:
        backbone: A backbone of timm; it is put into evaluation mode.
        batches: Normalized batches with ``image`` of shape ``(B, C, H, W)`` and
            ``label``, or ``mask`` of shape ``(B, H, W)`` and maybe ``valid``.
        pool: Class token or average of the others, for vision transformers; by default
            what the backbone does. Pixels need no pooling.
        pixels: Labelled pixels to draw from each image with a ``mask``; None for all.
        ignore_index: Label that does not count.
        generator: What draws the pixels.

    Returns:
        Features and labels of what has a label and data, on the CPU.

    Raises:
        EmptyDataError: If nothing has a label.
        ValueError: If the backbone cannot be pooled this way.
    """
    sources = {'': BackboneFeatures(backbone, pool)}
    return collect_from(sources, batches, pixels, ignore_index, generator)['']
