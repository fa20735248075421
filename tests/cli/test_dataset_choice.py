# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any dataset from words on the command line."""

from pathlib import Path
from typing import Any

import click
import pytest
import torchgeo.datasets
from pyproj import CRS

from torchgeo_hsi.cli._dataset import (
    DatasetChoice,
    choose_dataset,
    guess_class,
    split_arguments,
)
from torchgeo_hsi.datasets import (
    EnMAPL2A,
    HSICube,
    SimulatedEnMAP,
    SpectralEarth,
    SpectralEarthCDL,
)
from torchgeo_hsi.errors import HSIError, MetadataError, UnknownNameError
from torchgeo_hsi.transforms import RandomDihedral


def test_paths_and_arguments_are_told_apart() -> None:
    words = ['a', '--dataset.x', '1', 'b', '--dataset.y=[2, 3]', '--dataset.z', '-1']
    assert split_arguments(words) == (
        ['a', 'b'],
        ['--dataset.x=1', '--dataset.y=[2, 3]', '--dataset.z=-1'],
    )
    with pytest.raises(click.NoSuchOption, match='--datset'):
        split_arguments(['a', '--datset', 'b'])
    with pytest.raises(click.UsageError, match='lacks its value'):
        split_arguments(['--dataset.x'])


@pytest.mark.parametrize(
    ('name', 'options', 'paths', 'cls', 'expected'),
    [
        (
            'SpectralEarth',
            ['--dataset.crop_size=64', '--dataset.parts=[1, 2]'],
            ['data'],
            SpectralEarth,
            {'crop_size': 64, 'parts': [1, 2], 'root': 'data'},
        ),
        (
            'EnMAPL2A',
            ['--dataset.crs=EPSG:32632', '--dataset.quality=[]'],
            ['a', 'b'],
            EnMAPL2A,
            {'quality': [], 'crs': CRS.from_epsg(32632), 'paths': ['a', 'b']},
        ),
        (
            'EuroSAT',
            ['--dataset.split=val'],
            [],
            torchgeo.datasets.EuroSAT,
            {'split': 'val'},
        ),
        # a number is a fine name of a folder
        ('SimulatedEnMAP', ['--dataset.root=12'], [], SimulatedEnMAP, {'root': '12'}),
        (
            'torchgeo_hsi.datasets.HSICube',
            ['--dataset.bands=[0.64, 2]', '--dataset.paths=[x, y]'],
            [],
            HSICube,
            {'bands': [0.64, 2], 'paths': ['x', 'y']},
        ),
    ],
)
def test_by_name(
    name: str, options: list[str], paths: list[str], cls: Any, expected: Any
) -> None:
    choice = choose_dataset(name, None, options, paths)
    assert choice.cls is cls
    assert choice.arguments == expected


@pytest.mark.parametrize(
    ('name', 'options', 'paths', 'message'),
    [
        ('EroSAT', [], [], 'Did you mean EuroSAT'),
        ('a.b.C', [], [], 'There is no class a.b.C'),
        ('os.path', [], [], 'Expected a class'),
        ('EuroSAT', ['--dataset.split=foo'], [], "'train', 'val', 'test'"),
        ('EuroSAT', ['--dataset.foo=1'], [], '--dataset.foo'),
        ('EuroSAT', ['--dataset.paths=1'], [], "no argument 'paths'"),
        ('EnMAPL2A', ['--dataset.crs=12x'], [], '12x'),
        ('EnMAPL2A', ['--dataset.transforms=[1]'], [], 'Expected a class_path'),
        ('EuroSAT', [], ['a', 'b'], 'reads one folder, got 2 paths'),
        ('TemporalPairs', [], ['a'], 'takes no paths'),
        (None, [], [], '--dataset CLASS or --config FILE'),
        (None, [], ['/nowhere'], 'There is nothing at /nowhere'),
    ],
)
def test_what_cannot_be_understood(
    name: str | None, options: list[str], paths: list[str], message: str
) -> None:
    with pytest.raises((HSIError, click.UsageError, FileNotFoundError)) as error:
        choose_dataset(name, None, options, paths)
    assert message in (getattr(error.value, 'message', '') or str(error.value))


def test_by_config(tmp_path: Path) -> None:
    file = tmp_path / 'data.yaml'
    file.write_text(
        'dataset:\n'
        '  class_path: torchgeo_hsi.datasets.EnMAPL2A\n'
        '  init_args:\n'
        '    paths: [a, b]\n'
        '    cache: false\n'
        '    transforms:\n'
        '      class_path: torchgeo_hsi.transforms.RandomDihedral\n'
    )
    choice = choose_dataset(None, str(file), ['--dataset.cache=true'])
    assert choice.name == 'torchgeo_hsi.datasets.enmap_l2a.EnMAPL2A'
    transforms = choice.arguments['transforms']
    assert isinstance(transforms, RandomDihedral)
    assert {k: v for k, v in choice.arguments.items() if k != 'transforms'} == {
        'paths': ['a', 'b'],
        'cache': True,
    }
    # another class takes none of its arguments
    other = choose_dataset('EuroSAT', str(file))
    assert other == DatasetChoice(torchgeo.datasets.EuroSAT, {})
    file.write_text('model: {}\n')
    with pytest.raises(MetadataError, match='class_path and init_args of a dataset'):
        choose_dataset(None, str(file))
    file.write_text('a: [')
    with pytest.raises(MetadataError, match='is not YAML'):
        choose_dataset(None, str(file))
    file.write_text('class_path: EuroSAT\ninit_args: {foo: 1}\n')
    with pytest.raises(click.UsageError, match='foo'):
        choose_dataset(None, str(file))


def test_splits() -> None:
    choice = choose_dataset('SpectralEarthCDL', None, [], ['data'])
    assert choice.splits == ('train', 'val', 'test')
    chosen = choice.with_split('val')
    assert chosen == DatasetChoice(SpectralEarthCDL, {'root': 'data', 'split': 'val'})
    with pytest.raises(MetadataError, match=r'no split .vla.\. It has: train, val, t'):
        choice.with_split('vla')
    with pytest.raises(MetadataError, match='has no splits'):
        choose_dataset('EnMAPL2A', None, [], ['x']).with_split('val')


def test_class_follows_from_files(tmp_path: Path) -> None:
    scene = SimulatedEnMAP(tmp_path / 'deep' / 'scene', size=32)
    (image,) = scene.files
    for path in (tmp_path, tmp_path / 'deep' / 'scene', image):
        assert guess_class([str(path)]) == 'EnMAPL2A'
    cube = tmp_path / 'deep' / 'cube.hdr'
    cube.touch()
    assert guess_class([str(cube)]) == 'HSICube'
    opened = choose_dataset(None, None, ['--dataset.bands=[B48, B30]'], [image]).open()
    assert isinstance(opened, EnMAPL2A)
    assert opened.bands == ('B48', 'B30')


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean SpectralEarth'):
        choose_dataset('spectralearth', None)
