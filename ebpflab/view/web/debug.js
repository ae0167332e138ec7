// The time-travel debugger: a run in the stepper, each value inside what the verifier claims, the memory below.

class DebugView extends StepperView {
  // `models` are the run and the verifier's claims step by step; `find`, where Python answers, runs to a condition.
  constructor(root, [model, claims], { step, run, find = null, onstep, notes = [] }) {
    super(root, model, { step: 0, onstep: () => {}, notes });
    Object.assign(this, { claims, run, find, onstep: onstep ?? (() => {}) });
    this.memory = new MemoryPane(run, this);
    const bar = find ? this.makeBar() : null;
    root.append(...[bar, this.memory.box].filter(Boolean));
    this.state.claimed = ({ key, name }) => this.claimOf(key, name);
    this.state.writer = ({ key }) => this.writerOf(key);
    this.at = -1;
    if (this.length) this.go(step);
    model.loadTouched().then(() => this.at >= 0 && this.state.show(this.at), () => {});
  }

  makeBar() {
    this.when = focusable("input", { type: "text", placeholder: 'a condition: r1 > 5 and at("packet[12]") == b"\\x08"; empty: the breakpoints', "aria-label": "Condition",
      onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") this.seekWhen(event.shiftKey ? -1 : 1); } });
    this.answer = h("span", { class: "answer", role: "status" });
    const button = (text, direction, title) => focusable("button", { title, onclick: () => this.seekWhen(direction) }, text);
    return h("div", { class: "runto" }, button("◀ run back", -1, "to the step before this one at which it holds (Shift+Enter)"), this.when,
      button("run ▶", 1, "to the next step at which it holds (Enter)"), this.answer);
  }

  seekWhen(direction) {
    this.tell("");
    this.find(this.when.value, direction);
  }

  tell(text) { if (this.answer) this.answer.textContent = text ?? ""; }

  // The claims of step i first, then the state: a cell is drawn with both.
  show(i) {
    if (!this.claims) return;       // not yet: the constructor above draws nothing
    this.memory.show(i);
    if (this.claims.ready(i)) return super.show(i);
    this.claims.load(i).catch(() => {}).then(() => { if (this.at === i) super.show(i); });
  }

  // What the verifier knew after step i, which is before the next one.
  claimOf(key, name) {
    const { claims, run, at } = this, next = run.claims[at + 1];
    if (!claims.ready(at) || next === undefined || next < 0) return null;
    const cell = claims.states(at).after.get(key);
    if (!cell) return null;
    const outside = run.outside[at + 1]?.[name];
    return { cell, outside: outside && run.unsure != null && at + 1 >= run.unsure ? `${outside}; no decision relied on it, so the verifier let it go` : outside };
  }

  // For a register: the step that changed it last, up to this one.
  writerOf(key) {
    const { model, at } = this, n = key & 0xfff;
    if (!model.touched || n > 10) return null;
    let step = at;
    while (step >= 0 && !(model.touched[step] >> n & 1)) step--;
    if (step < 0 || step === at) return null;
    return h("div", { class: "words" }, "set by ", focusable("button", { class: "link", onclick: () => this.go(step) }, `#${step}`));
  }
}
