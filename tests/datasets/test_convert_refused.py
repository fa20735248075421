# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Stores that are not gone on with, not believed, or not begun."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from data.conversion.data import Patches

from tests.datasets.converting import convert
from torchgeo_hsi.errors import EmptyDataError, MetadataError, OutputError
from torchgeo_hsi.io.store import StoreReader
from torchgeo_hsi.jobs import JobProgress

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


def test_no_room_for_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type('usage', (), {'free': 100})
    monkeypatch.setattr('shutil.disk_usage', lambda path: usage)
    with pytest.raises(OutputError, match='not enough for a shard'):
        convert(Patches(), tmp_path / 'store')


def test_other_data_do_not_go_on(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    first = convert(Patches(6), out)
    for changed, options, words in (
        (Patches(7), {}, 'number of samples'),
        (Patches(6), {'shard_mb': 1}, 'shard size'),
        (Patches(6), {'note': 'crop=8'}, 'arguments'),
    ):
        with pytest.raises(OutputError, match=rf'other data or options \({words}\)'):
            convert(changed, out, **options)
    assert StoreReader(out).checksum == first.checksum
    other = convert(Patches(7), out, overwrite=True)
    assert other.items == len(StoreReader(out)) == 7


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    class Files(Patches):
        root = str(tmp_path)

        @property
        def files(self) -> list[str]:
            return [f'{i}.npy' for i in range(self.count)]

    for i in range(4):
        (tmp_path / f'{i}.npy').write_bytes(b'one')
    report = convert(Files(4, bad=(1,)), tmp_path / 'store')
    assert report.failures[0].name == '1.npy'
    assert StoreReader(report.path).items[0]['name'] == '0.npy'  # type: ignore[index]
    (tmp_path / '2.npy').write_bytes(b'other')
    with pytest.raises(OutputError, match=r'other data or options \(files\)'):
        convert(Files(4), tmp_path / 'store')


def test_verify_finds_and_mends_damage(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    first = convert(Patches(), out, verify=True)
    file = next(
        p for p in sorted((out / 'image').rglob('*')) if p.stat().st_size > 5000
    )
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert convert(Patches(), out).written == 0
    report = convert(Patches(), out, verify=True)
    assert report.written == 1
    assert report.checksum == first.checksum


def test_verify_does_not_believe_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        'torchgeo_hsi.datasets.convert.verify_store', lambda path: ['image/c/0']
    )
    with pytest.raises(OutputError, match='not what was written, such as image/c/0'):
        convert(Patches(4), tmp_path / 'store', verify=True)


def test_folders_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / 'thesis.tex').write_text('years of work')
    for overwrite in (False, True):
        with pytest.raises(
            OutputError, match=r'holds other things, such as thesis\.tex'
        ):
            convert(Patches(), tmp_path, overwrite=overwrite)
    assert [file.name for file in tmp_path.iterdir()] == ['thesis.tex']
    with pytest.raises(OutputError, match='is a file'):
        convert(Patches(), tmp_path / 'thesis.tex')


def test_a_store_of_unknown_source(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    convert(Patches(4), out)
    (out / '.source.json').unlink()
    for _ in range(2):
        with pytest.raises(OutputError, match='not known what it was made from'):
            convert(Patches(4), out)
    assert convert(Patches(4), out, overwrite=True).checksum is not None


def test_datasets_that_cannot_be_converted(tmp_path: Path) -> None:
    class Random(Patches):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return {'image': torch.rand(8, 16, 16)}

    out = tmp_path / 'store'
    with pytest.raises(MetadataError, match='another one each time'):
        convert(Random(), out)
    with pytest.raises(EmptyDataError, match='no sample'):
        convert(Patches(0), out)
    with pytest.raises(MetadataError, match=r'dataset with a length, .* got generator'):
        convert((x for x in 'abc'), out)


def test_scenes_are_no_patches(tmp_path: Path) -> None:
    from torchgeo_hsi.datasets import SimulatedEnMAP

    scene = SimulatedEnMAP(tmp_path / 'scene', size=32)
    with pytest.raises(MetadataError, match='Convert its files: "torchgeo-hsi convert'):
        convert(scene, tmp_path / 'store')


def test_progress(tmp_path: Path) -> None:
    seen: list[JobProgress] = []
    convert(Patches(6), tmp_path / 'store', progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].note) == (2, 2, 'shard 1')
