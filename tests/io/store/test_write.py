# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of writing, finishing and checking stores."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_store
from small_store import SPEC, arrays, build, items, write

from torchgeo_hsi.errors import CorruptFileError, MetadataError, OutputError
from torchgeo_hsi.io.store import (
    FieldSpec,
    StoreReader,
    StoreSpec,
    create_store,
    done_shards,
    finish_store,
    is_store,
    read_spec,
    reopen_store,
    store_kind,
    verify_store,
    write_shard,
)


def files(path: Path) -> dict[str, str]:
    """Return the checksum of every file of a folder."""
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob('*'))
        if file.is_file()
    }


class TestCreate:
    def test_states(self, tmp_path: Path) -> None:
        path = tmp_path / 'a' / 'store'
        assert not is_store(path)
        assert store_kind(tmp_path) is None
        create_store(path, SPEC)
        create_store(path, SPEC)
        assert is_store(path)
        assert store_kind(path) == 'patches'
        assert read_spec(path) == SPEC
        assert done_shards(path) == {}
        with pytest.raises(FileNotFoundError, match='not finished'):
            StoreReader(path)
        build(path)
        create_store(path, SPEC)
        assert read_spec(path) == SPEC

    @pytest.mark.parametrize('finished', [False, True])
    def test_other_specification(self, tmp_path: Path, finished: bool) -> None:
        create_store(tmp_path / 's', SPEC)
        if finished:
            build(tmp_path / 's')
        other = StoreSpec(SPEC.fields, 12, 4, SPEC.attributes)
        with pytest.raises(OutputError, match='other items: items is 11 there, and 12'):
            create_store(tmp_path / 's', other)

    def test_folder_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / 'zarr.json').write_text('{"attributes": {}}')
        with pytest.raises(OutputError, match='holds no store'):
            create_store(tmp_path, SPEC)
        assert not is_store(tmp_path)

    def test_nothing_there(self, tmp_path: Path) -> None:
        for call in (read_spec, done_shards, finish_store, verify_store):
            with pytest.raises(FileNotFoundError, match='no'):
                call(tmp_path)

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='another folder'):
            create_store(tmp_path / 'file' / 's', SPEC)

    def test_without_numcodecs(
        self, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, 'numcodecs', None)
        with pytest.raises(ImportError, match=r'torchgeo-hsi\[store\]'):
            create_store(tmp_path, SPEC)
        with pytest.raises(ImportError, match=r'torchgeo-hsi\[store\]'):
            StoreReader(store)

    def test_newer_version(self, tmp_path: Path, store: Path) -> None:
        shutil.copytree(store, tmp_path / 's')
        group = tmp_path / 's' / 'zarr.json'
        group.write_text(group.read_text().replace('"version": 1', '"version": 2'))
        with pytest.raises(MetadataError, match='Update torchgeo-hsi'):
            read_spec(tmp_path / 's')
        with pytest.raises(MetadataError, match='Update torchgeo-hsi'):
            StoreReader(tmp_path / 's')


class TestWrite:
    def test_bytes_do_not_depend_on_order_or_threads(
        self, tmp_path: Path, store: Path
    ) -> None:
        path = tmp_path / 's'
        create_store(path, SPEC)
        digests = {}
        for shard in (2, 0, 1, 0):
            part = SPEC.shard_range(shard)
            cut = slice(part.start, part.stop)
            some = {name: array[cut] for name, array in arrays().items()}
            digests[shard] = write_shard(path, shard, some, items()[cut], threads=3)
        assert done_shards(path) == digests == done_shards(store)
        assert finish_store(path) == StoreReader(store).checksum
        assert files(path) == files(store)
        assert finish_store(path) == StoreReader(store).checksum

    def test_rows_of_missing_items_do_not_matter(
        self, tmp_path: Path, store: Path
    ) -> None:
        create_store(tmp_path, SPEC)
        some = {name: array[4:8].copy() for name, array in arrays().items()}
        some['image'][1] = 7
        before = some['image'].copy()
        digest = write_shard(tmp_path, 1, some, items()[4:8])
        assert digest == done_shards(store)[1]
        assert np.array_equal(some['image'], before)

    def test_negative_zero_is_stored(self, tmp_path: Path) -> None:
        spec = StoreSpec({'a': FieldSpec((40, 40), 'float32')}, 1, 1)
        create_store(tmp_path, spec)
        write_shard(tmp_path, 0, {'a': np.full((1, 40, 40), -0.0, 'float32')}, [{}])
        finish_store(tmp_path)
        assert np.signbit(StoreReader(tmp_path).read(0)['a']).all()

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            ('few items', 'Expected 4 items'),
            ('no field', 'Expected the fields'),
            ('shape', 'Expected image of shape'),
            ('dtype', 'and type int16'),
        ],
    )
    def test_bad_arrays(self, tmp_path: Path, change: str, message: str) -> None:
        create_store(tmp_path, SPEC)
        some = {name: array[:4] for name, array in arrays().items()}
        rows = items()[:4]
        if change == 'few items':
            rows = rows[:3]
        elif change == 'no field':
            del some['label']
        elif change == 'shape':
            some['image'] = some['image'][:, :5]
        else:
            some['image'] = some['image'].astype('int32')
        with pytest.raises(ValueError, match=message):
            write_shard(tmp_path, 0, some, rows)

    def test_no_such_shard(self, tmp_path: Path) -> None:
        create_store(tmp_path, SPEC)
        with pytest.raises(IndexError, match='0 to 2'):
            write_shard(tmp_path, 3, {}, [])

    def test_finished(self, store: Path) -> None:
        with pytest.raises(OutputError, match='reopen_store'):
            write(store, 0)

    def test_shards_missing(self, tmp_path: Path) -> None:
        create_store(tmp_path, SPEC)
        write(tmp_path, 1)
        with pytest.raises(OutputError, match=r'lacks 2 of 3 shards \(0, 2\)'):
            finish_store(tmp_path)


def timed_run(command: list[str]) -> float:
    """Run to the end; return the seconds after the line that says ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b'ready\n'
        start = time.perf_counter()
        assert process.wait() == 0
        return time.perf_counter() - start


def killed_run(command: list[str], seconds: float) -> bool:
    """Run, and kill some seconds after the line that says ready; was it in time?"""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b'ready\n'
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


class TestInterruptions:
    @pytest.mark.parametrize('seed', [0])
    def test_five_kills(self, tmp_path: Path, store: Path, seed: int) -> None:
        draw = random.Random(seed)
        command = [sys.executable, small_store.__file__]
        undisturbed = timed_run([*command, str(tmp_path / 'undisturbed')])
        killed = 0
        for _ in range(5):
            # a part of the time that it takes on this machine: never too late
            seconds = draw.uniform(0, undisturbed / 2)
            killed += killed_run([*command, str(tmp_path / 's')], seconds)
        assert killed
        assert build(tmp_path / 's') == StoreReader(store).checksum
        assert files(tmp_path / 's') == files(store)

    @pytest.mark.parametrize('what', ['record', 'image', 'label'])
    def test_power_failure(self, tmp_path: Path, store: Path, what: str) -> None:
        create_store(tmp_path, SPEC)
        write(tmp_path, 0)
        write(tmp_path, 1)
        victim = {
            'record': tmp_path / '.shards' / '00000001.json',
            'image': tmp_path / 'image' / 'c.1.0.0.0',
            'label': tmp_path / 'label' / 'c.1',
        }[what]
        if what == 'label':
            victim.unlink()
        else:
            victim.write_bytes(victim.read_bytes()[:20])
        assert list(done_shards(tmp_path)) == [0]
        assert build(tmp_path) == StoreReader(store).checksum

    def test_full_disk(self, tmp_path: Path, store: Path) -> None:
        path = tmp_path / 's'
        create_store(path, SPEC)
        write(path, 0)
        before = files(path)
        script = (
            'import resource, sys; sys.path.insert(0, sys.argv[2])\n'
            'from pathlib import Path\n'
            'from small_store import write\n'
            'from torchgeo_hsi.errors import OutputError\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n'
            'try:\n    write(Path(sys.argv[1]), 1)\n'
            'except OutputError as error:\n    print(error)\n'
        )
        folder = str(Path(small_store.__file__).parent)
        done = subprocess.run(
            [sys.executable, '-c', script, str(path), folder],
            capture_output=True,
            text=True,
            check=True,
        )
        assert 'free some space' in done.stdout
        assert files(path) == before
        assert build(path) == StoreReader(store).checksum

    def test_leftovers_of_other_writers_go(self, tmp_path: Path) -> None:
        (tmp_path / '.scratch' / '.00000001.x.part').mkdir(parents=True)
        build(tmp_path)
        names = {entry.name for entry in tmp_path.iterdir()}
        assert names == {*SPEC.fields, 'zarr.json', 'items.npz', 'checksums.json'}


class TestVerify:
    def test_sound(self, store: Path) -> None:
        assert verify_store(store) == []

    @pytest.mark.parametrize('damage', ['flip', 'cut', 'remove'])
    def test_repair(self, tmp_path: Path, store: Path, damage: str) -> None:
        path = tmp_path / 's'
        shutil.copytree(store, path)
        victim = path / 'image' / 'c.1.0.0.0'
        content = bytearray(victim.read_bytes())
        if damage == 'flip':
            content[-1] ^= 1
            victim.write_bytes(content)
        elif damage == 'cut':
            victim.write_bytes(content[:-1])
        else:
            victim.unlink()
        found = verify_store(path)
        assert found == ['image/c.1.0.0.0']
        assert reopen_store(path, found) == [1]
        with pytest.raises(FileNotFoundError, match='not finished'):
            StoreReader(path)
        assert list(done_shards(path)) == [0, 2]
        assert build(path) == StoreReader(store).checksum
        assert files(path) == files(store)

    def test_item_table(self, tmp_path: Path, store: Path) -> None:
        path = tmp_path / 's'
        shutil.copytree(store, path)
        (path / 'items.npz').write_bytes(b'PK')
        assert verify_store(path) == ['items.npz']
        with pytest.raises(CorruptFileError, match='convert again'):
            reopen_store(path, ['items.npz'])
        with pytest.raises(CorruptFileError, match='item table'):
            StoreReader(path)

    def test_unknown_file(self, store: Path) -> None:
        with pytest.raises(ValueError, match='got nothing'):
            reopen_store(store, ['nothing'])

    def test_checksums_damaged(self, tmp_path: Path, store: Path) -> None:
        path = tmp_path / 's'
        shutil.copytree(store, path)
        (path / 'checksums.json').write_text('{')
        with pytest.raises(CorruptFileError, match='convert again'):
            verify_store(path)

    def test_checksums_are_those_of_the_files(self, store: Path) -> None:
        sums = json.loads((store / 'checksums.json').read_text())
        listed = {'items.npz': sums['items'][1]}
        for shard in sums['shards']:
            listed |= {name: digest for name, (_, digest) in shard['files'].items()}
        there = files(store)
        assert all(there[name] == digest for name, digest in listed.items())
        metadata = {'zarr.json', 'checksums.json'}
        assert {n for n in there if Path(n).name not in metadata} == set(listed)
