// Two verifications of one program side by side, at the same step; the first difference is marked.

const SPELLING = new Set(["text", "words", "id", "ref_id", "precise", "region"]); // and names that each side gives itself

const TOLD = { value: "known bits", mask: "known bits", off: "offset", range: "packet bytes proved", bytes: "bytes", id: "link to other values",
  ref_id: "reference", frame: "frame pointed into", known: "known on one side only" };
const told = (fields) => [...new Set(fields.map((name) => TOLD[name] ?? (/min|max/.test(name) ? "bounds" : name)))].join(", ");

// In which fields one side knows something else of a cell, "" if in none.
function apartIn(a, b) {
  if (!a || !b) return a || b ? TOLD.known : "";
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => !SPELLING.has(name)
    && !(name === "off" && a.type === "scalar") // a distance to nothing
    && !(name === "size" && !a.type?.includes("mem"))); // a map says its own
  const said = (value) => JSON.stringify(value, (name, part) => (SPELLING.has(name) ? undefined : part));
  return told(names.filter((name) => said(a[name]) !== said(b[name])));
}

class CompareView extends Walk {
  // `apart` is the first difference (trace.compare.Difference), {} if there is none.
  constructor(root, models, apart, { step, onstep = () => {} }) {
    super(root, models, onstep);
    this.apart = apart;
    this.sides = models.map(({ head }) => head.verdict.by);
    this.rows = new ProgramRows(this.model, this, false);
    this.list = new VirtualList("Program", (at) => this.drawRow(at), (at) => this.rows.pick(at));
    this.list.resize(this.rows.length);
    this.states = models.map((each, k) => new StatePane(each, this, this.sides[k]));
    if (this.length) this.controls = new Controls(this);
    const panes = h("div", { class: "panes two" }, h("section", { class: "code", "aria-label": "Program" }, this.list.box), ...this.states.map(({ box }) => box));
    fitHeight(panes, [this.list], this.states);
    this.dress(`Verifications of ${this.model.head.program.name} by ${this.sides.join(" and ")}`,
      h("div", { class: "sides" }, ...models.map(({ head, length }) => verdictStrip(head, [`${length} steps`]))),
      this.drawApart(), this.controls?.box, panes);
    if (this.length) this.go(step);
  }

  drawApart() {
    const { apart, sides } = this;
    if (apart.step == null) return h("p", { class: "parting" }, "✓ Both took the same steps and knew the same at each.");
    const cells = apart.cells.slice(0, 3).map(({ name, a, b, fields }) => h("dl", { class: "need" }, h("dt", {}, h("code", {}, name)),
      h("dd", {}, told(fields)), ...[a, b].flatMap((text, k) => [h("dt", {}, sides[k]), h("dd", {}, h("code", {}, text || "unknown"))])));
    return h("div", { class: "parting" },
      h("div", {}, h("strong", {}, `≠ First difference at step #${apart.step}: `), cells.length ? null : apart.words, ...cells),
      focusable("button", { title: "key: e", onclick: () => this.goWrong() }, "Go there"));
  }

  // The row of the first program; where the second is elsewhere, its place is marked too.
  drawRow(at) {
    const row = this.rows.draw(at), [a, b] = this.models, { insn } = this.rows.rows[at];
    if (insn && this.at >= 0 && b.pc[this.at] === insn.pc && a.pc[this.at] !== insn.pc) {
      row.classList.add("there");
      row.querySelector(".mark").textContent = "▷";
    }
    return row;
  }

  show(i) {
    this.controls.show(i, this.models.map((each) => (i < each.length ? `instruction ${each.pc[i]}` : "ended")).join(" and "));
    this.list.show(this.rows.where(Math.min(i, this.model.length - 1)));
    this.showStates(i);
  }

  async showStates(i) {
    const there = this.models.filter((each) => i < each.length);
    await Promise.all(there.map((each) => each.load(i).catch(() => {}))); // a pane whose states do not come says so itself
    if (this.at !== i) return;
    const found = this.models.map((each) => (i < each.length && each.ready(i) ? each.states(i) : null));
    this.states.forEach((pane, k) => {
      const mine = found[k], theirs = found[1 - k];
      pane.differs = mine && theirs ? ({ key }) => apartIn(mine.after.get(key), theirs.after.get(key)) : null;
      if (i < this.models[k].length) pane.show(i);
      else pane.end(i);
    });
  }

  marks() { return this.apart.step == null ? [] : [Math.min(this.apart.step, this.length - 1)]; }
}
