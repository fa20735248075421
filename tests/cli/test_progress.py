# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How verbs show that they are at work, and nothing of it where nobody looks."""

import io
import sys
import time
from pathlib import Path

import pytest
from cli.sharpening import write_pair

from torchgeo_hsi.cli._progress import show_counts
from torchgeo_hsi.main import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watch(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Look at standard error; not in a fixture, after which pytest takes it back."""
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    return terminal


def test_what_nobody_can_count_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    now = [0.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    with show_counts('images') as tell:
        tell('Features of train', 4)
        now[0] = 2.0
        tell('Features of train', 20)
    lines = terminal.getvalue().split('\r\x1b[K')
    assert 'Features of train: 4 images' in lines
    assert 'Features of train: 20 images (10.0 images/s)' in lines
    assert lines[-1] == ''


def test_info_reads_all_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watch(monkeypatch)
    _, cube = write_pair(tmp_path)
    for word, is_told in (('--scan', True), ('--no-scan', False)):
        with pytest.raises(SystemExit):
            main(['info', str(cube), word])
        assert ('Reading 100%' in terminal.getvalue()) is is_told
        terminal.truncate(0)
    assert 'Reading' not in capsys.readouterr().out
