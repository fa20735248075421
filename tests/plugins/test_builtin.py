# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Everything public is offered through our own hooks, under names that are free."""

import ast
import inspect
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import timm
from click.testing import CliRunner
from lightning.pytorch import Callback
from torch import nn

from torchgeo_hsi.cli import plugins as plugins_verb
from torchgeo_hsi.cli._methods import kind_of
from torchgeo_hsi.errors import NameClashError
from torchgeo_hsi.plugins import PluginHost, builtin
from torchgeo_hsi.plugins.kinds import KINDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'torchgeo_hsi'

#: Kinds whose parts are the public classes of a sub-package.
CLASSES = (
    'datasets',
    'datamodules',
    'samplers',
    'transforms',
    'losses',
    'metrics',
    'tasks',
)
#: Names in torchgeo_hsi.models that build no network.
HELPERS = {
    'add_lora',
    'backbone_from_checkpoint',
    'deep_hyperspectral_prior',
    'deep_image_prior',
    'export_spectral_earth_weights',
    'get_builder',
    'get_model',
    'list_models',
    'list_weights',
    'load_restoration_weights',
    'load_spectral_earth_weights',
    'lora_layers',
    'merge_lora',
    'register_model',
    'scale_lora',
    'trainable_share',
    'use_bands',
}
#: Arguments of networks, by kind, where their builders take them.
SMALLEST: dict[str, dict[str, Any]] = {
    'pansharpener': {'in_channels': 5},
    'superresolver': {'in_channels': 12},
    'pixel classifier': {'in_channels': 80, 'num_classes': 2},
    'neural operator': {'modes': (5, 5), 'width': 4},
}


@pytest.fixture(scope='module')
def host() -> PluginHost:
    """Return a host with nothing but our own parts."""
    host = PluginHost()
    host.register(builtin, builtin.OWNER)
    host.load_all()
    return host


def exported(part: str) -> set[str]:
    """Read the public names of a sub-package off its source."""
    tree = ast.parse((PACKAGE / part / '__init__.py').read_text('utf-8'))
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == '__all__'
    )
    return set(names)


def defined_classes(part: str) -> set[str]:
    """Read off the source which classes public modules define for everyone."""
    return {
        node.name
        for file in (PACKAGE / part).rglob('[!_]*.py')
        for node in ast.parse(file.read_text('utf-8')).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith('_')
    }


#: What the classes of a kind derive from.
BASES = {
    'datasets': 'Dataset',
    'datamodules': 'BaseDataModule',
    'samplers': 'Sampler',
    'transforms': 'Module',
    'losses': 'Module',
    'metrics': 'Metric',
    'tasks': 'BaseTask',
}


def is_a(cls: type, kind: str) -> bool:
    return BASES[kind] in [base.__name__ for base in cls.__mro__]


@pytest.mark.parametrize('kind', CLASSES)
class TestClasses:
    def test_every_public_class_is_offered(self, host: PluginHost, kind: str) -> None:
        module = import_module(f'torchgeo_hsi.{kind}')
        names = exported(kind) & defined_classes(kind)
        wanted = {name for name in names if is_a(getattr(module, name), kind)}
        assert wanted
        registry = host.registry(kind)
        assert set(registry.list()) == wanted
        for name in wanted:
            assert registry.get(name) is getattr(module, name)
            assert registry.owner(name) == 'torchgeo-hsi:hsi'

    def test_no_class_is_forgotten(self, kind: str) -> None:
        forgotten = []
        for file in (PACKAGE / kind).rglob('[!_]*.py'):
            path = file.relative_to(PACKAGE).with_suffix('')
            module = import_module('.'.join(['torchgeo_hsi', *path.parts]))
            for name, obj in inspect.getmembers(module, inspect.isclass):
                is_ours = obj.__module__ == module.__name__ and name[0] != '_'
                if is_ours and is_a(obj, kind) and name not in exported(kind):
                    forgotten.append(name)
        assert not forgotten

    def test_no_name_of_torchgeo(self, host: PluginHost, kind: str) -> None:
        parts = (
            'datamodules',
            'datasets',
            'losses',
            'models',
            'samplers',
            'tasks',
            'trainers',
            'transforms',
        )
        for name in host.registry(kind):
            for part in parts:
                other = getattr(import_module(f'torchgeo.{part}'), name, None)
                assert other is None, f'{name} is in torchgeo.{part}, too'


class TestModels:
    def test_every_builder_is_offered(self, host: PluginHost) -> None:
        from torchgeo_hsi import models

        builders = {
            name
            for name in exported('models') - HELPERS
            if inspect.isfunction(getattr(models, name))
        }
        assert builders
        registry = host.registry('models')
        assert builders <= set(registry.list())
        for name in builders:
            assert registry.get(name) is getattr(models, name)

    def test_every_network_has_a_builder(self, host: PluginHost) -> None:
        from torchgeo_hsi import models

        networks = {
            name
            for name in exported('models')
            if inspect.isclass(getattr(models, name))
            and issubclass(getattr(models, name), nn.Module)
        }
        # parts of a network, which make no scores by themselves
        networks -= {'FeaturePyramid', 'SpectralAdapter', 'SpectralWhitening'}
        # and what is trained around one
        networks -= {'SeriesAdapter', 'WavelengthAdapter', 'MaskedAutoencoder'}
        # denoisers of the images of a subspace, by the name of the method around them
        networks -= {'BM3D', 'CollaborativeFilter', 'WaveletShrinkage'}
        networks -= {'EigenImageNetwork', 'MeanDenoiser'}
        networks -= {name for name in networks if name.endswith('Head')}
        # what all methods of pansharpening share, and the network of one of them
        networks -= {'Pansharpener', 'MeasuringPansharpener', 'RhoNetwork'}
        networks -= {'SuperResolver', 'PixelClassifier'}
        assert networks
        registry = host.registry('models')
        backbones = ('spec_resnet50', 'spec_vit_tiny', 'spec_resnet18', 'dofa_small_wl')
        built = set()
        for name in (*backbones, 'spectral_mlp', 'segmenter', 'classifier'):
            words = {'num_classes': 2}
            words['in_chans' if name in backbones else 'in_channels'] = 202
            built.add(type(registry.get(name)(**words)).__name__)
        for name in ('hsdt_s', 'man_s', 'man_v1_s', 'svd', 'robust_subspace', 'lrtv'):
            built.add(type(registry.get(name)()).__name__)
        sharpeners = 0
        for name in registry:
            builder = registry.get(name)
            kind = kind_of(builder)
            if kind not in SMALLEST:
                continue
            sharpeners += kind == 'pansharpener'
            known = inspect.signature(builder).parameters
            words = {k: v for k, v in SMALLEST[kind].items() if k in known}
            built.add(type(builder(**words)).__name__)
        assert sharpeners >= 27
        # this one needs a package that is not installed with ours
        assert built == networks - {'BM4D'}
        assert 'bm4d' in registry

    def test_what_get_model_knows_is_offered(self, host: PluginHost) -> None:
        from torchgeo_hsi.models import get_builder, list_models

        registry = host.registry('models')
        ours = [n for n in list_models() if registry.owner(n) == 'torchgeo-hsi:hsi']
        assert ours == registry.list()
        assert all(registry.get(name) is get_builder(name) for name in ours)

    def test_backbones_are_in_timm(self, host: PluginHost) -> None:
        names = [n for n in host.registry('models') if n.startswith('spec_')]
        assert {'spec_resnet50', 'spec_vit_small'} <= set(names)
        assert [name for name in names if not timm.is_model(name)] == []


class TestSensorsAndCommands:
    def test_every_table_is_a_sensor(self, host: PluginHost) -> None:
        from torchgeo_hsi.physics import get_sensor, list_sensors

        registry = host.registry('sensors')
        assert {'enmap', 'prisma', 'emit', 'sentinel2'} <= set(registry.list())
        assert set(registry.list()) <= set(list_sensors())
        tables = {p.stem for p in (PACKAGE / 'physics' / 'sensors').glob('*.csv')}
        assert tables
        assert tables <= set(registry.list())
        for name in registry:
            assert registry.get(name) is get_sensor(name)

    def test_every_verb(self, host: PluginHost) -> None:
        files = [p.stem for p in (PACKAGE / 'cli').glob('[!_]*.py')]
        wanted = {
            command.name
            for file in files
            for command in import_module(f'torchgeo_hsi.cli.{file}').COMMANDS
        }
        assert {'run', 'fit', 'simulate', 'info'} <= wanted
        assert set(host.registry('commands').list()) == wanted


class TestTogether:
    def test_nothing_failed(self, host: PluginHost) -> None:
        (record,) = host.records.values()
        assert record.errors == []
        implemented = {
            name
            for name, obj in vars(builtin).items()
            if name.startswith('register_') and callable(obj)
        }
        assert set(record.hooks) == implemented
        # metrics have no sub-package of their own yet; every hook that is used offers
        assert implemented | {'register_metrics'} == {k.hook for k in KINDS.values()}
        for name in implemented:
            assert len(host.registry(name.removeprefix('register_')))

    def test_no_class_name_twice(self, host: PluginHost) -> None:
        names = Counter(name for kind in CLASSES for name in host.registry(kind))
        names.update(exported('callbacks') & defined_classes('callbacks'))
        assert {name for name, count in names.items() if count > 1} == set()

    def test_clash_with_torchgeo_is_found(self, host: PluginHost) -> None:
        # all of torchgeo is imported by now, and its own names are refused
        upstream = sys.modules['torchgeo.samplers']
        taken = type(
            'GriddedPatchSampler', upstream.GriddedPatchSampler.__mro__[1:2], {}
        )
        with pytest.raises(NameClashError, match=r"'torchgeo\.samplers'"):
            KINDS['samplers'].check(taken, None, builtin.OWNER)

    def test_are_listed_by_the_verb(self, host: PluginHost) -> None:
        (command,) = plugins_verb.COMMANDS
        result = CliRunner().invoke(command, ['--parts'], catch_exceptions=False)
        assert result.exit_code == 0
        for kind in CLASSES:
            for name in host.registry(kind):
                assert name in result.output, name


class TestShortNames:
    """What a configuration of ``torchgeo-hsi fit`` may say."""

    def resolved(self, base: type[Any], name: str, *arguments: str) -> str:
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--part', type=base)
        words = [f'--part.{argument}' for argument in arguments]
        found: str = parser.parse_args([f'--part={name}', *words]).part.class_path
        return found

    def test_callbacks(self) -> None:
        from torchgeo_hsi import callbacks

        names = exported('callbacks') & defined_classes('callbacks')
        assert {'GeoTIFFCubeWriter', 'MapFigure', 'ScoreFile'} <= names
        for name in names:
            cls = getattr(callbacks, name)
            assert issubclass(cls, Callback)
            path = f'{cls.__module__}.{name}'
            needed = (
                ('datamodule=SimulatedEnMAPDataModule',)
                if name == 'OnlineProbe'
                else ()
            )
            assert self.resolved(Callback, name, *needed) in (
                path,
                f'torchgeo_hsi.callbacks.{name}',
            )
            assert not hasattr(import_module('lightning.pytorch.callbacks'), name)

    @pytest.mark.parametrize('kind', ['tasks', 'datamodules'])
    def test_tasks_and_datamodules(self, host: PluginHost, kind: str) -> None:
        module = import_module(f'torchgeo.{kind}')
        base = {'tasks': 'BaseTask', 'datamodules': 'BaseDataModule'}[kind]
        for name in host.registry(kind):
            cls = host.registry(kind).get(name)
            if inspect.isabstract(cls):
                continue
            found = self.resolved(getattr(module, base), name)
            assert found.startswith(f'torchgeo_hsi.{kind}.')
            assert found.endswith(f'.{name}')
