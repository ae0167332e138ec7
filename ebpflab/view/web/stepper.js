// The annotated view: verdict, why, the program beside its C, what was known before and after a step.

class StepperView extends Walk {
  // `seek` finds a witness where Python answers; `witness` is one that was found; `notes` stand beside the verdict.
  constructor(root, model, { step, onstep = () => {}, seek = null, witness = {}, notes = [] }) {
    super(root, [model], onstep);
    Object.assign(this, { seek, witness, proof: null });
    const { head } = model, { verdict } = head;
    this.toError = verdict.step != null && this.length > 1 ? focusable("button", { title: "key: e", onclick: () => this.goWrong() },
      verdict.result === "reject" ? "Go to the error" : "Go to where it stopped") : null;
    this.whyPlace = h("div", {});
    this.lists = { program: new ProgramRows(model, this), steps: new StepRows(model, this) };
    if (this.length) this.controls = new Controls(this);
    this.dress(`Verification of ${head.program.name}`, verdictStrip(head, notes, this.toError), this.whyPlace, this.controls?.box, this.panes());
    this.setMode("program");
    if (this.length) this.go(step);
    if (verdict.result === "reject") model.reason().then((reason) => this.explain(reason), (error) => this.whyPlace.replaceChildren(String(error.message)));
  }

  explain(reason) {
    this.why = new WhyPanel(reason, this, this.seek, this.witness);
    this.proof = new Map(reason.chain.filter((link) => link.pc != null).map((link) => [link.pc, link.role]));
    this.whyPlace.replaceChildren(this.why.box);
    this.why.mark(this.at);
    if (this.why.links.length) this.controls?.filter.append(h("option", { value: "proof" }, "chain of proof"));
    this.paint();
  }

  showWitness(row) {
    this.witness = row;
    this.why?.showWitness(row);
  }

  panes() {
    const { model } = this, { files } = model.head;
    this.list = new VirtualList("Program", (at) => this.rows.draw(at), (at) => this.rows.pick(at));
    this.tabs = this.length ? Object.entries(this.lists).map(([mode, { name }]) => focusable("button", { "data-mode": mode,
      onclick: () => this.setMode(mode) }, name)) : [];
    this.state = this.length ? new StatePane(model, this) : null;
    const code = h("section", { class: "code", "aria-label": "Program" }, this.tabs.length ? h("div", { class: "tabs" }, ...this.tabs) : null, this.list.box);
    const panes = h("div", { class: `panes${files.length ? " withc" : ""}` }, files.length ? this.source() : null, code, this.state?.box);
    fitHeight(panes, [this.list, this.cList].filter(Boolean), [this.state].filter(Boolean));
    return panes;
  }

  source() {
    const rows = (this.c = new SourceRows(this.model, this));
    this.cList = new VirtualList(rows.name, (at) => rows.draw(at), (at) => rows.pick(at));
    this.cList.resize(rows.length);
    return h("section", { class: "code c", "aria-label": rows.name },
      h("div", { class: "tabs" }, h("span", {}, baseName(this.model.head.files[0].file))), this.cList.box);
  }

  setMode(mode) {
    this.mode = mode;
    this.rows = this.lists[mode];
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", tab.dataset.mode === mode);
    this.list.box.setAttribute("aria-label", this.rows.name);
    this.list.box.classList.toggle("sources", Boolean(this.rows.comments));
    this.list.resize(this.rows.length);
    this.paint();
  }

  turnList() { this.setMode(this.mode === "program" ? "steps" : "program"); }

  paint() {
    const line = this.at >= 0 && this.c ? this.c.where(this.at) : -1;
    if (this.at >= 0) this.list.show(this.rows.where(this.at));
    else this.list.paint();
    if (line >= 0) this.cList.show(line);
    else this.cList?.paint();
  }

  // The lists at once, the state as soon as its chunk is here.
  show(i) {
    const { model } = this;
    this.controls.show(i, `instruction ${model.pc[i]}: ${model.text(i)}`);
    if (this.toError) this.toError.style.visibility = i === model.head.verdict.step ? "hidden" : "";
    this.paint();
    this.why?.mark(i);
    this.state.show(i);
  }

  // The next step that changes the register the reader chose last, or else what this step changes.
  async nextChange(direction) {
    await this.model.loadTouched();
    const { touched } = this.model, bit = (name) => 1 << (name[0] === "R" ? Number(name.slice(1)) : STACK_BIT);
    const bits = this.state.watched ? bit(this.state.watched) : touched[this.at] || ~0;
    this.seekStep(direction, (i) => touched[i] & bits);
  }

  nextLink(direction) {
    const steps = this.why?.links.map((link) => link.step) ?? [];
    const next = direction > 0 ? steps.find((i) => i > this.at) : steps.findLast((i) => i < this.at);
    if (next !== undefined) this.go(next);
  }

  async setFilter(name) {
    if (Number.isInteger(Number(name))) await this.model.loadTouched();
    const { model, at } = this, bit = 1 << Number(name), path = this.onPath, pc = model.pc[at];
    const links = new Set(this.why?.links.map((link) => link.step));
    const filters = { all: null, path: (i) => path[i], visits: (i) => model.pc[i] === pc, proof: (i) => links.has(i) };
    this.wanted = name in filters ? filters[name] : (i) => model.touched[i] & bit;
    this.controls.drawMap();
  }

  marks() { return [this.model.head.verdict.step].filter((step) => step != null); }
}
