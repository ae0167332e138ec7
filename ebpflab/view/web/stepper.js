// The annotated view: verdict, program or list of steps, what was known before and after the step.

const RESULT = {
  accept: ["✓", "Accepted"], reject: ["✗", "Rejected"], unsupported: ["?", "Not supported"],
};
const KEYS = [
  ["← →", "step back, step on"], ["↑ ↓", "back and on along this path"], ["PgUp PgDn", "25 steps"],
  ["Home End", "first, last step"], ["[ ]", "previous, next visit of this instruction"], ["e", "to the error"],
];

class StepperView {
  constructor(root, model, { step, onstep = () => {} }) {
    Object.assign(this, { root, model, onstep, at: -1, frame: null, opened: new Set(), mode: "program" });
    const { head } = model;
    root.className = "ebpflab";
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Verification of ${head.program.name}`);
    root.dataset.lmSuppressShortcuts = "true";
    this.blamed = new Set((head.verdict.lines.join(" ").match(/\bR\d+\b/g)) || []);
    this.programRows = this.makeProgramRows();
    this.rowOfPc = new Map(this.programRows.map((row, at) => [row.insn?.pc, at]).filter(([pc]) => pc !== undefined));
    this.onPath = new Uint8Array(model.length);
    this.pcOnPath = new Set();
    root.replaceChildren(this.verdict(), ...(model.length ? [this.controls()] : []), this.panes());
    root.addEventListener("keydown", (event) => this.key(event));
    this.setMode("program");
    if (model.length) this.go(step);
  }

  verdict() {
    const { verdict, program, steps, truncated } = this.model.head;
    const [sign, word] = RESULT[verdict.result];
    const { processed } = verdict.stats;
    const facts = [`${program.type} program`, processed != null && `${processed} instructions processed`, truncated && "the log was cut short"].filter(Boolean).join(" · ");
    this.toError = verdict.step != null && steps > 1
      ? focusable("button", { title: "key: e", onclick: () => this.go(verdict.step) }, verdict.result === "reject" ? "Go to the error" : "Go to where it stopped") : null;
    return h("header", { class: `verdict ${verdict.result}` },
      h("span", { class: "sign", "aria-hidden": "true" }, sign),
      h("div", {},
        h("div", { class: "who" }, h("strong", {}, `${program.name}: ${word.toLowerCase()}`), ` by ${verdict.by}`,
          h("span", { class: "facts" }, facts)),
        ...(verdict.lines.length ? verdict.lines : [verdict.error]).filter(Boolean).map((line) => h("code", {}, line)),
        verdict.words && h("p", {}, verdict.words)),
      this.toError);
  }

  controls() {
    const last = this.model.length - 1;
    const button = (name, label, act) => focusable("button", { "aria-label": label, title: label, onclick: act }, icon(name));
    this.slider = focusable("input", { type: "range", min: 0, max: last, value: 0, "aria-label": "Step",
      oninput: () => this.go(Number(this.slider.value)) });
    this.map = h("canvas", { "aria-hidden": "true" });
    this.count = h("span", { class: "count" });
    this.filter = focusable("select", { "aria-label": "Which steps", onchange: () => this.setFilter(this.filter.value) });
    const names = [["all", "every step"], ["path", "this path"], ["visits", "this instruction"],
      ...Array.from({ length: 11 }, (_, r) => [String(r), `changes of R${r}`]), [String(STACK_BIT), "changes of the stack"]];
    this.filter.append(...names.map(([value, text]) => h("option", { value }, text)));
    this.live = h("p", { class: "sr", role: "status", "aria-live": "polite" });
    const track = h("div", { class: "track", title: "instruction (down) over steps (right)" }, this.map, this.slider);
    new ResizeObserver(() => this.drawMap()).observe(track);
    new MutationObserver(() => this.drawMap()).observe(document.body, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawMap());
    const help = focusable("details", { class: "help" }, focusable("summary", { title: "Keys", "aria-label": "Keys" }, "?"),
      h("dl", {}, ...KEYS.flatMap(([key, text]) => [h("dt", {}, key), h("dd", {}, text)])));
    return h("nav", { class: "controls", "aria-label": "Steps" },
      h("div", { class: "buttons" }, button("first", "First step", () => this.go(0)), button("back", "Step back", () => this.move(-1)),
        button("on", "Step on", () => this.move(1)), button("last", "Last step", () => this.go(last))),
      track, this.count, this.filter, help, this.live);
  }

  panes() {
    this.list = new VirtualList("Program", (at) => this.drawRow(at), (at) => this.pick(at));
    this.tabs = ["program", "steps"].map((mode) => focusable("button", { "data-mode": mode,
      onclick: () => this.setMode(mode) }, mode === "program" ? "Program" : "Steps"));
    this.now = h("div", { class: "now" });
    this.cells = h("div", { class: "cells", role: "table", "aria-label": "Registers and stack" });
    this.notes = h("div", { class: "notes" });
    const tabs = this.model.length ? h("div", { class: "tabs" }, ...this.tabs) : null;
    const panes = h("div", { class: "panes" },
      h("section", { class: "code", "aria-label": "Program" }, tabs, this.list.box),
      this.model.length ? focusable("section", { class: "state", tabindex: "0", "aria-label": "What is known" },
        this.now, this.cells, this.notes) : null);
    // As high as what is shown needs, up to what the style sheet allows. It never shrinks: stepping must not shake the page.
    let need = 0;
    const fit = () => {
      const code = (tabs?.offsetHeight ?? 0) + this.list.inner.offsetHeight + 10;
      const wanted = Math.max(code, this.now.offsetHeight + this.cells.offsetHeight + this.notes.offsetHeight + 12);
      if (wanted > need) panes.style.setProperty("--need", `${(need = wanted)}px`);
    };
    const observer = new ResizeObserver(() => requestAnimationFrame(fit));
    for (const part of [this.list.inner, this.now, this.cells, this.notes]) observer.observe(part);
    return panes;
  }

  makeProgramRows() {
    const { listing, verdict } = this.model.head;
    const rows = [];
    this.sources = listing.some((insn) => insn.source?.text);
    let before = null;
    for (const insn of listing) {
      if (insn.func) rows.push({ title: `${insn.func}:`, kind: "func" });
      if (insn.label && insn.label !== insn.func) rows.push({ title: `${insn.label}:`, kind: "label" });
      const { file, line } = insn.source || {};
      const fresh = insn.source && !(before && before.file === file && before.line === line);
      rows.push({ insn, source: fresh ? insn.source : null });
      before = insn.source || before;
      if (this.fault && verdict.pc === insn.pc) rows.push({ title: verdict.lines[0] || verdict.error, kind: "error" });
    }
    return rows;
  }

  // How the deciding place is marked: a rejection, or where a verifier cannot go on.
  get fault() {
    return { reject: { sign: "✗", name: "wrong", here: "Rejected here." },
      unsupported: { sign: "?", name: "unclear", here: "This verifier cannot go on from here." } }[this.model.head.verdict.result];
  }

  setMode(mode) {
    this.mode = mode;
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", tab.dataset.mode === mode);
    this.list.box.setAttribute("aria-label", mode === "program" ? "Program" : "Steps");
    this.list.box.classList.toggle("sources", mode === "program" && this.sources);
    this.list.resize(mode === "program" ? this.programRows.length : this.model.length);
    if (this.at >= 0) this.list.show(this.listPlace());
    else this.list.paint();
  }

  listPlace() { return this.mode === "steps" ? this.at : this.rowOfPc.get(this.model.pc[this.at]) ?? 0; }

  drawRow(at) { return this.mode === "program" ? this.drawInsn(this.programRows[at]) : this.drawStep(at); }

  drawInsn({ insn, source, title, kind }) {
    const { fault } = this;
    if (kind === "error") return h("div", { class: `row error ${fault.name}`, title }, h("span", {}, `${fault.sign} ${title}`));
    if (title) return h("div", { class: `row ${kind}`, title }, h("span", {}, title));
    const { model } = this, { verdict } = model.head;
    const here = this.at >= 0 && model.pc[this.at] === insn.pc;
    const wrong = verdict.pc === insn.pc && fault;
    const pruned = model.prunedAt.get(insn.pc);
    const dim = !model.length ? "" : !insn.hits ? " never" : this.pcOnPath.has(insn.pc) ? "" : " off";
    return h("div", { class: `row insn${here ? " here" : ""}${wrong ? ` ${fault.name}` : ""}${dim}`, role: "option",
      "aria-selected": String(here), title: insn.hits || !model.length ? "" : "never reached" },
    h("span", { class: "mark", "aria-hidden": "true" }, wrong ? fault.sign : here ? "▶" : ""),
    h("span", { class: "pc" }, String(insn.pc)),
    h("span", { class: "text" }, ...this.opcode(insn.text), insn.to ? h("span", { class: "to" }, ` → ${insn.to}`) : null,
      pruned ? h("span", { class: "tag", title: "paths that ended here, because an equal or weaker state was already proved safe" },
        `covered ${pruned}×`) : null),
    h("span", { class: "hits", title: `looked at ${insn.hits} times` }, insn.hits > 1 ? `${insn.hits}×` : ""),
    this.sources ? h("span", { class: "source", title: source ? `${source.file}:${source.line}` : "" }, source?.text.trim().replace(/\s+/g, " ") || "") : null);
  }

  opcode(text) {
    const found = /^(\([0-9a-f]{2}\)) (.*)$/.exec(text);
    return found ? [h("span", { class: "opcode" }, found[1]), " ", found[2]] : [text];
  }

  drawStep(i) {
    const { model } = this, kind = model.kind(i), parent = model.parent(i);
    const split = i > 0 && !model.follows(i);
    const tag = kind === "rejected" ? "✗ rejected" : kind === "pruned" ? "covered: proved safe before" : "";
    return h("div", { class: `row step ${kind}${i === this.at ? " here" : ""}${this.onPath[i] ? "" : " off"}${split ? " split" : ""}`,
      role: "option", "aria-selected": String(i === this.at), "aria-posinset": i + 1, "aria-setsize": model.length },
    h("span", { class: "mark", "aria-hidden": "true" }, i === this.at ? "▶" : ""),
    h("span", { class: "number" }, `#${i}`),
    h("span", { class: "pc" }, String(model.pc[i])),
    h("span", { class: "text" }, ...this.opcode(model.text(i)),
      split ? h("span", { class: "tag" }, parent < 0 ? "new start" : `from ${model.pc[parent]}, #${parent}`) : null,
      tag ? h("span", { class: "tag strong" }, tag) : null));
  }

  pick(at) {
    if (this.mode === "steps") return this.go(at);
    const row = this.programRows[at];
    if (row.kind === "error" && this.model.head.verdict.step != null) return this.go(this.model.head.verdict.step);
    const visits = this.model.visitsOf.get(row.insn?.pc);
    if (visits) this.go(visits.find((i) => this.onPath[i]) ?? visits[0]);
  }

  // Go to step i: the list at once, the state as soon as its chunk is here.
  go(i) {
    const { model } = this;
    i = Math.max(0, Math.min(model.length - 1, i));
    if (i === this.at || !model.length) return;
    this.at = i;
    this.frame = null;
    if (!this.onPath[i]) {
      this.onPath = model.path(i);
      this.pcOnPath = new Set(model.pc.filter((_, at) => this.onPath[at]));
    }
    this.slider.value = i;
    this.slider.setAttribute("aria-valuetext", `step ${i} of ${model.length - 1}, instruction ${model.pc[i]}: ${model.text(i)}`);
    if (this.toError) this.toError.style.visibility = i === model.head.verdict.step ? "hidden" : "";
    this.count.replaceChildren(h("b", {}, `#${i}`), ` / ${model.length - 1}`);
    this.list.show(this.listPlace());
    this.onstep(i);
    if (model.ready(i)) return this.drawState();
    this.cells.classList.add("waiting");
    model.load(i).then(() => this.at === i && this.drawState(), (error) => {
      if (this.at === i) this.now.replaceChildren(h("p", { class: "warning" }, String(error.message || error)));
    });
  }

  drawState() {
    const { model, at: i } = this;
    const state = (this.state = model.states(i));
    this.cells.classList.remove("waiting");
    const frames = state.cells && (state.after.get(FRAMES) || [[0, ""]]).map(([number]) => number);
    const frame = this.frame ?? frames.at(-1);
    this.now.replaceChildren(...this.drawNow(i, frames, frame));
    const text = model.text(i), rejected = i === model.head.verdict.step;
    const used = new Set((text.match(/\b[rw]\d+\b/g) || []).map((r) => `R${r.slice(1)}`));
    const cells = cellsOf(state.before, state.after, frame);
    this.cells.replaceChildren(...cells.map((cell) => this.drawCell(cell, used, rejected && this.fault.name === "wrong" && this.blamed.has(cell.name))));
    this.showCell(this.cells.querySelector(".changed, .blamed"));
    const details = state.notes.length ? [focusable("details", {},
      focusable("summary", {}, `${state.notes.length} more line${state.notes.length > 1 ? "s" : ""} of the log`),
      h("pre", {}, state.notes.join("\n")))] : [];
    this.notes.replaceChildren(...details);
    const changes = cells.filter(isChanged).map((c) => (c.now ? `${c.name} is ${c.now.words}` : `${c.name} is gone`));
    this.live.textContent = `Step ${i}, instruction ${model.pc[i]}: ${text}. ${changes.join("; ")}`
      + (rejected ? `. ${RESULT[model.head.verdict.result][1]}: ${model.head.verdict.error}` : "");
  }

  // The instruction, where this path comes from, where else it went.
  drawNow(i, frames, frame) {
    const { model } = this, kind = model.kind(i), parent = model.parent(i), pc = model.pc[i];
    const insn = model.head.listing[model.row.get(pc)];
    const link = (to, text, title) => focusable("button", { class: "link", title, onclick: () => this.go(to) }, text);
    const way = [];
    const side = { taken: "jump taken", fall: "jump not taken", "": "next" };
    const sides = (steps) => steps.map((to) => h("span", {}, `${side[model.branch(to)]} → `, link(to, `#${to}`, `instruction ${model.pc[to]}`)));
    if (model.branch(i) && parent >= 0) {
      way.push(h("span", {}, "from ", link(parent, `#${parent}`, `instruction ${model.pc[parent]}: ${model.text(parent)}`), ` by ${side[model.branch(i)]}`));
    } else if (parent >= 0 && !model.follows(i)) way.push(h("span", {}, "from ", link(parent, `#${parent}`, model.text(parent))));
    way.push(...sides((parent >= 0 ? model.children(parent) : []).filter((child) => child !== i)));
    const children = model.children(i);
    if (children.length > 1) way.push(...sides(children));
    const visits = model.visitsOf.get(pc), nth = visits.indexOf(i);
    if (visits.length > 1) {
      way.push(h("span", { class: "visits" }, `visit ${nth + 1} of ${visits.length}`,
        nth ? link(visits[nth - 1], "‹", "previous visit of this instruction ([)") : null,
        nth + 1 < visits.length ? link(visits[nth + 1], "›", "next visit of this instruction (])") : null));
    }
    if (frames.length > 1) {
      way.push(h("span", { class: "frames" }, "frame ", ...frames.map((n) => focusable("button", { class: "link",
        "aria-pressed": String(n === frame), title: n === frames.at(-1) ? "the function that runs" : "a caller",
        onclick: () => { this.frame = n; this.drawState(); } }, String(n)))));
    }
    return [
      h("div", { class: "line" }, h("span", { class: "pc" }, String(pc)), h("code", {}, ...this.opcode(model.text(i)))),
      insn?.source?.text ? h("div", { class: "from", title: insn.source.file },
        `${insn.source.file.split("/").pop()}:${insn.source.line}  `, h("code", {}, insn.source.text.trim().replace(/\s+/g, " "))) : null,
      kind === "pruned" ? h("p", { class: "covered" }, "This path ends here: an equal or weaker state was already proved safe at this instruction.") : null,
      i === model.head.verdict.step ? h("p", { class: `warning ${this.fault.name}` }, `${this.fault.sign} ${this.mode === "steps" ? model.head.verdict.error : this.fault.here}`) : null,
      way.length ? h("div", { class: "way" }, ...way) : null,
    ].filter(Boolean);
  }

  drawCell(cell, used, blamed) {
    const changed = isChanged(cell), shown = cell.now ?? cell.old;
    const open = this.opened.has(cell.name) !== (changed || blamed);
    const words = cell.now ? cell.now.words : "not readable any more";
    const images = open && cell.now ? pictures(shown) : [];
    return h("div", { class: `cell${changed ? " changed" : ""}${blamed ? " blamed" : ""}${used.has(cell.name) ? " used" : ""}`, role: "row" },
      focusable("button", { class: "name", role: "rowheader", "aria-expanded": String(open), title: "show or hide the pictures",
        onclick: () => { if (!this.opened.delete(cell.name)) this.opened.add(cell.name); this.drawState(); this.focusCell(cell.name); },
        "data-cell": cell.name }, blamed ? `✗ ${cell.name}` : cell.name),
      h("div", { class: "body", role: "cell" },
        h("div", { class: "value" },
          changed && cell.old ? h("del", {}, ...this.breakable(cell.old.text, cell.now?.text)) : null,
          changed && cell.old ? h("span", { class: "arrow", "aria-label": "becomes" }, " → ") : null,
          cell.now ? h(changed ? "ins" : "span", {}, ...this.breakable(cell.now.text, changed ? cell.old?.text : undefined)) : h("ins", {}, "gone")),
        h("div", { class: "words" }, words),
        ...images.map(([name, parts]) => h("div", { class: "picture" }, h("span", { class: "what" }, name), h("div", {}, ...parts)))));
  }

  // Scrolls only the pane: the notebook around it stays where it is.
  showCell(cell) {
    const pane = this.cells.parentElement, head = this.now.offsetHeight;
    const top = cell ? cell.offsetTop - head : 0, bottom = cell ? cell.offsetTop + cell.offsetHeight : 0;
    if (top < pane.scrollTop || bottom > pane.scrollTop + pane.clientHeight) pane.scrollTop = top;
  }

  focusCell(name) { this.cells.querySelector(`[data-cell="${name}"]`)?.focus(); }

  // The kernel's text, breakable after commas; what `other` does not have is marked.
  breakable(text, other) {
    const parts = (whole) => whole.replaceAll("; ", ";\u00a0").split(/(?<=,|^\w+\()|(?=\)$)/);
    const bare = (part) => part.replace(/,$/, "");
    const theirs = new Set(other === undefined ? [] : parts(other).map(bare));
    return parts(text).flatMap((part) => [theirs.has(bare(part)) ? part : h("b", {}, part), h("wbr")]);
  }

  async setFilter(name) {
    if (Number.isInteger(Number(name))) await this.model.loadTouched();
    const { model, at } = this;
    const bit = 1 << Number(name), path = this.onPath, pc = model.pc[at];
    this.wanted = { all: null, path: (i) => path[i], visits: (i) => model.pc[i] === pc }[name]
      ?? (name === "all" ? null : (i) => model.touched[i] & bit);
    this.drawMap();
  }

  move(direction) {
    let i = this.at + direction;
    while (this.wanted && i >= 0 && i < this.model.length && !this.wanted(i)) i += direction;
    if (i >= 0 && i < this.model.length) this.go(i);
  }

  key(event) {
    if (event.target === this.filter || event.ctrlKey || event.metaKey || event.altKey || !this.model.length) return;
    const { model, at } = this;
    const visits = model.visitsOf.get(model.pc[at]), nth = visits.indexOf(at);
    const acts = {
      ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1),
      ArrowUp: () => model.parent(at) >= 0 && this.go(model.parent(at)),
      ArrowDown: () => this.go(model.children(at).find((i) => this.onPath[i]) ?? model.children(at)[0] ?? at),
      PageUp: () => this.go(at - 25), PageDown: () => this.go(at + 25),
      Home: () => this.go(0), End: () => this.go(model.length - 1),
      "[": () => nth > 0 && this.go(visits[nth - 1]), "]": () => nth + 1 < visits.length && this.go(visits[nth + 1]),
      e: () => model.head.verdict.step != null && this.go(model.head.verdict.step),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  // Instruction (down) over steps (right): straight lines, branches and loops show their shape.
  drawMap() {
    const { map, model } = this, { clientWidth: width, clientHeight: height } = map;
    if (!width || !model.length) return;
    const ratio = devicePixelRatio || 1, ink = getComputedStyle(this.root);
    map.width = width * ratio;
    map.height = height * ratio;
    const pen = map.getContext("2d");
    pen.scale(ratio, ratio);
    const colour = (name) => ink.getPropertyValue(name).trim();
    const n = model.length, top = Math.max(1, model.head.listing.at(-1)?.pc ?? 1), pad = 6;
    const x = (i) => 2 + (n > 1 ? (i / (n - 1)) * (width - 4) : 0), y = (pc) => pad + (pc / top) * (height - 2 * pad);
    const stride = Math.max(1, Math.floor(n / 40000));
    pen.strokeStyle = colour("--e-line");
    pen.beginPath();
    for (let i = 1; i < n; i += stride) {
      if (model.follows(i)) { pen.moveTo(x(i - 1), y(model.pc[i - 1])); pen.lineTo(x(i), y(model.pc[i])); }
    }
    pen.stroke();
    const dot = Math.max(0.8, Math.min(2.2, (width / n) * 0.6));
    const inks = { plain: colour("--e-map"), out: colour("--e-line"), pruned: colour("--e-faint") };
    for (let i = 0; i < n; i += stride) {
      const cx = x(i), cy = y(model.pc[i]);
      if (model.kind(i) === "pruned") {
        pen.fillStyle = inks.pruned;
        pen.fillRect(cx - 0.5, cy - 4, 1.2, 8);
      } else {
        pen.fillStyle = !this.wanted || this.wanted(i) ? inks.plain : inks.out;
        pen.fillRect(cx - dot, cy - dot, 2 * dot, 2 * dot);
      }
    }
    const wrong = model.head.verdict.step;
    if (wrong != null) {
      pen.fillStyle = colour("--e-bad");
      pen.beginPath();
      const cx = Math.max(4, Math.min(width - 4, x(wrong))), cy = y(model.pc[wrong]);
      pen.moveTo(cx, cy - 4); pen.lineTo(cx + 4, cy); pen.lineTo(cx, cy + 4); pen.lineTo(cx - 4, cy);
      pen.fill();
    }
  }
}
