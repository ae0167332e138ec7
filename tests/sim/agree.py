"""One small program, what it returns in every tier and in this machine's kernel."""

from ebpflab.asm import assemble
from ebpflab.sim import Machine, packets

from .conftest import TIERS

FRAME = packets.udp(b"payload")


def signed(value: int) -> int:
    """A return value as the int that it is."""
    return value - (1 << 32) if value >> 31 else value


def simulated(text: str, type_: str = "xdp", data: bytes = FRAME, **options) -> int:
    """What the program returns, the same in every tier, each on a machine of its own."""
    found = {tier: signed(Machine().load(assemble(text, type=type_)).run(data, tier=tier, **options).retval)
             for tier in TIERS}
    assert len(set(found.values())) == 1, found
    return found["interpreter"]


def agreed(oracle, text: str, type_: str = "xdp", data: bytes = FRAME) -> int:
    """What the program returns, here and in the kernel."""
    found = simulated(text, type_, data)
    kernel = oracle.load(assemble(text, type=type_))
    done = oracle.run(kernel, data)
    oracle.session.close(kernel)
    assert isinstance(done, tuple), f"the kernel did not run it: errno {done}"
    assert found == signed(done[0])
    return found
