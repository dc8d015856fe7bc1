# SPDX-License-Identifier: MIT
"""`--no-skips`: a test that is skipped fails the run, as in CI for those that need no board."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail if a test is skipped")


def _skipped(config: pytest.Config) -> int:
    """How many tests were skipped, if none may be."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # none in a worker of xdist
    if reporter is None or not config.getoption("no_skips"):
        return 0
    return len(reporter.stats.get("skipped", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if count := _skipped(config):
        terminalreporter.write_line(f"{count} skipped, where no test may be", red=True)
