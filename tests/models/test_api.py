# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Models by name; what importing them costs; the table of the documentation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from torchgeo_hsi import models
from torchgeo_hsi._registry import Registry
from torchgeo_hsi.cli.models import no_numbers
from torchgeo_hsi.errors import NameClashError, UnknownNameError
from torchgeo_hsi.models import api

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, '_MODELS', Registry('model'))


def test_names_of_timm_and_ours_agree() -> None:
    assert sorted(timm.list_models('spec_*')) == models.list_models('spec_*')
    found = models.list_models('spec_vit_*')
    sizes = [name for name in found if not name.endswith(('_series', '_wl'))]
    assert sizes == [
        'spec_vit_base',
        'spec_vit_giant',
        'spec_vit_huge',
        'spec_vit_large',
        'spec_vit_small',
        'spec_vit_tiny',
    ]


def test_get_model() -> None:
    model = models.get_model('spec_vit_tiny', in_chans=80, num_classes=None)
    assert isinstance(model, models.SpecVisionTransformer)
    assert model.num_classes == 0
    assert models.get_builder('spec_vit_tiny') is models.spec_vit_tiny


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match=r'Did you mean .*spec_vit_small'):
        models.get_model('spec_vit_smal')


@pytest.mark.usefixtures('empty_registry')
def test_register_model() -> None:
    @models.register_model
    def first() -> nn.Module:
        return nn.Identity()

    @models.register_model(name='other', owner='someone')
    def second() -> nn.Module:
        return nn.ReLU()

    assert models.list_models() == ['first', 'other']
    assert isinstance(models.get_model('other'), nn.ReLU)
    # what a plugin does: the same again is no clash, something else is
    models.register_model(second, name='other', owner='someone else')
    with pytest.raises(NameClashError, match=r'someone.*mine'):
        models.register_model(first, name='other', owner='mine')


def test_importing_needs_no_torchgeo() -> None:
    code = (
        'import sys, torchgeo_hsi.models as m, timm\n'
        'assert timm.is_model("spec_vit_small")\n'
        'heavy = {"torchgeo", "lightning", "segmentation_models_pytorch", "lightly"}\n'
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)\n'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def documentation() -> str:
    """Read the pages on models."""
    pages = (
        'models.rst',
        'pansharpening.rst',
        'pixel_classification.rst',
        'superresolution.rst',
    )
    folder = ROOT / 'docs' / 'api'
    return '\n'.join((folder / page).read_text(encoding='utf-8') for page in pages)


def test_table_of_the_documentation() -> None:
    text = documentation()
    rows = re.findall(r'\* - ``(spec_\w+)``\n\s+- ([\d ]+)\n', text)
    assert sorted(name for name, _ in rows) == models.list_models('spec_*')
    for name, count in rows:
        with torch.device('meta'), no_numbers():
            model = models.get_model(name)
        parameters = sum(p.numel() for p in model.parameters())
        assert parameters == int(count.replace(' ', '')), name


def test_all_public_names_are_documented() -> None:
    text = documentation()
    for name in models.__all__:
        assert re.search(rf'^\.\. auto(class|function):: {name}$', text, re.MULTILINE)
