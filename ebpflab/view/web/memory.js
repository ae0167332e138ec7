// The memory of a run: packet, context, map values, records, as they were before the step in sight; who wrote each byte.

const hexBytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const PER_ROW = 16;
const PACKET = (name) => name === "packet" || name.startsWith("context");

class RunMemory {
  // `run` is the message of ebpflab.view.debugging.
  constructor(run) {
    this.regions = run.regions.map((region) => ({ ...region, first: hexBytes(region.bytes), stores: [] }));
    for (const [step, number, at, bytes] of run.stores) this.regions[number].stores.push({ step, at, bytes: hexBytes(bytes) });
  }

  // Those that are there before step i and those that it makes.
  alive(i) { return this.regions.filter(({ born, died }) => born <= i + 1 && (died == null || i < died)); }

  // {bytes, writer}: the bytes after step i and for each the step that wrote it, -1: from before the run.
  at(region, i) {
    const bytes = region.first.slice(), writer = new Int32Array(bytes.length).fill(-1);
    for (const store of region.stores) {
      if (store.step > i) break;
      bytes.set(store.bytes, store.at);
      writer.fill(store.step, store.at, store.at + store.bytes.length);
    }
    return { bytes, writer };
  }
}

// Hex dumps of the regions that are there. `view` has go(step) and model; a byte that is picked says who wrote it.
class MemoryPane {
  constructor(run, view) {
    Object.assign(this, { view, memory: new RunMemory(run), left: run.left, opened: new Map(), picked: null });
    this.said = h("p", { class: "said", role: "status" });
    this.list = h("div", { class: "dumps" });
    this.box = h("section", { class: "memory", "aria-label": "Memory" }, h("h4", {}, "Memory after this step"), this.said, this.list);
    this.list.addEventListener("click", (event) => {
      const byte = event.target.closest("[data-byte]");
      if (byte) this.pick(byte.closest("details").dataset.region, Number(byte.dataset.byte));
    });
  }

  pick(region, at) {
    this.picked = { region: Number(region), at };
    this.show(this.i);
  }

  show(i) {
    this.i = i;
    const shown = this.memory.alive(i);
    this.list.replaceChildren(...shown.map((region) => this.draw(region, i)),
      this.left ? h("p", { class: "words" }, `${this.left} more regions are not shown; dbg.read(place) reads them.`) : "");
    this.said.replaceChildren(...this.words(i));
  }

  words(i) {
    if (!this.picked) return ["Pick a byte to see which step wrote it."];
    const { region: number, at } = this.picked, region = this.memory.regions[number];
    if (!this.memory.alive(i).includes(region)) return ["The byte that was picked is not there at this step."];
    const { bytes, writer } = this.memory.at(region, i), by = writer[at], { view } = this;
    const next = region.stores.find((store) => store.step > i && store.at <= at && at < store.at + store.bytes.length)?.step;
    const link = (step) => focusable("button", { class: "link", onclick: () => view.go(step) }, `#${step}`);
    return [h("code", {}, `${region.name} + ${at}`), ` is ${bytes[at]} (0x${bytes[at].toString(16).padStart(2, "0")}): `,
      ...(by < 0 ? ["it was so from the start"] : ["written by step ", link(by), h("code", {}, ` ${view.model.pc[by]}: ${view.model.insn(by).text}`)]),
      ...(next === undefined ? [] : ["; written next by step ", link(next)])];
  }

  draw(region, i) {
    const number = this.memory.regions.indexOf(region), { bytes, writer } = this.memory.at(region, i);
    const changed = writer.includes(i) || region.born === i + 1;
    const open = this.opened.get(number) ?? (changed || PACKET(region.name) || region.stores.length > 0);
    const rows = [];
    if (open) for (let from = 0; from < bytes.length; from += PER_ROW) rows.push(this.row(number, bytes, writer, from, i));
    return h("details", { open, "data-region": number, class: changed ? "changed" : "",
      ontoggle: ({ target }) => { if (target.open !== open) { this.opened.set(number, target.open); this.show(this.i); } } },
    focusable("summary", {}, h("b", {}, region.name), ` ${bytes.length} bytes at ${region.address}`, changed ? h("span", { class: "tag strong" }, "changed") : ""),
    h("div", { class: "dump", role: "table", "aria-label": region.name }, ...rows));
  }

  row(number, bytes, writer, from, i) {
    const part = [...bytes.subarray(from, from + PER_ROW)];
    const kind = (at) => (writer[at] === i ? "fresh" : writer[at] >= 0 ? "since" : "") + (this.picked?.region === number && this.picked.at === at ? " picked" : "");
    return h("div", { role: "row" }, h("span", { class: "pc" }, String(from)),
      h("span", { class: "hexes" }, ...part.map((byte, k) => h("span", { "data-byte": from + k, class: kind(from + k) }, byte.toString(16).padStart(2, "0")))),
      h("span", { class: "chars", "aria-hidden": "true" }, part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("")));
  }
}
