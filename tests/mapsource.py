"""A source of map contents for tests: a dict of bytes behind the TargetMap protocol, changed by the test."""

from __future__ import annotations

import time

from ebpflab.errors import TargetError
from ebpflab.spec import MapSpec
from ebpflab.targets.base import Snapshot


class DictMap:
    """Keeps what is written, reads what is there; ``die()`` makes it behave as a map whose target is gone."""

    def __init__(self, spec: MapSpec, cpus: int = 1):
        self.spec, self.cpus, self.data, self.dead, self.reads, self.missing = spec, cpus, {}, "", 0, 0
        self.width = -(-spec.value_size // 8) * 8 * cpus if spec.row.per_cpu else spec.value_size
        if "array" in spec.type:
            self.data = {i.to_bytes(4, "little"): bytes(self.width) for i in range(spec.max_entries)}

    def die(self, why: str = "the guest is gone") -> None:
        self.dead = why

    def _alive(self) -> None:
        if self.dead:
            raise TargetError(self.dead)

    def lookup(self, key):
        self._alive()
        return self.data.get(key)

    def update(self, key, value, flags=0):
        self._alive()
        assert len(key) == self.spec.key_size and len(value) == self.width, (key, value)
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, None) is not None

    def read(self):
        self._alive()
        self.reads += 1
        items = list(self.data.items())
        return Snapshot(self.spec, b"".join(k for k, _ in items), b"".join(v for _, v in items), len(items),
                        self.cpus, self.missing, time.monotonic())

    def close(self):
        pass
