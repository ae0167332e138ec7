"""Shared by all tests: what was not exercised is told at the end, and in CI it is an error.

A test that cannot run somewhere says so with ``pytest.skip(reason)``.  With EBPFLAB_FORBID_SKIPS=1 a skip fails
unless ``ALLOWED_SKIPS`` names its reason: those are things that the machine of our CI cannot do at all.
"""

import os
import re

import pytest

#: (pattern of the reason, why CI's machine cannot do it)
ALLOWED_SKIPS: tuple[tuple[str, str], ...] = (
    (r"this kernel has no lirc_mode2", "CONFIG_BPF_LIRC_MODE2 is off in the kernel of CI's machine"),
)


@pytest.fixture
def local():
    """This machine's kernel as a target."""
    from ebpflab.errors import TargetError
    from ebpflab.targets.registry import open_target

    try:
        target = open_target("local")
    except TargetError as error:
        pytest.skip(error.what)
    with target:
        yield target


def _allowed(reason: str) -> bool:
    return any(re.search(pattern, reason) for pattern, _ in ALLOWED_SKIPS)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("EBPFLAB_FORBID_SKIPS") == "1" and report.skipped:
        reason = _reason(report)
        if not _allowed(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped where skips are forbidden: {reason}"


def pytest_collectreport(report):
    if os.environ.get("EBPFLAB_FORBID_SKIPS") == "1" and report.skipped and not _allowed(_reason(report)):
        report.outcome = "failed"
        report.longrepr = f"module skipped where skips are forbidden: {_reason(report)}"


def _reason(report) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "") or report.longrepr)


def pytest_terminal_summary(terminalreporter):
    reasons: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped") + terminalreporter.getreports("xfailed"):
        reasons.setdefault(_reason(report), []).append(report.nodeid)
    terminalreporter.section("not exercised")
    if not reasons:
        terminalreporter.write_line("nothing: every test ran")
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{len(tests):4d}  {reason}")
        for nodeid in tests[:3]:
            terminalreporter.write_line(f"        {nodeid}")
        if len(tests) > 3:
            terminalreporter.write_line(f"        … and {len(tests) - 3} more")
