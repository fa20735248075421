# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Programs that are interrupted or killed, or lack what worker processes need."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs signals of POSIX')


def script(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    file = tmp_path / 'script.py'
    file.write_text(textwrap.dedent(body))
    return subprocess.Popen(
        [sys.executable, str(file)],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


SLOW = """
    import os, signal, sys, time
    from pathlib import Path
    from torchgeo_hsi.jobs import run_jobs

    # a shell that starts tests in the background has them ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def work(number):
        Path(f'{os.getpid()}.pid').touch()
        time.sleep(100)

    if __name__ == '__main__':
        try:
            run_jobs(work, range(4), workers=2)
        except KeyboardInterrupt:
            print('interrupted')
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().split()[2] != 'Z'
    except OSError:
        return False


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='looks at /proc')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_program(tmp_path: Path, number: int) -> None:
    process = script(tmp_path, SLOW)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob('*.pid'))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(file.stem) for file in tmp_path.glob('*.pid')]
    assert len(pids) == 2
    # as a terminal does it: Ctrl-C goes to the workers, too
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.kill()
    out, err = process.communicate(timeout=120)
    if number == signal.SIGINT:
        assert (out, err) == ('interrupted\n', '')
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))
    # nothing is left where the user works
    left = [file for file in tmp_path.iterdir() if '.coverage' not in file.name]
    assert {file.suffix for file in left} == {'.pid', '.py'}


def test_script_without_guard(tmp_path: Path) -> None:
    process = script(
        tmp_path,
        """
        from torchgeo_hsi.jobs import run_jobs
        run_jobs(len, ['a', 'b'], workers=2)
        """,
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'below "if __name__ == \'__main__\':"' in err
