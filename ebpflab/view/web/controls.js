// Slider with its map of the walk, buttons, filter, keys.

// One table for the help and for the keyboard: [names of the key, shown as, what it does, method of the view, argument].
const KEYS = [
  [["ArrowLeft", "k"], "← k", "step back", "move", -1],
  [["ArrowRight", "j"], "→ j", "step on", "move", 1],
  [["ArrowUp"], "↑", "back along this path", "up"],
  [["ArrowDown"], "↓", "on along this path", "down"],
  [["PageUp"], "PgUp", "25 steps back", "skip", -25],
  [["PageDown"], "PgDn", "25 steps on", "skip", 25],
  [["Home"], "Home", "first step", "first"],
  [["End"], "End", "last step", "last"],
  [["n"], "n", "next change of this register (the one opened last)", "nextChange", 1],
  [["N"], "N", "the change before", "nextChange", -1],
  [["]"], "]", "next visit of this instruction", "nextVisit", 1],
  [["["], "[", "the visit before", "nextVisit", -1],
  [["c"], "c", "next link of the chain of proof", "nextLink", 1],
  [["C"], "C", "the link before", "nextLink", -1],
  [["e"], "e", "to the error, or where two traces part", "goWrong"],
  [["s"], "s", "list of steps, or the program", "turnList"],
  [["?"], "?", "these keys", "help"],
  [["Escape"], "Esc", "close this", "help", false],
];

class Controls {
  // `view` is a Walk; a filter and some keys are there if it has the methods for them.
  constructor(view) {
    Object.assign(this, { view, model: view.model, acts: KEYS.filter(([, , , act]) => view[act]) });
    const button = (name, label, act) => focusable("button", { "aria-label": label, title: label, onclick: act }, icon(name));
    this.slider = focusable("input", { type: "range", min: 0, max: view.length - 1, value: 0, "aria-label": "Step",
      oninput: () => view.go(Number(this.slider.value)) });
    this.map = h("canvas", { "aria-hidden": "true" });
    this.count = h("span", { class: "count" });
    const track = h("div", { class: "track", title: "instruction (down) over steps (right)" }, this.map, this.slider);
    this.redrawWith(track);
    this.box = h("nav", { class: "controls", "aria-label": "Steps" },
      h("div", { class: "buttons" }, button("first", "First step", () => view.go(0)), button("back", "Step back", () => view.move(-1)),
        button("on", "Step on", () => view.move(1)), button("last", "Last step", () => view.go(view.length - 1))),
      track, this.count, view.setFilter ? this.makeFilter() : null, this.makeHelp());
  }

  makeFilter() {
    const names = [["all", "every step"], ["path", "this path"], ["visits", "this instruction"],
      ...Array.from({ length: 11 }, (_, r) => [String(r), `changes of R${r}`]), [String(STACK_BIT), "changes of the stack"]];
    this.filter = focusable("select", { "aria-label": "Which steps", onchange: () => this.view.setFilter(this.filter.value) },
      ...names.map(([value, text]) => h("option", { value }, text)));
    return this.filter;
  }

  makeHelp() {
    this.keys = h("dl", { role: "dialog", "aria-label": "Keys", hidden: true },
      ...this.acts.flatMap(([, shown, text]) => [h("dt", {}, shown), h("dd", {}, text)]));
    this.helpButton = focusable("button", { title: "Keys: ?", "aria-label": "Keys", "aria-expanded": "false", onclick: () => this.help() }, "?");
    return h("div", { class: "help" }, this.helpButton, this.keys);
  }

  help(open = this.keys.hidden) {
    this.keys.hidden = !open;
    this.helpButton.setAttribute("aria-expanded", String(open));
  }

  key(event) {
    if (event.target === this.filter || event.ctrlKey || event.metaKey || event.altKey) return;
    const found = this.acts.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    event.stopPropagation();
    const [, , , act, ...given] = found;
    this.view[act](...given);
  }

  show(i, text) {
    this.slider.value = i;
    this.slider.setAttribute("aria-valuetext", `step ${i} of ${this.view.length - 1}, ${text}`);
    this.count.replaceChildren(h("b", {}, `#${i}`), ` / ${this.view.length - 1}`);
  }

  redrawWith(track) {
    new ResizeObserver(() => this.drawMap()).observe(track);
    new MutationObserver(() => this.drawMap()).observe(document.body, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawMap());
  }

  // Instruction (down) over steps (right): straight lines, branches and loops show their shape.
  drawMap() {
    const { map, model, view } = this, { clientWidth: width, clientHeight: height } = map, n = model.length;
    if (!width || !n) return;
    const ratio = devicePixelRatio || 1, ink = getComputedStyle(map), pad = 6;
    map.width = width * ratio;
    map.height = height * ratio;
    const pen = map.getContext("2d"), colour = (name) => ink.getPropertyValue(name).trim();
    pen.scale(ratio, ratio);
    const top = Math.max(1, model.head.listing.at(-1)?.pc ?? 1), last = Math.max(1, view.length - 1);
    const place = (i) => [2 + (i / last) * (width - 4), pad + (model.pc[i] / top) * (height - 2 * pad)];
    const stride = Math.max(1, Math.floor(n / 40000));
    pen.strokeStyle = colour("--e-line");
    pen.beginPath();
    for (let i = 1; i < n; i += stride) {
      if (model.follows(i)) { pen.moveTo(...place(i - 1)); pen.lineTo(...place(i)); }
    }
    pen.stroke();
    const dot = Math.max(0.8, Math.min(2.2, (width / n) * 0.6));
    const inks = { plain: colour("--e-map"), out: colour("--e-line"), pruned: colour("--e-faint") };
    for (let i = 0; i < n; i += stride) {
      const [x, y] = place(i);
      pen.fillStyle = model.kind(i) === "pruned" ? inks.pruned : !view.wanted || view.wanted(i) ? inks.plain : inks.out;
      if (model.kind(i) === "pruned") pen.fillRect(x - 0.5, y - 4, 1.2, 8);
      else pen.fillRect(x - dot, y - dot, 2 * dot, 2 * dot);
    }
    for (const i of view.marks()) {
      const [x, y] = place(Math.min(i, n - 1)), cx = Math.max(4, Math.min(width - 4, x));
      pen.fillStyle = colour("--e-bad");
      pen.beginPath();
      pen.moveTo(cx, y - 4); pen.lineTo(cx + 4, y); pen.lineTo(cx, y + 4); pen.lineTo(cx - 4, y);
      pen.fill();
    }
  }
}
