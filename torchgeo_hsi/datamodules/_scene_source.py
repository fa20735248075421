# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the labelled scene of a data module comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..datasets.labelled_scenes.scene import LabelledScene
from ..errors import MetadataError


def load_scene(
    dataset: Any = None,
    scene: Any = None,
    labels: Any = None,
    options: Mapping[str, Any] | None = None,
) -> LabelledScene:
    """Open a labelled scene.

    Args:
        dataset: A benchmark (anything with a ``scene()`` that gives a
            :class:`~torchgeo_hsi.datasets.LabelledScene`), or such a scene itself.
        scene: Cube to open, if there is no dataset.
        labels: Its labels: raster, ``.mat`` or vector file.
        options: Options of :func:`~torchgeo_hsi.datasets.open_labelled_scene`; those
            that are None are left out, but for ``ignore``, where that means something.

    Returns:
        The scene.

    Raises:
        MetadataError: If there is neither a dataset, nor a scene with labels.
        ValueError: If both are given, or options for a dataset.
    """
    given = {k: v for k, v in (options or {}).items() if v is not None or k == 'ignore'}
    if dataset is None:
        if scene is None or labels is None:
            raise MetadataError(
                'Expected a scene and its labels, or a dataset of a benchmark, got '
                f'scene={scene!r} and labels={labels!r}. Name both files.'
            )
        from ..datasets.labelled_scenes.open import open_labelled_scene

        if isinstance(scene, Sequence) and not isinstance(scene, str):
            scene = list(scene)
        return open_labelled_scene(scene, labels, **given)
    if scene is not None or labels is not None:
        raise ValueError(
            'Expected either dataset=, or scene= and labels=, got both. Leave one out.'
        )
    if given:
        raise ValueError(
            f'{", ".join(given)} say how scene= and labels= are read, and a dataset knows '
            'that itself. Leave them out.'
        )
    if isinstance(dataset, LabelledScene):
        return dataset
    make = getattr(dataset, 'scene', None)
    found = make() if callable(make) else None
    if not isinstance(found, LabelledScene):
        raise MetadataError(
            'Expected a dataset of a labelled scene, such as '
            f'torchgeo_hsi.datasets.Salinas, got {type(dataset).__name__}. For other '
            'files, pass scene= and labels=.'
        )
    return found
