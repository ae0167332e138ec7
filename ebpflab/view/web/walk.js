// What every view of a walk can do: go to steps along paths and visits. Keys, buttons and links end up here.

class Walk {
  // `models` are the traces walked in step; the first one's program is listed.
  constructor(root, models, onstep) {
    const [model] = models;
    Object.assign(this, { root, models, model, onstep, at: -1, length: Math.max(...models.map((each) => each.length)),
      onPath: new Uint8Array(model.length), pcOnPath: new Set() });
  }

  // The frame: its parts in order, its keys, and nothing of it for JupyterLab's own keys.
  dress(label, ...parts) {
    const { root } = this;
    root.className = "ebpflab";
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", label);
    root.dataset.lmSuppressShortcuts = "true";
    root.replaceChildren(...parts.filter(Boolean));
    root.addEventListener("keydown", (event) => this.controls?.key(event));
  }

  go(i) {
    i = Math.max(0, Math.min(this.length - 1, i));
    if (i === this.at || !this.length) return;
    this.at = i;
    this.followPath(Math.min(i, this.model.length - 1));
    this.show(i);
    this.onstep(i);
  }

  followPath(i) {
    if (i < 0 || this.onPath[i]) return;
    this.onPath = this.model.path(i);
    this.pcOnPath = new Set(this.model.pc.filter((_, at) => this.onPath[at]));
  }

  // The first of some steps, rather one on the path in sight.
  goTo(steps) { if (steps?.length) this.go(steps.find((i) => this.onPath[i]) ?? steps[0]); }

  up() { if (this.at < this.model.length) this.goTo([this.model.parent(this.at)].filter((i) => i >= 0)); }

  down() { this.goTo(this.model.children(this.at)); }

  skip(by) { this.go(this.at + by); }

  first() { this.go(0); }

  last() { this.go(this.length - 1); }

  move(direction) { this.seekStep(direction, this.wanted ?? (() => true)); }

  seekStep(direction, wanted) {
    let i = this.at + direction;
    while (i >= 0 && i < this.length && !wanted(i)) i += direction;
    if (i >= 0 && i < this.length) this.go(i);
  }

  nextVisit(direction) {
    const visits = this.model.visitsOf.get(this.model.pc[this.at]) ?? [], next = visits[visits.indexOf(this.at) + direction];
    if (next !== undefined) this.go(next);
  }

  goWrong() { this.goTo(this.marks()); }

  help(open) { this.controls.help(open); }
}

// As high as what is shown needs, up to what the style sheet allows. It never shrinks: stepping must not shake the page.
function fitHeight(panes, lists, states) {
  let need = 0;
  const fit = () => {
    const code = Math.max(...lists.map(({ box, inner }) => box.offsetTop - panes.offsetTop + inner.offsetHeight + 10));
    const state = Math.max(0, ...states.map(({ now, cells, notes }) => now.offsetHeight + cells.offsetHeight + notes.offsetHeight + 12));
    const wanted = Math.max(code, state);
    if (wanted > need) panes.style.setProperty("--need", `${(need = wanted)}px`);
  };
  const observer = new ResizeObserver(() => requestAnimationFrame(fit));
  const parts = [...lists.map(({ inner }) => inner), ...states.flatMap(({ now, cells, notes }) => [now, cells, notes])];
  for (const part of parts) observer.observe(part);
}
