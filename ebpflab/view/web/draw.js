// Small pictures of what is known: interval bar, known-bits strip, region ruler.

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// Whatever takes the focus must tell JupyterLab to leave its keys alone.
const focusable = (tag, attributes, ...children) =>
  h(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const big = (value) => BigInt(value ?? 0);
const log2 = (n) => (n < 2n ** 52n ? Math.log2(Number(n)) : (n.toString(2).length - 53) + Math.log2(Number(n >> BigInt(n.toString(2).length - 53))));

// A known number leaves its bounds out: they follow from it.
function bounds(cell) {
  if (cell.type === "scalar" && !cell.mask && cell.umax === undefined) {
    const value = big(cell.value);
    const signed = BigInt.asIntN(64, value);
    return { umin: value, umax: value, smin: signed, smax: signed };
  }
  return { umin: big(cell.umin), umax: big(cell.umax), smin: big(cell.smin), smax: big(cell.smax) };
}

const W = 256;
const unsignedAt = (n) => (log2(n + 1n) / 64) * W;
const signedAt = (n) => W / 2 + (n < 0n ? -log2(1n - n) : log2(n + 1n)) * (W / 2 / 63);

function bar(label, low, high, at, marks, ends) {
  const left = at(low), right = at(high);
  const svg = s("svg", { viewBox: `0 0 ${W} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { x: 0, y: 4, width: W, height: 2, class: "rail" }),
    ...marks.map((x) => s("rect", { x: x - 0.4, y: 2, width: 0.8, height: 6, class: "tick" })),
    s("rect", { x: Math.max(0, Math.min(left, W - 3)), y: 2, width: Math.max(right - left, 3), height: 6, class: "fill" }));
  return h("div", { class: "scale", title: `${label}: ${low} to ${high}` },
    h("span", { class: "end" }, ends[0]), svg, h("span", { class: "end" }, ends[1]));
}

// Logarithmic, so that a byte and an address both have room. Marks at 8, 16 and 32 bits.
function intervalBars(cell) {
  const { umin, umax, smin, smax } = bounds(cell);
  const marks = [8n, 16n, 32n].map((bits) => 2n ** bits - 1n);
  const bars = [bar("unsigned", umin, umax, unsignedAt, marks.map(unsignedAt), ["0", "2⁶⁴"])];
  if (smin !== umin || smax !== umax) {
    const both = [...marks, 0n, ...marks.map((mark) => -mark)];
    bars.push(bar("signed", smin, smax, signedAt, both.map(signedAt), ["−2⁶³", "2⁶³"]));
  }
  return bars;
}

// Bit 63 on the left. Tall: known to be 1; flat: known to be 0; hatched: not known.
function bitStrip(cell) {
  const value = big(cell.value), mask = big(cell.mask);
  const kinds = { one: "", zero: "", unknown: "" };
  const counts = { one: 0, zero: 0, unknown: 0 };
  for (let bit = 63n; bit >= 0n; bit--) {
    const place = 63 - Number(bit), x = place * 3.75 + Math.floor(place / 8) * 2.2857;
    const kind = (mask >> bit) & 1n ? "unknown" : (value >> bit) & 1n ? "one" : "zero";
    counts[kind]++;
    kinds[kind] += kind === "zero" ? `M${x} 9h2.9v1h-2.9z` : `M${x} 0h2.9v10h-2.9z`;
  }
  const svg = s("svg", { viewBox: `0 0 ${W} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...Object.entries(kinds).map(([kind, d]) => s("path", { d, class: kind })));
  const title = `bits 63 … 0: ${counts.one} known to be 1, ${counts.zero} known to be 0, ${counts.unknown} not known`;
  return h("div", { class: "scale", title }, h("span", { class: "end" }, "63"), svg, h("span", { class: "end" }, "0"));
}

const REGION = { pkt: "proved bytes of the packet", pkt_meta: "proved bytes of metadata", map_value: "bytes of the map's value",
  fp: "bytes of stack, top on the right" };

// Upper lane: the memory. Lower lane: where the pointer can point, [what, size, low, high] in bytes.
function ruler([what, size, low, high]) {
  const lowest = Number(low), highest = Number(high);
  const span = Math.max(size, Math.min(highest + 1, size * 2), 1);
  const x = (byte) => Math.max(0, Math.min(W, (byte / span) * W));
  const lane = (from, to, name) => s("rect", { x: Math.min(from, W - 2.5), y: 6, width: Math.max(to - from, 2.5), height: 5, class: name });
  const svg = s("svg", { viewBox: `0 0 ${W} 11`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { x: 0, y: 1, width: W, height: 3, class: "rail" }),
    s("rect", { x: 0, y: 1, width: x(size), height: 3, class: "region" }));
  if (lowest <= size) svg.append(lane(x(lowest), x(Math.min(highest, size)), "pointer"));
  if (highest > size) svg.append(lane(x(Math.max(lowest, size)), x(highest), "outside"));
  if (lowest < 0) svg.append(lane(0, 0, "outside"));
  const at = low === high ? `points at byte ${low}` : `points at bytes ${low} to ${high}`;
  return h("div", { class: "scale ruler", title: `${at}; ${size} ${REGION[what] || "bytes of memory"}` },
    h("span", { class: "end" }, lowest < 0 ? String(low) : "0"), svg,
    h("span", { class: "end" }, highest > size ? shortNumber(highest) : String(size)));
}

const shortNumber = (n) => (n < 1e5 ? String(n) : `2^${Math.round(Math.log2(n))}`);

// The pictures of a cell, each with a short name, or none.
function pictures(cell) {
  const shown = cell?.value?.type ? cell.value : cell;
  if (!shown?.type) return [];
  const found = [];
  if (shown.region?.[1]) found.push(["region", [ruler(shown.region)]]);
  if (shown.type === "scalar") {
    found.push(["range", intervalBars(shown)]);
    found.push(["bits", [bitStrip(shown)]]);
  }
  return found;
}

const ICONS = { first: "M3 3v10M13 3L6 8l7 5z", back: "M11 3L4 8l7 5z", on: "M5 3l7 5-7 5z", last: "M3 3l7 5-7 5zM13 3v10" };
const icon = (name) => s("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
