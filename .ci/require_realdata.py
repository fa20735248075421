# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pytest plugin: no test on the real data may be skipped while the data is there."""

import pytest

#: How tests/conftest.py begins the reason where the data folder does not exist.
_ABSENT = 'Skipped: no real data in '

_wrongly_skipped: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each skipped test marked ``realdata``, unless there is no data at all."""
    if not (report.skipped and 'realdata' in report.keywords):
        return
    reason = (
        report.longrepr[2]
        if isinstance(report.longrepr, tuple)
        else str(report.longrepr)
    )
    if not reason.startswith(_ABSENT):
        _wrongly_skipped[report.nodeid] = reason


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for them."""
    if _wrongly_skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests, and why they were skipped."""
    if _wrongly_skipped:
        terminalreporter.section('skipped although the real data exists', red=True)
    for nodeid, reason in _wrongly_skipped.items():
        terminalreporter.write_line(f'{nodeid}: {reason}')
