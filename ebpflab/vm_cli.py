"""``ebpflab vm``: guests from the command line, with progress."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from .errors import TargetError
from .vm import image
from .vm.machine import Machine

Kernel = Annotated[str, Parameter(help=f"{', '.join(image.RECIPES)} or lts; of Vagrant also generator and dut")]
Provider = Annotated[Literal["qemu", "vagrant"], Parameter(help="qemu: small, up in seconds; vagrant: a whole Debian")]
DEFAULT = image.ALIASES[""]

app = App(name="vm", help="Guests with kernels of their own: they stay up until halted, and notebooks use them as the "
                          "targets vm:KERNEL and vagrant:KERNEL.")


def machine(kernel: str, provider: str) -> Machine:
    """The machine that the options name, whether it is there or not."""
    if provider == "vagrant":
        from .vm.vagrant import VagrantMachine

        return VagrantMachine(kernel)
    from .vm.keeper import KeptMachine

    return KeptMachine(kernel)


@app.command
def up(*, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Have a guest run; its image is built the first time."""
    from .vm.progress import shown

    guest = machine(kernel, provider)
    with shown(f"{provider}:{kernel}") as progress:
        guest.up(progress)
    print(f"{guest.name} is running: target {'vm' if provider == 'qemu' else provider}:{kernel}")


@app.command
def status(*, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Is the guest up? Exit status 0 if it is, else 1."""
    guest = machine(kernel, provider)
    state = guest.state
    print(f"{guest.name}: {state}" + (f" ({why})" if state == "lost" and (why := guest.explain()) else ""))
    return 0 if state == "running" else 1


@app.command
def ssh(*command: Annotated[str, Parameter(allow_leading_hyphen=True)], kernel: Kernel = DEFAULT,
        provider: Provider = "qemu"):
    """A root shell in the guest, or COMMAND in it (Vagrant's guests; a guest of QEMU reads commands from stdin)."""
    guest = machine(kernel, provider)
    if guest.state != "running":
        raise TargetError(f"{guest.name} is not running", hint=f"ebpflab vm up --kernel {kernel} --provider {provider}")
    if provider == "vagrant":
        *options, dashes, host = guest.ssh()  # type: ignore[attr-defined]
        if command:
            return subprocess.run([*options, dashes, host, *command]).returncode
        return subprocess.run([*options, "-t", dashes, host, "sudo -i"]).returncode
    if command:
        raise TargetError("a guest of QEMU takes commands on standard input only",
                          hint="echo 'uname -a' | ebpflab vm ssh, or ebpflab vm ssh for a shell")
    return guest.shell()  # type: ignore[attr-defined]


@app.command
def snapshot(name: str, *, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Save the running guest as NAME; an older one of that name is replaced."""
    machine(kernel, provider).snapshot(name)
    print(f"saved: ebpflab vm restore {name}")


@app.command
def restore(name: str, *, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Have the guest as it was when NAME was saved; what it is now is lost."""
    machine(kernel, provider).restore(name)
    print(f"restored {name}")


@app.command
def halt(*, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Switch the guest off; its snapshots stay."""
    machine(kernel, provider).halt()


@app.command
def destroy(*, kernel: Kernel = DEFAULT, provider: Provider = "qemu"):
    """Switch the guest off and remove it with its snapshots."""
    machine(kernel, provider).destroy()


@app.command(name="list")
def list_(*, json_: Annotated[bool, Parameter(name="--json")] = False):
    """Every guest that can be had, its state, and its snapshots."""
    rows = [{"provider": "qemu", "kernel": kernel, "state": (guest := machine(kernel, "qemu")).state,
             "image": image.examine(kernel)[1], "snapshots": guest.snapshots()} for kernel in image.RECIPES]
    from .vm import vagrant

    made = vagrant.states()
    rows += [{"provider": "vagrant", "kernel": name, "state": state, "image": "", "snapshots": []}
             for name, state in made.items()]
    if json_:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['provider']:8} {row['kernel']:10} {row['state']:8} {row['image']}"
              + (f"  snapshots: {', '.join(row['snapshots'])}" if row["snapshots"] else ""))
    if not made:
        print("vagrant  no machine has been made yet", file=sys.stderr)
