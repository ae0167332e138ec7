"""``report``: a benchmark says what it measured, beside a peer of the same run, and the ratio."""

import pytest

ROWS: list[tuple] = []


@pytest.fixture
def report():
    """``report(name, value, unit, peer, peer_value, faster="less")``; a ratio above 1 means better than the peer."""
    def add(name, value, unit, peer, peer_value, faster="less"):
        ratio = peer_value / value if faster == "less" else value / peer_value
        ROWS.append((name, value, unit, peer, peer_value, ratio))
        print(f"\n{name}: {value:.4g} {unit}; {peer}: {peer_value:.4g}; ratio {ratio:.3g}")
    return add


def pytest_terminal_summary(terminalreporter):
    if ROWS:
        terminalreporter.section("benchmarks (ratio > 1: better than the peer in the same run)")
    for name, value, unit, peer, peer_value, ratio in ROWS:
        terminalreporter.write_line(f"{name:48} {value:12.4g} {unit:20} {peer}: {peer_value:.4g}  ratio {ratio:.3g}")
