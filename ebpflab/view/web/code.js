// The three lists: the program's instructions, the C they come from, and the steps.

// How the deciding place is marked: a rejection, or where a verifier cannot go on.
const FAULTS = {
  reject: { sign: "✗", name: "wrong", here: "Rejected here." },
  unsupported: { sign: "?", name: "unclear", here: "This verifier cannot go on from here." },
  fault: { sign: "✗", name: "wrong", here: "The run stopped here." },
};
const baseName = (file) => file.split("/").pop();
const squeezed = (text) => text.trim().replace(/\s+/g, " ");

function opcode(text) {
  const found = /^(\([0-9a-f]{2}\)) (.*)$/.exec(text);
  return found ? [h("span", { class: "opcode" }, found[1]), " ", found[2]] : [text];
}

// The listing with its labels, functions and the verdict's line between the instructions. `view` is asked for `at`
// (the step in sight), `pcOnPath`, `proof` (instruction -> its role in the chain of proof) and `go`.
class ProgramRows {
  constructor(model, view, comments = true) {
    Object.assign(this, { model, view, name: "Program" });
    const { listing, verdict, files } = model.head;
    this.fault = FAULTS[verdict.result];
    this.comments = comments && !files.length && listing.some((insn) => insn.source?.text);
    this.rows = [];
    this.place = new Map(); // pc -> row
    let before = null;
    for (const insn of listing) {
      if (insn.func) this.rows.push({ title: `${insn.func}:`, kind: "func" });
      if (insn.label && insn.label !== insn.func) this.rows.push({ title: `${insn.label}:`, kind: "label" });
      const { file, line } = insn.source || {};
      const fresh = insn.source && !(before && before.file === file && before.line === line);
      this.place.set(insn.pc, this.rows.length);
      this.rows.push({ insn, source: fresh ? insn.source : null });
      before = insn.source || before;
      if (this.fault && verdict.pc === insn.pc) this.rows.push({ title: verdict.lines[0] || verdict.error, kind: "error" });
    }
  }

  get length() { return this.rows.length; }

  where(step) { return this.place.get(this.model.pc[step]) ?? 0; }

  pick(at) {
    const { verdict } = this.model.head, row = this.rows[at];
    if (row.kind === "error" && verdict.step != null) return this.view.go(verdict.step);
    this.view.goTo(this.model.visitsOf.get(row.insn?.pc));
  }

  draw(at) {
    const { insn, source, title, kind } = this.rows[at];
    if (kind === "error") return h("div", { class: `row error ${this.fault.name}`, title }, h("span", {}, `${this.fault.sign} ${title}`));
    return title ? h("div", { class: `row ${kind}`, title }, h("span", {}, title)) : this.drawInsn(insn, source);
  }

  drawInsn(insn, source) {
    const { model, view, fault } = this, { verdict, files } = model.head;
    const here = view.at >= 0 && model.pc[view.at] === insn.pc;
    const wrong = verdict.pc === insn.pc && fault;
    const pruned = model.prunedAt.get(insn.pc), role = view.proof?.get(insn.pc);
    const dim = !model.length ? "" : !insn.hits ? " never" : view.pcOnPath.has(insn.pc) ? "" : " off";
    const kin = !here && files.length && view.at >= 0 && sameLine(insn.source, model.insn(view.at)?.source) ? " kin" : "";
    const mark = wrong ? fault.sign : here ? "▶" : role ? ROLES[role].sign : "";
    return h("div", { class: `row insn${here ? " here" : kin}${wrong ? ` ${fault.name}` : ""}${dim}`, role: "option",
      "aria-selected": String(here), title: insn.hits || !model.length ? "" : "never reached" },
    h("span", { class: `mark${role && !wrong && !here ? ` role ${role}` : ""}`, title: role ? `chain of proof: ${ROLES[role].means}` : null, "aria-hidden": "true" }, mark),
    h("span", { class: "pc" }, String(insn.pc)),
    h("span", { class: "text" }, ...opcode(insn.text), insn.to ? h("span", { class: "to" }, ` → ${insn.to}`) : null,
      pruned ? h("span", { class: "tag", title: "paths that ended here, because an equal or weaker state was already proved safe" },
        `covered ${pruned}×`) : null),
    h("span", { class: "hits", title: `looked at ${insn.hits} times` }, insn.hits > 1 ? `${insn.hits}×` : ""),
    this.comments ? h("span", { class: "source", title: source ? `${source.file}:${source.line}` : "" }, source ? squeezed(source.text) : "") : null);
  }
}

const sameLine = (a, b) => Boolean(a && b) && a.file === b.file && a.line === b.line;

// The C source; a line leads to the instructions made of it.
class SourceRows {
  constructor(model, view) {
    Object.assign(this, { model, view, name: "C source" });
    const { listing, files, verdict } = model.head;
    this.insns = new Map(); // file:line -> its instructions
    for (const insn of listing.filter((row) => row.source)) {
      const key = `${insn.source.file}:${insn.source.line}`;
      this.insns.set(key, [...(this.insns.get(key) ?? []), insn]);
    }
    this.fault = FAULTS[verdict.result];
    this.rows = [];
    this.place = new Map();
    for (const { file, lines } of files) {
      if (files.length > 1) this.rows.push({ title: baseName(file) });
      lines.forEach(([number, text], at) => {
        if (at && number > lines[at - 1][0] + 1) this.rows.push({ title: "⋯" });
        const key = `${file}:${number}`;
        this.place.set(key, this.rows.length);
        this.rows.push({ key, number, text, insns: this.insns.get(key) ?? [] });
      });
    }
  }

  get length() { return this.rows.length; }

  where(step) {
    const source = this.model.insn(step)?.source;
    return this.place.get(`${source?.file}:${source?.line}`) ?? -1;
  }

  pick(at) {
    const steps = (this.rows[at].insns ?? []).flatMap(({ pc }) => this.model.visitsOf.get(pc) ?? []);
    this.view.goTo(steps.sort((a, b) => a - b));
  }

  draw(at) {
    const { title, number, text, insns } = this.rows[at], { model, view } = this;
    if (title) return h("div", { class: "row label" }, h("span", {}, title));
    const here = view.at >= 0 && at === this.where(view.at);
    const wrong = this.fault && insns.some(({ pc }) => pc === model.head.verdict.pc);
    const used = insns.some(({ hits }) => hits), onPath = insns.some(({ pc }) => view.pcOnPath.has(pc));
    const kind = `${here ? " here" : ""}${wrong ? ` ${this.fault.name}` : ""}${insns.length ? "" : " bare"}${insns.length && !onPath ? " off" : ""}`;
    const title_ = insns.length ? `${insns.length} instruction${insns.length > 1 ? "s" : ""} from ${insns[0].pc}${used ? "" : ", never reached"}` : "no instruction";
    return h("div", { class: `row c${kind}`, role: "option", "aria-selected": String(here), title: `${text.trim()}\n${title_}` },
      h("span", { class: "mark", "aria-hidden": "true" }, wrong ? this.fault.sign : here ? "▶" : ""),
      h("span", { class: "pc" }, String(number)), h("span", { class: "text" }, text.replaceAll("\t", "    ")));
  }
}

// Every step in the order the verifier took them.
class StepRows {
  constructor(model, view) { Object.assign(this, { model, view, name: "Steps" }); }

  get length() { return this.model.length; }

  where(step) { return step; }

  pick(at) { this.view.go(at); }

  draw(i) {
    const { model, view } = this, kind = model.kind(i), parent = model.parent(i);
    const split = i > 0 && !model.follows(i), here = i === view.at;
    const tag = kind === "rejected" ? "✗ rejected" : kind === "pruned" ? "covered: proved safe before" : "";
    return h("div", { class: `row step ${kind}${here ? " here" : ""}${view.onPath[i] ? "" : " off"}${split ? " split" : ""}`,
      role: "option", "aria-selected": String(here), "aria-posinset": i + 1, "aria-setsize": model.length },
    h("span", { class: "mark", "aria-hidden": "true" }, here ? "▶" : ""),
    h("span", { class: "number" }, `#${i}`),
    h("span", { class: "pc" }, String(model.pc[i])),
    h("span", { class: "text" }, ...opcode(model.text(i)),
      split ? h("span", { class: "tag" }, parent < 0 ? "new start" : `from ${model.pc[parent]}, #${parent}`) : null,
      tag ? h("span", { class: "tag strong" }, tag) : null));
  }
}
