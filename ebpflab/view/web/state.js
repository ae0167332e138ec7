// What is known at a step: the instruction, the ways that lead from and to it, registers and stack.

const SIDES = { taken: "jump taken", fall: "jump not taken", "": "next" };

class StatePane {
  // `view` has go(step); `label` names the pane where there are two.
  constructor(model, view, label = "") {
    Object.assign(this, { model, view, label, at: -1, frame: null, opened: new Set(), watched: null });
    const { verdict } = model.head;
    this.fault = FAULTS[verdict.result];
    this.blamed = new Set(verdict.result === "reject" ? verdict.lines.join(" ").match(/\bR\d+\b/g) : []);
    this.now = h("div", { class: "now" });
    this.cells = h("div", { class: "cells", role: "table", "aria-label": "Registers and stack" });
    this.notes = h("div", { class: "notes" });
    this.live = h("p", { class: "sr", role: "status", "aria-live": "polite" });
    this.box = focusable("section", { class: "state", tabindex: "0", "aria-label": `What is known${label && ` by ${label}`}` },
      this.now, this.cells, this.notes, this.live);
  }

  // At once if the states are here, else as soon as they are; promises that it is done.
  async show(i) {
    const { model } = this;
    if (i !== this.at) this.frame = null;
    this.at = i;
    if (!model.ready(i)) {
      this.cells.classList.add("waiting");
      try { await model.load(i); } catch (error) {
        if (this.at === i) this.now.replaceChildren(h("p", { class: "warning" }, String(error.message || error)));
        return;
      }
      if (this.at !== i) return;
    }
    this.state = model.states(i);
    this.draw();
  }

  // For a step beyond this trace's last one.
  end(i) {
    this.at = i;
    this.now.replaceChildren(h("div", { class: "side" }, this.label), h("p", { class: "covered" }, `There is no step #${i} here: the walk ended before.`));
    this.cells.replaceChildren();
    this.notes.replaceChildren();
  }

  draw() {
    const { model, at: i, state } = this, focus = this.box.contains(document.activeElement) ? document.activeElement : null;
    this.cells.classList.remove("waiting");
    const frames = (state.after.get(FRAMES) || [[0, ""]]).map(([number]) => number);
    const frame = this.frame ?? frames.at(-1);
    const text = model.text(i), rejected = i === model.head.verdict.step;
    const used = new Set((text.match(/\b[rw]\d+\b/g) || []).map((r) => `R${r.slice(1)}`));
    const access = model.kind(i) === "pruned" ? null : model.insn(i)?.access;
    this.shown = cellsOf(state.before, state.after, frame);
    this.now.replaceChildren(...this.drawNow(i, frames, frame));
    this.cells.replaceChildren(...this.shown.map((cell) => this.drawCell(cell, {
      used: used.has(cell.name), blamed: rejected && this.blamed.has(cell.name), apart: this.differs?.(cell), claim: this.claimed?.(cell),
      access: access && cell.name === `R${access[0]}` ? access.slice(1) : null,
    })));
    this.reveal(this.cells.querySelector(".apart, .changed, .blamed"));
    this.notes.replaceChildren(...this.drawNotes(state.notes));
    if (focus && !focus.isConnected) (this.cells.querySelector(`[data-cell="${focus.dataset.cell}"]`) ?? this.box).focus({ preventScroll: true });
    const changes = this.shown.filter(isChanged).map((c) => (c.now ? `${c.name} is ${c.now.words}` : `${c.name} is gone`));
    this.live.textContent = `Step ${i}, instruction ${model.pc[i]}: ${text}. ${changes.join("; ")}`
      + (rejected ? `. ${RESULTS[model.head.verdict.result].word}: ${model.head.verdict.error}` : "");
  }

  drawNotes(notes) {
    if (!notes.length) return [];
    return [focusable("details", {}, focusable("summary", {}, `${notes.length} more line${notes.length > 1 ? "s" : ""} of the log`),
      h("pre", {}, notes.join("\n")))];
  }

  drawNow(i, frames, frame) {
    const { model } = this, kind = model.kind(i), insn = model.insn(i), way = this.drawWay(i, frames, frame);
    return [
      this.label && h("div", { class: "side" }, this.label),
      h("div", { class: "line" }, h("span", { class: "pc" }, String(model.pc[i])), h("code", {}, ...opcode(model.text(i)))),
      insn?.source?.text ? h("div", { class: "from", title: insn.source.file },
        `${baseName(insn.source.file)}:${insn.source.line}  `, h("code", {}, squeezed(insn.source.text))) : null,
      kind === "pruned" ? h("p", { class: "covered" }, "This path ends here: an equal or weaker state was already proved safe at this instruction.") : null,
      i === model.head.verdict.step ? h("p", { class: `warning ${this.fault.name}` }, `${this.fault.sign} ${this.fault.here}`) : null,
      way.length ? h("div", { class: "way" }, ...way) : null,
    ].filter(Boolean);
  }

  link(to, text, title) { return focusable("button", { class: "link", title, onclick: () => this.view.go(to) }, text); }

  // Where this path comes from, where else it went, other visits of the instruction, the frames.
  drawWay(i, frames, frame) {
    const { model } = this, parent = model.parent(i), branch = model.branch(i), way = [];
    const told = (step) => `instruction ${model.pc[step]}: ${model.text(step)}`;
    const sides = (steps) => steps.map((to) => h("span", {}, `${SIDES[model.branch(to)]} → `, this.link(to, `#${to}`, told(to))));
    if (parent >= 0 && (branch || !model.follows(i))) {
      way.push(h("span", {}, "from ", this.link(parent, `#${parent}`, told(parent)), branch ? ` by ${SIDES[branch]}` : ""));
    }
    if (parent >= 0) way.push(...sides(model.children(parent).filter((child) => child !== i)));
    const children = model.children(i);
    if (children.length > 1) way.push(...sides(children));
    const visits = model.visitsOf.get(model.pc[i]), nth = visits.indexOf(i);
    if (visits.length > 1) {
      way.push(h("span", { class: "visits" }, `visit ${nth + 1} of ${visits.length}`,
        nth ? this.link(visits[nth - 1], "‹", "previous visit of this instruction ([)") : null,
        nth + 1 < visits.length ? this.link(visits[nth + 1], "›", "next visit of this instruction (])") : null));
    }
    if (frames.length > 1) {
      way.push(h("span", { class: "frames" }, "frame ", ...frames.map((n) => focusable("button", { class: "link",
        "aria-pressed": String(n === frame), title: n === frames.at(-1) ? "the function that runs" : "a caller",
        onclick: () => { this.frame = n; this.draw(); } }, String(n)))));
    }
    return way;
  }

  drawCell(cell, { used, blamed, apart, access, claim }) {
    const changed = isChanged(cell), { old, now, name } = cell;
    const open = this.opened.has(name) !== (changed || blamed || Boolean(apart) || Boolean(access));
    const images = open ? (claim ? claimPictures(cell.now, claim) : pictures(cell, access)) : [];
    const kinds = Object.entries({ changed, blamed, apart, used }).filter(([, is]) => is).map(([kind]) => ` ${kind}`).join("");
    const becomes = changed && old && [h("del", {}, ...breakable(old.text, now?.text)), h("span", { class: "arrow", "aria-label": "becomes" }, " → ")];
    return h("div", { class: `cell${kinds}`, role: "row" },
      focusable("button", { class: "name", role: "rowheader", "aria-expanded": String(open), title: "show or hide the pictures; n goes to the next change",
        onclick: () => this.toggle(name), "data-cell": name }, `${blamed ? "✗ " : apart ? "≠ " : ""}${name}`),
      h("div", { class: "body", role: "cell" },
        h("div", { class: "value" }, ...(becomes || []),
          now ? h(changed ? "ins" : "span", {}, ...breakable(now.text, changed ? old?.text : undefined)) : h("ins", {}, "gone")),
        h("div", { class: "words" }, now ? now.words : "not readable any more"),
        apart && h("div", { class: "words" }, `≠ ${apart}`),
        claim && h("div", { class: `words claim${claim.outside ? " outside" : ""}` }, claim.outside ? "✗ " : "✓ ", "verifier: ", h("code", {}, ...breakable(claim.cell.text)),
          claim.outside ? ` — ${claim.outside}` : ""),
        (this.writer?.(cell) ?? null),
        ...images.map(([what, parts]) => h("div", { class: "picture" }, h("span", { class: "what" }, what), h("div", {}, ...parts)))));
  }

  toggle(name) {
    this.watched = name;
    if (!this.opened.delete(name)) this.opened.add(name);
    this.draw();
  }

  // Scrolls only the pane: the notebook around it stays where it is.
  reveal(cell) {
    const pane = this.box, head = this.now.offsetHeight;
    const top = cell ? cell.offsetTop - head : 0, bottom = cell ? cell.offsetTop + cell.offsetHeight : 0;
    if (top < pane.scrollTop || bottom > pane.scrollTop + pane.clientHeight) pane.scrollTop = top;
  }
}

// The kernel's text, breakable after commas; what `other` does not have is marked.
function breakable(text, other) {
  const parts = (whole) => whole.replaceAll("; ", ";\u00a0").split(/(?<=,|^\w+\()|(?=\)$)/);
  const bare = (part) => part.replace(/,$/, "");
  const theirs = new Set(other === undefined ? [] : parts(other).map(bare));
  return parts(text).flatMap((part) => [theirs.has(bare(part)) ? part : h("b", {}, part), h("wbr")]);
}
