# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views of the papers: their numbers, and their configurations."""

from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from transforms.views_data import batch, seeded, statistics
from transforms.views_parts import RECIPES, all_parts

from torchgeo_hsi.transforms import (
    MultiView,
    SpectralView,
    dino_views,
    intl_views,
    mae_views,
    moco_views,
)


@pytest.mark.parametrize('name', RECIPES)
class TestRecipes:
    def test_same_seed_same_views(self, name: str) -> None:
        given = [batch(3, 202), batch(3, 202)]
        first, second, other = (
            made(name, seed)(given) for seed in (seeded(5), seeded(5), seeded(6))
        )
        for a, b, c in zip(first, second, other, strict=True):
            assert torch.equal(a['image'], b['image'])
            assert a['image'].shape != c['image'].shape or not torch.equal(
                a['image'], c['image']
            )

    def test_torch_seed(self, name: str) -> None:
        found = []
        for _ in range(2):
            torch.manual_seed(3)
            found.append(made(name, None)(batch(2, 202))[0]['image'])
        assert torch.equal(*found)

    def test_input_is_left_alone(self, name: str) -> None:
        given = batch(3, 202, holes=True)
        before = {key: value.clone() for key, value in given.items()}
        made(name, seeded())([given, given])
        assert given.keys() == before.keys()
        assert all(torch.equal(given[key], before[key]) for key in before)

    def test_nothing_is_clipped(self, name: str) -> None:
        image = 3 * torch.randn(8, 12, 32, 32, generator=seeded())
        for view in RECIPES[name](32, generator=seeded())({'image': image}):
            assert view['image'].min() < -2
            assert view['image'].max() > 2

    def test_views_of_the_negative_are_negative(self, name: str) -> None:
        # what is clipped, or made relative to a range, is not linear
        image = 3 * torch.randn(4, 12, 32, 32, generator=seeded())
        first, second = (
            RECIPES[name](32, generator=seeded())({'image': sign * image})
            for sign in (1.0, -2.0)
        )
        for a, b in zip(first, second, strict=True):
            torch.testing.assert_close(b['image'], -2 * a['image'])


def made(name: str, seed: torch.Generator | None) -> MultiView:
    views = RECIPES[name](16, spectral=all_parts(seed), generator=seed)
    views.set_statistics(*statistics(202))
    return views


def numbers(views: MultiView) -> list[tuple[Any, ...]]:
    found = []
    for view in views.views:
        assert isinstance(view, SpectralView)
        blur = view.blur
        found.append(
            (
                view.size,
                view.crop.scale,
                view.flip.rotate,
                None if blur is None else (blur.p, blur.sigma, blur.kernel),
            )
        )
    return found


def test_numbers_of_the_papers() -> None:
    blur = (0.5, (0.1, 2.0), 13)
    assert numbers(moco_views()) == [(128, (0.08, 1.0), False, blur)] * 2
    assert numbers(dino_views()) == [(128, (0.05, 1.0), False, blur)] * 2
    local = (48, (0.05, 0.4), False, (0.5, (0.1, 2.0), 5))
    assert numbers(dino_views(local_views=6))[2:] == [local] * 6
    assert numbers(dino_views(96, 96, 1))[2][0] == 96
    assert numbers(mae_views()) == [(128, (0.4, 1.0), False, None)]
    first, second = numbers(intl_views())
    assert first[1] == second[1] == (0.08, 1.0)
    assert (first[3][0], second[3][0]) == (1.0, 0.1)
    crops = numbers(intl_views(224, multi_crop=True))
    assert [crop[0] for crop in crops] == [224, 224, 192, 160, 128, 96]
    assert crops[0][1] == crops[1][1] == (0.2, 1.0)
    assert crops[-1][1] == (0.086, 0.429)
    assert [c[0] for c in numbers(intl_views(128, True))] == [128, 128, 108, 92, 72, 56]
    assert numbers(intl_views(7, True))[-1][0] == 3
    assert numbers(moco_views(rotate=True))[0][2]


def test_negative_number_of_local_views() -> None:
    with pytest.raises(ValueError, match='local_views of 0 or more'):
        dino_views(local_views=-1)


CLASSES = {
    'class_path': 'torchgeo_hsi.transforms.MultiView',
    'init_args': {
        'views': [
            {
                'class_path': 'torchgeo_hsi.transforms.SpectralView',
                'init_args': {
                    'size': 16,
                    'scale': [0.2, 1.0],
                    'blur': 0.5,
                    'spectral': [
                        {
                            'class_path': 'torchgeo_hsi.transforms.Illumination',
                            'init_args': {'gain': [0.9, 1.1]},
                        },
                        {
                            'class_path': 'torchgeo_hsi.transforms.BandDropout',
                            'init_args': {'share': 0.1},
                        },
                        {'class_path': 'torchgeo_hsi.transforms.RandomSensor'},
                    ],
                },
            },
            {
                'class_path': 'torchgeo_hsi.transforms.SpectralView',
                'init_args': {'size': 8},
            },
        ]
    },
}


FUNCTION = {
    'class_path': 'torchgeo_hsi.transforms.dino_views',
    'init_args': {'size': 16, 'local_views': 2},
}


@pytest.mark.parametrize(('config', 'count'), [(CLASSES, 2), (FUNCTION, 4)])
def test_configurations(config: dict[str, Any], count: int) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument('--views', type=MultiView | None)
    parsed = parser.parse_object({'views': config})
    # jsonargparse 4.49 has another name for it
    new = hasattr(parser, 'instantiate')
    views = (parser.instantiate if new else parser.instantiate_classes)(parsed).views
    assert isinstance(views, MultiView)
    views.set_statistics(*statistics(202))
    assert len(views(batch(2, 202))) == count
