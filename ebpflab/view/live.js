// The browser's half of ebpflab.view.live.Chart.
//
// state            title, kind, window, figure (bokeh's JSON), bokeh (version), library (gzip, or empty)
// kernel -> page   {op: "bokeh"} + gzip of bokeh.min.js      if the page has none, from the installed bokeh package
//                  {op: "data", seq, mode, columns, rows, …} + one float64 block; mode "reset" starts over
//                  {op: "status", …}                         counters, state, reason
//                                                           (comes every half second while the chart is live)
// page -> kernel   hello, ready, gone, ack, pause, resume, stop

const SILENCE = 6; // seconds without a word from a live chart's kernel, then the page says so

const ICONS = {
  pause: '<svg viewBox="0 0 16 16"><path d="M4 3h3v10H4zM9 3h3v10H9z"/></svg>',
  play: '<svg viewBox="0 0 16 16"><path d="M4 2.5v11l9-5.5z"/></svg>',
  stop: '<svg viewBox="0 0 16 16"><path d="M3.5 3.5h9v9h-9z"/></svg>',
};
const element = (tag, name, parent) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  parent?.append(made);
  return made;
};
const short = (v) => {
  if (!Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (size >= unit) return (v / unit).toFixed(size >= 100 * unit ? 0 : size >= 10 * unit ? 1 : 2) + letter;
  return Number.isInteger(v) ? String(v) : v.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
};

// ── BokehJS: loaded once a page, kept by version ──

const library = (version) => globalThis.Bokeh?.[version] ?? (globalThis.Bokeh?.version === version ? globalThis.Bokeh : null);

async function load(version, packed) {
  if (library(version)) return;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(stream).text()], { type: "text/javascript" }));
  await new Promise((done, failed) => {
    const script = element("script");
    Object.assign(script, { src: url, onload: done, onerror: () => failed(new Error("BokehJS did not load")) });
    document.head.append(script);
  });
  URL.revokeObjectURL(url);
}

// ── theme: the figure takes its colours from the page ──

function paint(figure, root) {
  const style = getComputedStyle(root);
  const [fg, dim, line] = ["--fg", "--dim", "--line"].map((name) => style.getPropertyValue(name).trim());
  const font = style.fontFamily;
  figure.setv({ background_fill_color: null, border_fill_color: null });
  for (const axis of [...figure.below, ...figure.left])
    axis.setv?.({
      axis_label_text_color: dim, major_label_text_color: fg, axis_label_text_font: font, major_label_text_font: font,
    });
  for (const { glyph } of figure.renderers) if (glyph?.type === "Text") glyph.setv({ text_color: fg, text_font: font });
  for (const grid of figure.center)
    if (grid.type === "Grid" && grid.grid_line_color !== null) grid.setv({ grid_line_color: line, grid_line_alpha: 0.6 });
}

function follow(callback) {
  const watcher = new MutationObserver(callback);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", callback);
  return () => { watcher.disconnect(); media.removeEventListener("change", callback); };
}

// ── axes: grow at once, shrink only when half is empty, end at a round number ──

function round(v) {
  const step = 10 ** Math.floor(Math.log10(v));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * step).find((n) => n >= v * 0.9999) ?? v;
}

function fit(range, columns, fromZero) {
  let low = Infinity, high = -Infinity;
  for (const column of columns) for (const v of column) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) [low, high] = [0, 1];
  const spread = high - low;
  // Counters far from zero are drawn from where they are, everything else from zero.
  let start = low < 0 ? -round(-low * 1.05) : fromZero || low < spread * 2 || !spread ? 0 : low - spread * 0.1;
  let end = high <= 0 ? (low < 0 ? 0 : 1) : start > 0 ? high + spread * 0.1 : round(high * 1.05);
  const room = range.end - range.start, need = end - start;
  if (range.fitted && start >= range.start && end <= range.end && need > room * 0.5) return;
  range.fitted = true;
  range.setv({ start, end });
}

// ── one view ──

class View {
  constructor(model, el) {
    this.model = model;
    this.id = Math.random().toString(36).slice(2);
    this.waiting = [];
    this.hidden = new Set();
    this.build(el);
    this.kind = model.get("kind");
    this.points = model.get("window");
    this.listener = (message, buffers) => this.receive(message, buffers).catch((error) => this.fail(error));
    model.on("msg:custom", this.listener);
    const version = model.get("bokeh"), packed = model.get("library");
    const have = library(version) !== null || packed?.byteLength > 0;
    if (have) this.begin(packed);
    this.send("ready", { bokeh: have });
    this.timer = setInterval(() => this.listen(), 1000);
  }

  // A kernel that was restarted or died cannot say good-bye.
  listen() {
    const { state } = this.root.dataset, seconds = (performance.now() - this.heard) / 1000;
    if (state !== "live" || seconds < SILENCE) return;
    this.root.dataset.state = "silent";
    this.status.replaceChildren(element("span", "dot"), document.createTextNode("no answer"));
    this.reason.textContent = "The notebook's kernel is busy, or was restarted; after a restart, run the cell again.";
  }

  begin(packed) {
    this.ready ??= load(this.model.get("bokeh"), packed).then(() => this.embed()).catch((error) => this.fail(error));
  }

  send(op, more = {}) {
    try {
      this.model.send({ op, view: this.id, ...more });
    } catch (error) {
      console.debug(`ebpflab: ${op} not sent: ${error.message}`);   // the kernel is gone, and so is who would hear it
    }
  }

  build(el) {
    const root = (this.root = element("div", "ebpflab-chart", el));
    root.dataset.state = "waiting";
    root.setAttribute("role", "figure");
    const header = element("header", "", root);
    element("span", "title", header).textContent = this.model.get("title");
    this.status = element("span", "status", header);
    this.status.innerHTML = '<span class="dot"></span>waiting for the kernel';
    const tools = element("span", "tools", header);
    this.pause = this.button(tools, "pause", "Pause", () => this.send(this.paused ? "resume" : "pause"));
    this.stop = this.button(tools, "stop", "Stop", () => this.send("stop"));
    this.reason = element("p", "reason", root);
    this.plot = element("div", "plot", root);
    this.legend = element("div", "legend", root);
    root.setAttribute("aria-label", this.model.get("title"));
  }

  button(parent, icon, label, click) {
    const made = element("button", "", parent);
    made.type = "button";
    if (icon) made.innerHTML = ICONS[icon];
    made.title = label;
    made.setAttribute("aria-label", label);
    made.dataset.lmSuppressShortcuts = "true";
    made.addEventListener("click", click);
    return made;
  }

  async receive(message, buffers) {
    if (message.view && message.view !== this.id) return;
    this.heard = performance.now();
    if (message.op === "bokeh") this.begin(buffers[0]);
    else if (message.op === "status") this.report(message);
    else if (message.op === "data") {
      const raw = buffers[0];
      const block = new Float64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
      if (message.mode === "reset") this.waiting = [];
      this.waiting.push([message, block]);
      if (this.waiting.length > 200) {    // a page out of sight while a cell runs: ask for everything anew
        this.waiting = [];
        this.send("ready", { bokeh: library(this.model.get("bokeh")) !== null });
      }
      if (!this.frame) this.draw();       // at once if the last one was painted, else with the next frame
    }
  }

  async embed() {
    const views = await library(this.model.get("bokeh")).embed.embed_item(JSON.parse(this.model.get("figure")), this.plot);
    this.figure = (views.roots?.[0] ?? [...views][0]).model;
    this.source = this.figure.document.get_model_by_name("data");
    paint(this.figure, this.root);
    this.unfollow = follow(() => requestAnimationFrame(() => paint(this.figure, this.root)));
    this.draw();
  }

  // Everything that came since the last frame goes into the figure at once; then the kernel hears of it.
  draw() {
    if (this.gone || !this.source) return;
    const todo = this.waiting;
    this.waiting = [];
    for (const [message, block] of todo) this.apply(message, block);
    if (!todo.length) return;
    const last = todo.at(-1)[0];
    this.kind === "line" ? this.fitLine(last) : this.fitBars(last);
    this.source.change.emit();
    this.drawn = (this.drawn ?? 0) + 1;
    // Bokeh paints in the coming frame; what is acknowledged has been seen.
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.send("ack", { seq: last.seq, painted: (performance.timeOrigin + performance.now()) / 1000 });
      this.draw();
    });
  }

  apply(message, block) {
    const { columns, rows } = message, data = this.source.data;
    const part = (at) => block.subarray(at * rows, (at + 1) * rows);
    if (this.kind !== "line") {
      columns.forEach((name, at) => { data[name] = part(at).slice(); });
      return;
    }
    if (message.mode === "reset" || data.t.length !== this.points)
      for (const name of columns) data[name] = new Float64Array(this.points).fill(NaN);
    for (const name of message.clear ?? []) data[name].fill(NaN);
    columns.forEach((name, at) => {
      const column = data[name];
      column.copyWithin(0, rows);
      column.set(part(at), this.points - rows);
    });
  }

  fitLine(message) {
    const data = this.source.data, times = data.t, end = times[this.points - 1];
    const first = times.find((v) => !Number.isNaN(v)) ?? 0;
    this.figure.x_range.setv({ start: Math.max(first, end - message.span), end: Math.max(end, first + message.every) });
    const names = message.names.map((_, place) => `s${place}`).filter((name) => !this.hidden.has(name));
    fit(this.figure.y_range, names.map((name) => data[name]), message.zero);
    this.chips(message);
  }

  fitBars(message) {
    const data = this.source.data, bars = this.kind === "bar";
    const axis = bars ? this.figure.left[0] : this.figure.below[0];
    const text = JSON.stringify(message.ticks);
    if (text !== this.ticks && axis.ticker.type === "FixedTicker") {
      this.ticks = text;
      axis.setv({ major_label_overrides: new Map(message.ticks) });
      axis.ticker.setv({ ticks: message.ticks.map(([place]) => place) });
    }
    if (bars) {
      this.figure.y_range.setv({ start: Math.max(data.y.length, 3) - 0.4, end: -0.6 });
      data.text = [...data.value].map(short);
      fit(this.figure.x_range, [data.value.map((v) => v * 1.1)], true);    // room for the numbers
    } else {
      this.figure.x_range.setv({ start: data.left[0] ?? 0, end: data.right.at(-1) ?? 1 });
      fit(this.figure.y_range, [data.count], true);
    }
    this.more(message.hidden);
  }

  // ── legend: one chip a series with its last value; click to hide it ──

  chips(message) {
    const key = JSON.stringify(message.names);
    if (key !== this.key) {
      this.key = key;
      this.legend.replaceChildren();
      this.values = message.names.map((name, place) => {
        const id = `s${place}`, line = this.figure.document.get_model_by_name(id);
        line.visible = !this.hidden.has(id);
        const chip = this.button(this.legend, "", `Show or hide ${name}`, () => {
          this.hidden.has(id) ? this.hidden.delete(id) : this.hidden.add(id);
          line.visible = !this.hidden.has(id);
          chip.setAttribute("aria-pressed", String(line.visible));
        });
        chip.setAttribute("aria-pressed", String(line.visible));
        element("i", "", chip).style.background = line.glyph.line_color?.value ?? line.glyph.line_color;
        element("span", "", chip).textContent = name;
        return element("em", "", chip);
      });
      this.rest = element("span", "more", this.legend);
    }
    this.values.forEach((em, place) => { em.textContent = short(this.source.data[`s${place}`][this.points - 1]); });
    this.rest.textContent = message.hidden ? `and ${message.hidden} smaller` : "";
  }

  more(hidden) {
    this.rest ??= element("span", "more", this.legend);
    this.rest.textContent = hidden ? `and ${hidden} smaller` : "";
  }

  report(status) {
    this.root.dataset.state = status.state;
    this.paused = status.state === "paused";
    const over = status.state === "stopped" || status.state === "failed";
    this.pause.innerHTML = ICONS[this.paused ? "play" : "pause"];
    this.pause.title = this.paused ? "Resume" : "Pause";
    this.pause.setAttribute("aria-label", this.pause.title);
    this.pause.disabled = this.stop.disabled = over;
    this.status.replaceChildren(element("span", "dot"), document.createTextNode(status.text));
    element(status.losses ? "b" : "span", "", this.status).textContent = ` · ${status.losses || "lost 0"}`;
    this.reason.textContent = status.reason ?? "";
  }

  fail(error) {
    this.root.dataset.state = "failed";
    this.reason.textContent = `The chart failed in the browser: ${error.message ?? error}`;
    console.error(error);
  }

  close() {
    this.gone = true;
    clearInterval(this.timer);
    this.unfollow?.();
    this.model.off("msg:custom", this.listener);
    this.figure?.document?.clear?.();
    this.send("gone");
  }
}

export default {
  initialize({ model }) { model.send({ op: "hello" }); },
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};
