"""Every program type in a guest kernel: what can only be done there, and all that the host does as well."""

import time

import pytest

# the same tests as on the host, with the fixture below in the place of this machine's kernel
from ..programs.test_cgroup_hooks import test_cgroup_device, test_it_goes_with_everything_in_it, test_sock_ops  # noqa: F401
from ..programs.test_map_types import *  # noqa: F403
from ..programs.test_net_hooks import *  # noqa: F403
from ..programs.test_records import *  # noqa: F403
from ..programs.trace_checks import *  # noqa: F403

pytestmark = pytest.mark.vm


@pytest.fixture
def kernel(guest):
    before = {kind: guest.session.ids(kind) for kind in ("prog", "map", "link")}
    handles = guest.session.handles()
    yield guest
    for thing in reversed(list(guest)):
        thing.close()
    assert guest.session.handles() == handles
    end = time.monotonic() + 10
    while (after := {kind: guest.session.ids(kind) for kind in before}) != before and time.monotonic() < end:
        time.sleep(0.05)
    assert after == before
