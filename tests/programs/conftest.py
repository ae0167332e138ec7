"""``kernel``: the target that a test runs on. Here it is this machine's kernel; tests/vm runs the same in a guest."""

import pytest

from ebpflab.errors import TargetError
from ebpflab.targets.registry import open_target


@pytest.fixture
def kernel():
    try:
        target = open_target("local")
    except TargetError as error:
        pytest.skip(str(error))
    with target:
        yield target
        session = target.session
    assert session.handles() == []
