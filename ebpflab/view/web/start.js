// The two ways in: as a widget that talks to Python, and as a page that has everything inside.

const AHEAD = 4; // chunks asked for in one message while nobody waits
const KEPT = 64 << 20; // compressed bytes of states that are fetched ahead

// JupyterLab, Notebook, VS Code, Colab: an anywidget. Python sends the chunks near the first step with the head; the
// others are fetched ahead, nearest first, so that a jump finds its chunk here, also while the kernel is busy.
async function render({ model, el }) {
  const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const waiting = new Map();
  const answer = ({ give }, buffers) => give.forEach((name, at) => {
    waiting.get(name)?.resolve(bytes(buffers[at]));
    waiting.delete(name);
  });
  const ask = (names) => {
    const fresh = names.filter((name) => !waiting.has(name));
    for (const name of fresh) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
      entry.promise.catch(() => {});
      waiting.set(name, entry);
      setTimeout(() => waiting.get(name) === entry && waiting.delete(name)
        && entry.reject(new Error("No answer from Python: the kernel is busy or gone. Run the cell again.")), 30000);
    }
    const promises = names.map((name) => waiting.get(name).promise);
    if (fresh.length) model.send({ ask: fresh });
    return Promise.all(promises);
  };
  const here = new Map(Object.entries(model.get("inline")).map(([k, view]) => [Number(k), bytes(view)]));
  const trace = await TraceModel.open(model.get("head"), bytes(model.get("columns")), {
    chunk: async (k) => here.get(k) ?? here.set(k, (await ask([String(k)]))[0]).get(k),
    touched: async () => (await ask(["touched"]))[0],
  });
  model.on("msg:custom", answer);
  let timer;
  const view = new StepperView(el.appendChild(document.createElement("div")), trace, {
    step: model.get("step"),
    onstep: (i) => {
      clearTimeout(timer);
      timer = setTimeout(() => { if (model.get("step") !== i) { model.set("step", i); model.save_changes(); } }, 150);
    },
  });
  const follow = () => view.go(model.get("step"));
  model.on("change:step", follow);

  let open = true, kept = 0;
  (async () => {
    const missing = new Set(Array.from({ length: Math.ceil(trace.length / trace.head.chunk) }, (_, k) => k));
    for (const k of here.keys()) missing.delete(k);
    while (open && missing.size && kept < KEPT) {
      const near = trace.chunkOf(Math.max(0, view.at));
      const next = [...missing].sort((a, b) => Math.abs(a - near) - Math.abs(b - near)).slice(0, AHEAD);
      const found = await ask(next.map(String));
      next.forEach((k, at) => { missing.delete(k); here.set(k, found[at]); kept += found[at].length; });
    }
  })().catch(() => {}); // a kernel that does not answer is told of when a step needs it
  return () => { open = false; model.off("msg:custom", answer); model.off("change:step", follow); clearTimeout(timer); };
}

// The static page: the same view on data that is in the page.
async function mount(root, data) {
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const trace = await TraceModel.open(data.head, bytes(data.columns), {
    chunk: async (k) => bytes(data.chunks[k]), touched: async () => bytes(data.touched),
  });
  return new StepperView(root, trace, { step: data.step });
}

export { mount };
export default { render };
