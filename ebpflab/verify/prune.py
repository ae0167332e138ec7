"""Has this been proved already? Checkpoints, their comparison with the current state, and loops.

``arrive`` is ``is_state_visited``: at a prune point the current state is compared with the checkpoints made
there.  If an old one, known to be safe, admits everything the current one can be, the path ends.  Otherwise the
current state may become a checkpoint itself, by the kernel's rules of thumb about when that pays.

Inside a loop a checkpoint is not known to be safe yet when the walk comes round again; such *back edges* are
collected per loop and settled when all paths out of the loop's entry are done (``struct bpf_scc_visit``).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile

from ..isa.bits import JCOND, JMP
from . import precision
from .env import EINVAL, Env, Stop
from .log import frame_text
from .state import ASYNC, EMPTY, Frame, Slot, State
from .value import (
    ADD_CONST,
    ANY,
    ARENA,
    BASE,
    BUF,
    MAP_KEY,
    MAP_VALUE,
    MEM,
    NOT_INIT,
    PACKETS,
    SCALAR,
    STACK,
    TP_BUFFER,
    UNINIT,
    Reg,
)

LOOSE, EXACT, WITHIN = range(3)     # enum exact_level: NOT_EXACT, EXACT, RANGE_WITHIN
_MAX_ROUNDS = 64                    # MAX_BACKEDGE_ITERS


# ---- loops

class Visit:
    """One entry into a loop: the calls that led there and the loop's number, the state that entered, back edges."""

    __slots__ = ("backedges", "entry")

    def __init__(self) -> None:
        self.entry: State | None = None
        self.backedges: list[State] = []


def _loop_of(env: Env, state: State) -> tuple[int, ...] | None:
    """Call sites up to the outermost frame that is in a loop, and the loop's number; None outside of loops."""
    scc, top = env.shape.scc, len(state.frames) - 1
    if top == 0:
        return (scc[state.insn],) if scc[state.insn] else None
    calls: list[int] = []
    for number in range(top + 1):
        insn = state.insn_of(number)
        if scc[insn]:
            return (*calls, scc[insn])
        if number < top:
            calls.append(insn)
    return None


def _words(loop: tuple[int, ...]) -> str:
    calls = list(takewhile(bool, loop[:-1]))        # the kernel takes a call at 0 for the end
    return f"({','.join(map(str, [*calls, loop[-1]]))})"


def _enter_loop(env: Env, state: State) -> None:
    loop = _loop_of(env, state)
    if loop is None:
        return
    visit = env.visits.setdefault(loop, Visit())
    if visit.entry is None:
        visit.entry = state
        if env.level2:
            env.log.write(f"SCC enter {_words(loop)}\n")


def _exit_loop(env: Env, state: State) -> None:
    loop = _loop_of(env, state)
    if loop is None:
        return
    visit = env.visits[loop]
    if visit.entry is not state:
        return
    if env.level2:
        env.log.write(f"SCC exit {_words(loop)}\n")
    visit.entry = None
    env.backedges -= len(visit.backedges)
    _settle(env, visit)


def _settle(env: Env, visit: Visit) -> None:
    """Carry precision around the loop until nothing is new (``propagate_backedges``)."""
    rounds, changed = 0, True
    while changed:
        if rounds > _MAX_ROUNDS:
            if env.level2:
                env.log.write("propagate_backedges: too many iterations\n")
            for state in visit.backedges:
                precision.force_all(env, state)
            break
        rounds, changed = rounds + 1, False
        for state in visit.backedges:
            assert state.equal is not None
            changed |= precision.propagate(env, state.equal, state)
    visit.backedges = []


def _unsettled(env: Env, state: State) -> bool:
    """Are there back edges in the state's loop whose marks have not been carried around yet?"""
    if not env.backedges:
        return False
    loop = _loop_of(env, state)
    return loop is not None and loop in env.visits and bool(env.visits[loop].backedges)


def _peak(env: Env) -> None:
    env.states_peak = max(env.states_peak, env.states_now + env.states_retired + env.backedges)


def path_done(env: Env) -> None:
    """The current path has ended; checkpoints with no open path left are now safe (``update_branch_counts``)."""
    state: State | None = env.state
    child: State | None = None
    while state is not None:
        state.branches -= 1
        if state.branches:
            break
        _exit_loop(env, state)
        parent = state.parent
        if child is not None:
            _free(env, child)
        child = parent
        state = parent


def _free(env: Env, state: State) -> None:
    if state.retired and not state.branches and not _unsettled(env, state):
        state.retired = False
        env.states_retired -= 1


# ---- cleaning

def _clean(env: Env, state: State) -> None:
    """Forget what can no longer be read, so that more states are equal (``clean_verifier_state``)."""
    state.cleaned = True
    for number, frame in enumerate(state.frames):
        live = env.shape.live[state.insn_of(number)]
        frame.regs = [reg if live >> at & 1 or at == 10 else UNINIT for at, reg in enumerate(frame.regs)]
        frame.precise &= live
        slots = env.stack_liveness.alive(state, number)
        if frame.stack:
            frame.stack = tuple([slot if slots >> at & 1 else EMPTY for at, slot in enumerate(frame.stack)])
            frame.precise_slots &= slots


# ---- equality

class Ids:
    """Which id of the old state stands for which id of the current one (``struct bpf_idmap``)."""

    __slots__ = ("fresh", "now", "old")

    def __init__(self, fresh: int):
        self.old: dict[int, int] = {}
        self.now: dict[int, int] = {}
        self.fresh = fresh

    def agree(self, old: int, now: int) -> bool:
        if not old or not now:
            return old == now
        if old in self.old:
            return self.old[old] == now
        if now in self.now:
            return False
        self.old[old], self.now[now] = now, old
        return True

    def agree_scalar(self, old: int, now: int) -> bool:
        """An old number without links is as good as any; a current one without links is linked to itself."""
        if not old:
            return True
        if not now:
            self.fresh += 1
            now = self.fresh
        if not self.agree(old, now):
            return False
        return not old & ADD_CONST or self.agree(old & ~ADD_CONST, now & ~ADD_CONST)


def identical(old: Reg, now: Reg, ids: Ids) -> bool:
    return old.same(now) and ids.agree(old.id, now.id) and ids.agree(old.ref, now.ref)


def _admits(old: Reg, now: Reg, ids: Ids, level: int, precise: bool) -> bool:
    """If the old value was safe, is the current one (``regsafe``)?"""
    if level == EXACT:
        return identical(old, now, ids)
    if old.type == NOT_INIT and (level == LOOSE or now.type == NOT_INIT):
        return True
    if old.type != now.type:
        return False
    base = old.type & BASE
    if base == SCALAR:
        if not precise and level == LOOSE:
            return True
        if old.id and old.id & ADD_CONST != now.id & ADD_CONST:
            return False
        if old.id & ADD_CONST and old.off != now.off:
            return False
        return ids.agree_scalar(old.id, now.id) and old.num.admits(now.num)
    if base in (MAP_KEY, MAP_VALUE, MEM, BUF, TP_BUFFER):
        return (old.off == now.off and (old.data is now.data or old.data == now.data) and old.num.admits(now.num)
                and ids.agree(old.id, now.id) and ids.agree(old.ref, now.ref))
    if old.type in PACKETS:
        if old.data < 0 or now.data < 0:
            if old.data != now.data:
                return False
        elif old.data > now.data:
            return False
        return old.off == now.off and ids.agree(old.id, now.id) and old.num.admits(now.num)
    if base == STACK:
        return identical(old, now, ids) and old.frameno == now.frameno
    return base == ARENA or identical(old, now, ids)


def _whole(slot: Slot) -> Reg | None:
    """The number that an eight-byte load would give: a spilled one, or any if the bytes are plain."""
    if slot.types[0] == "r" and slot.reg.type == SCALAR:
        return slot.reg
    return ANY if slot.types.strip("m?") == "" else None


def _stack_admits(old: Frame, now: Frame, ids: Ids, level: int) -> bool:
    """Are the current slots as good as the old ones (``stacksafe``)?"""
    if not old.stack:
        return True
    if old.stack is now.stack and not any(slot.reg.id or slot.reg.ref for slot in old.stack):
        return True
    for at, slot in enumerate(old.stack):
        here = now.stack[at] if at < len(now.stack) else None
        if slot is here and not slot.reg.id and not slot.reg.ref:
            continue
        if level != LOOSE and (here is None or slot.types != here.types):
            return False
        if slot.types.strip("m?") == "":
            continue        # plain bytes: whatever is there now is as good
        if here is None or not _slot_admits(slot, here, ids, level, bool(old.precise_slots >> at & 1)):
            return False
    return True


def _slot_admits(slot: Slot, here: Slot, ids: Ids, level: int, precise: bool) -> bool:
    whole, now = _whole(slot), _whole(here)
    if whole is not None and now is not None:
        return _admits(whole, now, ids, level, precise)
    if any(kind not in "m?" and kind != here.types[byte] for byte, kind in enumerate(slot.types)):
        return False
    if slot.types[7] == "d":
        return slot.reg.data == here.reg.data and ids.agree(slot.reg.ref, here.reg.ref)
    if slot.types[7] == "r":
        return _admits(slot.reg, here.reg, ids, level, precise)
    return slot.types[7] in "m0?"


@lru_cache(maxsize=1 << 12)
def _members(live: int) -> tuple[int, ...]:
    """The registers of a bit mask."""
    return tuple([at for at in range(11) if live >> at & 1])


def equal(env: Env, old: State, now: State, level: int) -> bool:
    """``states_equal``"""
    if len(old.frames) != len(now.frames):
        return False
    ids = Ids(env.ids)
    if len(old.refs) != len(now.refs):
        return False
    for at, ref in enumerate(old.refs):
        other_ref = now.refs[at]
        if not ids.agree(ref.id, other_ref.id) or ref.lock is not other_ref.lock:
            return False
    for number, frame in enumerate(old.frames):
        other = now.frames[number]
        if frame.callsite != other.callsite or frame.rounds > other.rounds:
            return False
        for at in _members(env.shape.live[old.insn_of(number)]):
            before, here = frame.regs[at], other.regs[at]
            if before is here and not before.id and not before.ref:
                continue
            precise = frame.precise >> at & 1 == 1
            if before.type == SCALAR == here.type and not precise and level == LOOSE:
                continue
            if not _admits(before, here, ids, level, precise):
                return False
        if not _stack_admits(frame, other, ids, level):
            return False
    return True


def _maybe_looping(old: State, now: State) -> bool:
    """The same registers to the bit? Cheap, so it is asked first (``states_maybe_looping``)."""
    if len(old.frames) != len(now.frames):
        return False
    regs = now.frames[-1].regs
    for at, a in enumerate(old.frames[-1].regs):
        b = regs[at]
        if a is not b and not (a.id == b.id and a.ref == b.ref and a.same(b)):
            return False
    return True


def _endless(env: Env, old: State, now: State) -> bool:
    return (_maybe_looping(old, now) and equal(env, old, now, EXACT) and old.goto_depth == now.goto_depth
            and old.callback_depth == now.callback_depth)


def _other_entry(old: Frame, now: Frame) -> bool:
    """Two entries into an asynchronous callback: that their states are the same is no endless loop."""
    return old.role == ASYNC and old.entry != now.entry


# ---- arriving at a prune point

def arrive(env: Env, pc: int) -> bool:
    """True if the path ends here because an equal or weaker state was already proved safe."""
    state, shape = env.state, env.shape
    forced = env.every_state or shape.force[pc] or len(state.jumps) > 40
    add = forced or (env.jumps - env.jumps_before >= 2 and env.processed - env.processed_before >= 8)
    bucket = env.bucket(pc)
    for old in bucket:
        if not old.branches and not old.cleaned and old.insn == pc and old.same_calls(state) \
                and not _unsettled(env, old):
            _clean(env, old)
    found = 0
    loop = False        # as in the kernel it outlives the comparison it was set for
    for old in tuple(bucket):
        found += 1
        if old.insn != pc:
            continue
        if old.branches:
            if _other_entry(old.frame, state.frame):
                pass
            elif env.insns[pc].opcode == JMP | JCOND and old.goto_depth != state.goto_depth \
                    and equal(env, old, state, WITHIN):
                return _hit(env, pc, old, True)
            elif shape.calls_callback[pc]:
                if equal(env, old, state, WITHIN):
                    return _hit(env, pc, old, loop)
            elif _endless(env, old, state):
                env.say(f"infinite loop detected at insn {pc}")
                for word, each in (("cur", state), ("old", old)):
                    env.say(f"{word} state:{frame_text(each.frame, each.refs)}".rstrip("\n"))
                raise Stop(EINVAL)
            if not forced and env.jumps - env.jumps_before < 20 and env.processed - env.processed_before < 100:
                add = False
        else:
            loop = _unsettled(env, old)
            if equal(env, old, state, WITHIN if loop else LOOSE):
                return _hit(env, pc, old, loop)
        _miss(env, pc, old, bucket, add)
    env.states_per_insn = max(env.states_per_insn, found)
    if add:
        _checkpoint(env, pc, bucket)
    return False


def _hit(env: Env, pc: int, old: State, loop: bool) -> bool:
    old.hits += 1
    if env.shape.jump[pc]:
        env.record(0)
    precision.propagate(env, old, env.state)
    if loop:
        edge = env.state.copy()
        edge.equal, edge.insn = old, pc
        key = _loop_of(env, old)
        assert key is not None, "a back edge outside of a loop"
        if env.level2:
            env.log.write(f"SCC backedge {_words(key)}\n")
        env.visits[key].backedges.insert(0, edge)
        env.backedges += 1
        _peak(env)
    return True


def _miss(env: Env, pc: int, old: State, bucket: list[State], add: bool) -> None:
    if add:
        old.misses += 1
    patience = 64 if env.shape.force[pc] and old.branches > 0 else 3
    if old.misses > old.hits * patience + patience:
        old.retired = True
        bucket.remove(old)
        env.states_retired += 1
        env.states_now -= 1
        _free(env, old)


def _checkpoint(env: Env, pc: int, bucket: list[State]) -> None:
    state = env.state
    env.states_total += 1
    env.states_now += 1
    _peak(env)
    env.jumps_before, env.processed_before = env.jumps, env.processed
    for frame in state.frames:
        frame.precise = frame.precise_slots = 0
    new = state.copy()
    new.insn = pc
    _enter_loop(env, new)
    state.parent, state.first, state.depth, state.jumps = new, pc, new.depth + 1, []
    bucket.insert(0, new)
