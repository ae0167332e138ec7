// The two ways in: as a widget that talks to Python, and as a page that has everything inside.

const KEPT = 64 << 20; // compressed bytes of states that are fetched ahead

const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

// What Python answers to {ask: names}: promises of compressed bytes by name.
function questions(model) {
  const waiting = new Map();
  const answer = ({ give }, buffers) => give?.forEach((name, at) => {
    waiting.get(name)?.resolve(bytesOf(buffers[at]));
    waiting.delete(name);
  });
  model.on("msg:custom", answer);
  const wait = (name) => {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    entry.promise.catch(() => {});
    waiting.set(name, entry);
    setTimeout(() => waiting.get(name) === entry && waiting.delete(name)
      && entry.reject(new Error("No answer from Python: the kernel is busy or gone. Run the cell again.")), 30000);
  };
  const ask = (names) => {
    const fresh = names.filter((name) => !waiting.has(name));
    fresh.forEach(wait);
    const promises = names.map((name) => waiting.get(name).promise);
    if (fresh.length) model.send({ ask: fresh });
    return Promise.all(promises);
  };
  return { ask, end: () => model.off("msg:custom", answer) };
}

// A trace of which Python sent the first messages, {head, columns, inline}; `side` stands before the names of the others.
// The states are fetched ahead, nearest to `near()` first, so that a jump finds its chunk here, also while the kernel is busy.
async function openTrace({ head, columns, inline }, ask, side = "") {
  const here = new Map(Object.entries(inline).map(([name, view]) => [name, bytesOf(view)]));
  const get = async (name) => here.get(name) ?? here.set(name, (await ask([side + name]))[0]).get(name);
  const trace = await TraceModel.open(head, bytesOf(columns), { chunk: (k) => get(String(k)), touched: () => get("touched"), reason: () => get("reason") });
  const missing = new Set(Array.from({ length: Math.ceil(trace.length / head.chunk) }, (_, k) => k).filter((k) => !here.has(String(k))));
  const fetchAhead = async (near, open) => {
    let kept = 0;
    while (open() && missing.size && kept < KEPT) {
      const at = trace.chunkOf(near());
      const next = [...missing].reduce((best, k) => (Math.abs(k - at) < Math.abs(best - at) ? k : best));
      kept += (await get(String(next))).length; // one at a time: who jumps waits for no more than one that is on its way
      missing.delete(next);
    }
  };
  return { trace, fetchAhead };
}

// JupyterLab, Notebook, VS Code, Colab: an anywidget.
async function render({ model, el }) {
  const { ask, end } = questions(model), root = el.appendChild(document.createElement("div"));
  const first = (get) => ({ head: get("head"), columns: get("columns"), inline: get("inline") });
  const sides = [await openTrace(first((name) => model.get(name)), ask)];
  if (model.get("other")) sides.push(await openTrace(model.get("other"), ask, "b:"));
  let timer, open = true;
  const options = {
    step: model.get("step"),
    onstep: (i) => {
      clearTimeout(timer);
      timer = setTimeout(() => { if (model.get("step") !== i) { model.set("step", i); model.save_changes(); } }, 150);
    },
    seek: { find: () => model.send({ do: "witness" }), stop: () => model.send({ do: "stop" }) },
    witness: model.get("witness"),
    run: model.get("run") && await readJson(bytesOf(model.get("run"))),
    find: (when, direction) => model.send({ do: "find", when, direction }),
  };
  const view = makeView(root, sides.map(({ trace }) => trace), model.get("apart"), options);
  const follow = () => view.go(model.get("step"));
  const told = () => { view.showWitness?.(model.get("witness")); view.tell?.(model.get("told")); };
  model.on("change:step", follow);
  model.on("change:witness change:told", told);
  for (const { fetchAhead } of sides) fetchAhead(() => Math.max(0, view.at), () => open).catch(() => {}); // who needs a step is told
  return () => {
    open = false;
    end();
    model.off("change:step", follow);
    model.off("change:witness change:told", told);
    clearTimeout(timer);
  };
}

const makeView = (root, traces, apart, options) =>
  (options.run ? new DebugView(root, traces, options) : traces.length > 1 ? new CompareView(root, traces, apart, options) : new StepperView(root, traces[0], options));

// The static page: the same view on data that is in the page.
async function mount(root, data) {
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const left = data.chunks.filter((chunk) => chunk === null).length * data.head.chunk;
  const notes = left ? [`this page has the states of all but ${left} steps; the lab has them all`] : [];
  const open = ({ head, columns, chunks, touched, reason }) => TraceModel.open(head, bytes(columns), {
    chunk: async (k) => {
      if (!chunks[k]) throw new Error("The states of this step are not in this page, which would be too large with them. Open the trace in the lab.");
      return bytes(chunks[k]);
    },
    touched: async () => bytes(touched), reason: async () => bytes(reason),
  });
  const traces = await Promise.all([data, data.other].filter(Boolean).map(open));
  const run = data.run && await readJson(bytes(data.run));
  return makeView(root, traces, data.apart, { step: data.step, witness: data.witness, notes, run });
}

export { mount };
export default { render };
