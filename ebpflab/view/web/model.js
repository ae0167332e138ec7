// The trace as the browser keeps it. The format is written down in ebpflab/view/payload.py.
// The files of this folder are put together to one module, in the order that __init__.py has.

const KINDS = ["insn", "pruned", "rejected"];
const BRANCHES = ["", "fall", "taken"];
const STACK_BIT = 11;
const FRAMES = -1;
const UNPACKED = 64; // chunks kept unpacked

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const readJson = async (bytes) => JSON.parse(new TextDecoder().decode(await inflate(bytes)));

function littleEndian(bytes, Type, start, count) {
  const size = Type.BYTES_PER_ELEMENT;
  return new Type(bytes.slice(start, start + count * size).buffer);
}

// `source` has chunk(k), touched() and reason(), all promising compressed bytes.
class TraceModel {
  static async open(head, columns, source) {
    return new TraceModel(head, await inflate(columns), source);
  }

  constructor(head, columns, source) {
    const n = (this.length = head.steps);
    this.head = head;
    this.source = source;
    this.pc = littleEndian(columns, Uint32Array, 0, n);
    this.back = littleEndian(columns, Uint32Array, 4 * n, n);
    this.flags = columns.subarray(8 * n, 9 * n);
    this.chunks = new Map();
    this.row = new Map(head.listing.map((row, at) => [row.pc, at]));
    this.forks = new Map(); // step -> later steps that continue it, other than the very next one
    this.visitsOf = new Map(); // pc -> its steps
    this.prunedAt = new Map(); // pc -> how often a path was cut short there
    for (let i = 0; i < n; i++) {
      const pc = this.pc[i];
      if (this.visitsOf.has(pc)) this.visitsOf.get(pc).push(i);
      else this.visitsOf.set(pc, [i]);
      if (this.back[i] > 1) {
        const parent = i - this.back[i];
        if (this.forks.has(parent)) this.forks.get(parent).push(i);
        else this.forks.set(parent, [i]);
      }
      if (this.kind(i) === "pruned") this.prunedAt.set(pc, (this.prunedAt.get(pc) || 0) + 1);
    }
  }

  kind(i) { return KINDS[this.flags[i] & 3]; }
  branch(i) { return BRANCHES[(this.flags[i] >> 2) & 3]; }
  parent(i) { return this.back[i] ? i - this.back[i] : -1; }
  follows(i) { return i > 0 && this.back[i] === 1; }
  children(i) {
    const next = i + 1 < this.length && this.back[i + 1] === 1 ? [i + 1] : [];
    return next.concat(this.forks.get(i) || []);
  }

  // 1 for every step of one way through step `i`, from the start to its end; to the rejection where there is one.
  path(i) {
    const on = new Uint8Array(this.length);
    const up = (from) => { for (let at = from; at >= 0 && !on[at]; at = this.parent(at)) on[at] = 1; };
    const wrong = this.head.verdict.step;
    if (wrong != null) {
      up(wrong);
      if (on[i]) return on;
      on.fill(0);
    }
    up(i);
    for (let at = this.children(i)[0]; at !== undefined; at = this.children(at)[0]) on[at] = 1;
    return on;
  }

  chunkOf(i) { return Math.floor(i / this.head.chunk); }
  ready(i) { return this.chunks.get(this.chunkOf(i))?.cells !== undefined; }

  // Promise of the chunk that holds step i; asked for once, again only after a failure.
  load(i) {
    const k = this.chunkOf(i);
    if (!this.chunks.has(k)) {
      const coming = this.source.chunk(k).then(readJson).then((chunk) => {
        for (const cell of chunk.cells) if (cell?.bytes && cell.value) cell.value = chunk.cells[cell.value];
        this.chunks.delete(k);
        this.chunks.set(k, chunk);
        if (this.chunks.size > UNPACKED) this.chunks.delete(this.chunks.keys().next().value);
        return chunk;
      });
      coming.catch(() => this.chunks.delete(k));
      this.chunks.set(k, coming);
    }
    return Promise.resolve(this.chunks.get(k));
  }

  async loadTouched() {
    this.touched ??= littleEndian(await inflate(await this.source.touched()), Uint16Array, 0, this.length);
  }

  // Why the program was refused, null if it was not; the promise of it.
  reason() {
    return (this.reasons ??= this.source.reason().then(readJson));
  }

  // The row of the listing for step i.
  insn(i) { return this.head.listing[this.row.get(this.pc[i])]; }

  // {before, after}: Map key -> cell, {notes, text} of step i, whose chunk must be ready.
  states(i) {
    const chunk = this.chunks.get(this.chunkOf(i));
    const chain = [];
    for (let at = i; at >= chunk.first; at = this.parent(at)) chain.push(at - chunk.first);
    const state = new Map();
    const apply = (delta) => {
      for (let j = 0; j < delta.length; j += 2) {
        if (delta[j + 1]) state.set(delta[j], delta[j + 1]);
        else state.delete(delta[j]);
      }
    };
    while (chain.length > 1) {
      const at = chain.pop();
      apply(chunk.enter[at]);
      apply(chunk.leave[at]);
    }
    const at = chain[0];
    apply(chunk.enter[at]);
    const filled = () => new Map([...state].map(([key, cell]) => [key, chunk.cells[cell]]));
    const before = filled();
    apply(chunk.leave[at]);
    return { before, after: filled(), notes: chunk.notes[at] || [], cells: chunk.cells };
  }

  text(i) {
    const chunk = this.chunks.get(this.chunkOf(i));
    return chunk?.texts?.[i - chunk.first] ?? this.insn(i)?.text ?? "";
  }
}

// The cells of one frame, registers first, then the stack from the top down: [{name, key, old, now}].
function cellsOf(before, after, frame) {
  const keys = new Set([...before.keys(), ...after.keys()].filter((key) => key >= 0 && key >> 12 === frame));
  const place = (key) => ((key & 0xfff) < 16 ? key & 0xfff : 4096 - (key & 0xfff));
  return [...keys].sort((a, b) => place(a) - place(b)).map((key) => {
    const n = key & 0xfff;
    return { key, name: n < 16 ? `R${n}` : `fp${n - 2048}`, old: before.get(key), now: after.get(key) };
  });
}

const isChanged = (cell) => cell.old?.text !== cell.now?.text;
