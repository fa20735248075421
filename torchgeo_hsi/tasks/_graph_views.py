# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views of graphs by their names, as configurations write them."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import graphs
from ..errors import UnknownNameError
from ..graphs import ComposeViews, GraphView

#: What one view does: the names of its parts, each with its only number, or options.
type ViewOptions = Mapping[str, Any]

#: Classes of the parts by their names.
_PARTS = {
    'drop_edges': 'DropEdges',
    'add_edges': 'AddEdges',
    'mask_features': 'MaskFeatures',
    'spectral_perturbation': 'SpectralPerturbation',
    'dual_prism': 'DualPrism',
}

#: Views of each objective, after the papers and what was found on scenes.
DEFAULT_VIEWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'grace': (
        {'drop_edges': 0.3, 'mask_features': 0.2},
        {'drop_edges': 0.5, 'mask_features': 0.3},
    ),
    'bgrl': (
        {'drop_edges': 0.4, 'mask_features': 0.1},
        {'drop_edges': 0.1, 'mask_features': 0.2},
    ),
    'barlow_twins': (
        {'drop_edges': 0.5, 'mask_features': 0.2},
        {'drop_edges': 0.5, 'mask_features': 0.2},
    ),
    # the second view is the diffusion of the graph
    'mvgrl': ({}, {}),
}


def make_view(parts: ViewOptions) -> GraphView:
    """Build a view.

    Args:
        parts: Names of its parts, in order, each with its only number such as a
            probability, with a mapping of options, or with None for none.

    Returns:
        The view.

    Raises:
        UnknownNameError: If there is no such part.
    """
    found: list[GraphView] = []
    for name, value in parts.items():
        if name not in _PARTS:
            raise UnknownNameError('view', name, tuple(_PARTS))
        build = getattr(graphs, _PARTS[name])
        if isinstance(value, Mapping):
            found.append(build(**value))
        else:
            found.append(build() if value is None else build(value))
    return ComposeViews(*found)


def make_views(
    objective: str, views: Sequence[ViewOptions] | None
) -> tuple[GraphView, GraphView]:
    """Build both views of an objective.

    Args:
        objective: Name of the objective.
        views: What both do; by default what suits the objective.

    Returns:
        Both views.

    Raises:
        UnknownNameError: If there is no such part of a view.
        ValueError: If there are not two.
    """
    chosen = DEFAULT_VIEWS[objective] if views is None else views
    if isinstance(chosen, Mapping) or len(chosen) != 2:
        raise ValueError(
            'Expected views= to be two mappings, such as [{drop_edges: 0.3}, '
            f'{{drop_edges: 0.5}}], got {chosen!r}.'
        )
    return make_view(chosen[0]), make_view(chosen[1])
