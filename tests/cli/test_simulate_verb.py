# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from torchgeo_hsi.cli.simulate import simulate
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.simulated import read_config, truth_file
from torchgeo_hsi.main import main
from torchgeo_hsi.physics.simulation import PlumeSource, SceneConfig


def run(root: Path, *words: str) -> None:
    result = CliRunner().invoke(simulate, [str(root), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert str(root) in result.output


def test_product_can_be_read(tmp_path: Path) -> None:
    run(tmp_path / 'a', '--size', '64', '--seed', '3', '--cloud-cover', '0')
    run(tmp_path / 'b', '--size', '64', '--seed', '3', '--cloud-cover', '0')
    run(tmp_path / 'c', '--size', '64', '--seed', '4', '--cloud-cover', '0')
    cubes = []
    for name in 'abc':
        with open_cube(tmp_path / name) as reader:
            assert reader.info.sensor == 'EnMAP'
            assert reader.info.shape == (224, 64, 64)
            cubes.append(reader.read([10, 60, 180])[0])
    np.testing.assert_array_equal(cubes[0], cubes[1])
    assert not np.array_equal(cubes[0], cubes[2])


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (['--cloud-cover', '2'], 'cloud-cover'),
        (['--size', '0'], 'size'),
        (['--seed', '-1'], 'seed'),
    ],
)
def test_bad_options(tmp_path: Path, words: list[str], reason: str) -> None:
    result = CliRunner().invoke(simulate, [str(tmp_path / 'x'), *words])
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / 'x').exists()


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(['simulate', *words])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_another_scene_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / 'overwrite=True')
    run(Path(root), '--size', '32', '--seed', '3')
    code, _, err = call(capsys, root, '--size', '16', '--seed', '3')
    assert code == 1
    (line,) = err.splitlines()
    assert f'{root} holds a scene with height=32, width=32, but height=16' in line
    assert line.endswith('Choose another folder, or pass --overwrite.')
    assert read_config(root) == SceneConfig(32, 32, 3)
    code, _, _ = call(capsys, root, '--size', '16', '--seed', '3', '--overwrite')
    assert code == 0
    assert read_config(root) == SceneConfig(16, 16, 3)


@pytest.mark.parametrize('words', [[], ['--overwrite']])
def test_something_else_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    thesis = tmp_path / 'thesis.txt'
    thesis.write_text('years of work')
    code, _, err = call(capsys, str(tmp_path), '--size', '16', *words)
    assert code == 1
    assert 'holds no simulated scene' in err
    assert 'overwrite' not in err
    assert list(tmp_path.iterdir()) == [thesis]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    with pytest.raises(SystemExit) as end:
        main(['simulate', str(tmp_path / 's'), '--size', '16'])
    assert not end.value.code
    assert 'Simulating' in terminal.getvalue()
    assert '100%' in terminal.getvalue()


def test_no_progress_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, str(tmp_path / 's'), '--size', '16')
    assert (code, err) == (0, '')
    assert out.startswith(f'Simulated EnMAP product: {tmp_path / "s"} (')


class TestPlume:
    WORDS = ('--size', '48', '--seed', '3', '--cloud-cover', '0', '--gas', 'methane')

    def test_options(self, tmp_path: Path) -> None:
        words = ['--rate', '9000', '--wind', '1', '--wind-from', '180']
        words += ['--position', '0.5', '0.6', '--duration', '300']
        words += ['--diffusivity', '15']
        run(tmp_path / 'scene', *self.WORDS, *words)
        config = read_config(tmp_path / 'scene')
        expected = PlumeSource('methane', 9000.0, 1.0, 180.0, (0.5, 0.6), 15.0, 300.0)
        assert config == SceneConfig(48, 48, 3, 0.0, plume=expected)
        file = truth_file(tmp_path / 'scene', 'TRUTH_GAS')
        assert file is not None
        with rasterio.open(file) as src:
            gas = src.read(1)
            assert src.descriptions == ('methane enhancement in ppm m',)
        inside = ~np.isnan(gas)
        expected_gas = expected.enhancement(48, 48)
        np.testing.assert_array_equal(gas[inside], expected_gas[inside])

    def test_defaults(self, tmp_path: Path) -> None:
        run(tmp_path / 'scene', *self.WORDS)
        run(tmp_path / 'scene', *self.WORDS)
        config = read_config(tmp_path / 'scene')
        assert config is not None
        assert config.plume == PlumeSource()

    def test_without_gas(self, tmp_path: Path) -> None:
        words = [str(tmp_path / 's'), '--wind-from', '20']
        result = CliRunner().invoke(simulate, words)
        assert result.exit_code == 2
        assert '--wind-from belongs to a plume' in result.output
        assert not (tmp_path / 's').exists()

    @pytest.mark.parametrize(
        ('words', 'reason'),
        [(['--gas', 'methan'], 'Did you mean methane'), ([], 'positive rate, got -2')],
    )
    def test_bad_plume(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        words: list[str],
        reason: str,
    ) -> None:
        words = [*self.WORDS, *(words or ['--rate', '-2'])]
        code, _, err = call(capsys, str(tmp_path / 's'), *words)
        assert code == 1
        assert reason in err
        assert not (tmp_path / 's').exists()

    def test_another_plume_is_there(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(tmp_path / 's', *self.WORDS)
        code, _, err = call(capsys, str(tmp_path / 's'), *self.WORDS, '--rate', '5')
        assert code == 1
        assert 'rate=2000.0' in err
        assert 'rate=5.0' in err
        assert err.rstrip().endswith('Choose another folder, or pass --overwrite.')
