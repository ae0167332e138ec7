// Elements, and the small pictures of what is known: interval bar, known-bits strip, region ruler.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Whatever takes the focus must tell JupyterLab to leave its keys alone.
const focusable = (tag, attributes, ...children) =>
  h(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

const big = (value) => BigInt(value ?? 0);
const least = (a, b) => (a < b ? a : b);
const most = (a, b) => (a > b ? a : b);
const magnitude = (n) => (n < 0n ? -n : n);

function log2(n) {
  const beyond = Math.max(0, n.toString(2).length - 53); // bits that a double has no room for
  return beyond + Math.log2(Number(n >> BigInt(beyond)));
}

const signedLog = (n) => Math.sign(Number(n)) * log2(magnitude(n) + 1n);
const power = (n) => `${n < 0n ? "−" : ""}2${superscript(Math.round(log2(magnitude(n))))}`;
const superscript = (n) => [...String(n)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
const short = (n) => (magnitude(n) < 100000n ? String(n).replace("-", "−") : power(n));

const W = 256;
const lane = (from, to, y, height, kind, least = 2.5) =>
  s("rect", { x: Math.max(0, Math.min(from, W - least)), y, width: Math.max(to - from, least), height, class: kind });
const picture = (height, ...parts) =>
  s("svg", { viewBox: `0 0 ${W} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
const scale = (title, left, svg, right, kind = "") =>
  h("div", { class: `scale ${kind}`, title }, h("span", { class: "end" }, left), svg, h("span", { class: "end" }, right));

// A known number leaves its bounds out: they follow from it.
function bounds(cell) {
  if (cell.type === "scalar" && !cell.mask && cell.umax === undefined) {
    const value = big(cell.value);
    const signed = BigInt.asIntN(64, value);
    return { umin: value, umax: value, smin: signed, smax: signed };
  }
  return { umin: big(cell.umin), umax: big(cell.umax), smin: big(cell.smin), smax: big(cell.smax) };
}

// Logarithmic, so that a byte and an address both have room. Marks at 8, 16 and 32 bits.
const WIDTHS = [8, 16, 32];
const UNSIGNED = { name: "unsigned", at: (n) => (log2(n + 1n) / 64) * W, ends: ["0", "2⁶⁴"], marks: WIDTHS };
const SIGNED = { name: "signed", at: (n) => W / 2 + signedLog(n) * (W / 2 / 63), ends: ["−2⁶³", "2⁶³"],
  marks: [...WIDTHS, 0, ...WIDTHS.map((bits) => -bits)] };

function bar({ name, at, ends, marks }, [low, high], before) {
  const place = (bits) => at(bits < 0 ? 1n - 2n ** BigInt(-bits) : 2n ** BigInt(bits) - 1n);
  const svg = picture(10, s("rect", { x: 0, y: 4, width: W, height: 2, class: "rail" }),
    ...marks.map((bits) => s("rect", { x: place(bits) - 0.4, y: 2, width: 0.8, height: 6, class: "tick" })),
    before && lane(at(before[0]), at(before[1]), 0.5, 9, "was", 3),
    lane(at(low), at(high), 2, 6, "fill", 3));
  const labels = h("div", { class: "marks", "aria-hidden": "true" }, ...marks.map((bits) =>
    h("span", { style: `left: ${(place(bits) / W) * 100}%` }, bits ? `${bits < 0 ? "−" : ""}2${superscript(Math.abs(bits))}` : "0")));
  const then = before ? `; before: ${before[0]} to ${before[1]}` : "";
  return scale(`${name}: ${low} to ${high}${then}`, ends[0], h("div", {}, svg, labels), ends[1], "interval");
}

// What the verifier claims, with the one value of a run in it.
function claimPictures(now, { cell }) {
  const value = inner(now), claim = inner(cell);
  if (value?.type !== "scalar" || claim?.type !== "scalar" || value.mask) return pictures({ old: null, now }, null);
  if (!claim.mask) return [];
  const [low, high] = [bounds(claim), bounds(value)];
  const bars = [bar(UNSIGNED, [low.umin, low.umax], [high.umin, high.umin])];
  if (low.smin !== low.umin || low.smax !== low.umax) bars.push(bar(SIGNED, [low.smin, low.smax], [high.smin, high.smin]));
  return [["claim", bars], ["bits", [bitStrip(claim)]]];
}

// `before`: the cell as it was, if it was a number too.
function intervalBars(cell, before) {
  const now = bounds(cell), was = before && bounds(before);
  const bars = [bar(UNSIGNED, [now.umin, now.umax], was && [was.umin, was.umax])];
  if (now.smin !== now.umin || now.smax !== now.umax) bars.push(bar(SIGNED, [now.smin, now.smax], was && [was.smin, was.smax]));
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
  const svg = picture(10, ...Object.entries(kinds).map(([kind, d]) => s("path", { d, class: kind })));
  const title = `bits 63 … 0: ${counts.one} known to be 1, ${counts.zero} known to be 0, ${counts.unknown} not known`;
  return scale(title, "63", svg, "0");
}

const REGION = { packet: "bytes of the packet", pkt: "proved bytes of the packet", pkt_meta: "proved bytes of metadata",
  map_value: "bytes of the map's value", fp: "bytes of stack, top on the right" };

// Upper lane: the memory. Lower lane: where the pointer can point, [what, size, low, high] in bytes; with `access`,
// [offset, bytes], the bytes that the instruction can touch.
function ruler([what, size, low, high], access) {
  const [shift, bytes] = access ?? [0, 0];
  const first = Number(low) + shift, last = Number(high) + shift + bytes;
  const span = Math.max(size, Math.min(last + (access ? 0 : 1), size * 2 || last), 1);
  const x = (byte) => Math.max(0, Math.min(W, (byte / span) * W));
  const svg = picture(11, s("rect", { x: 0, y: 1, width: W, height: 3, class: "rail" }),
    s("rect", { x: 0, y: 1, width: x(size), height: 3, class: "region" }));
  if (first < size || (!access && first === size)) svg.append(lane(x(first), x(Math.min(last, size)), 6, 5, "pointer"));
  if (last > size) svg.append(lane(x(Math.max(first, size)), x(last), 6, 5, "outside"));
  if (first < 0) svg.append(lane(0, 0, 6, 5, "outside"));
  const range = (a, b) => (a === b ? `byte ${a}` : `bytes ${a} to ${b}`);
  const at = access ? `touches ${bytes} byte${bytes > 1 ? "s" : ""} from ${range(first, Number(high) + shift)}` : `points at ${range(low, high)}`;
  const inside = size && span > size * 1.1 ? h("span", { style: `left: ${(size / span) * 100}%` }, String(size)) : null;
  return scale(`${at}; ${size} ${REGION[what] || "bytes of memory"}`, first < 0 ? short(BigInt(first)) : "0",
    h("div", {}, svg, inside && h("div", { class: "marks", "aria-hidden": "true" }, inside)), short(BigInt(Math.max(size, last))), "ruler");
}

const inner = (cell) => (cell?.value?.type ? cell.value : cell); // of a stack slot what is saved there

// The pictures of a cell, each with a short name, or none. `access`: what the instruction does through it.
function pictures({ old, now }, access) {
  const shown = inner(now), was = inner(old), found = [];
  const pointer = access ? was : shown;
  if (pointer?.region && (pointer.region[1] || access)) found.push([access ? "access" : "region", [ruler(pointer.region, access)]]);
  if (shown?.type === "scalar") {
    found.push(["range", intervalBars(shown, was?.type === "scalar" && was.text !== shown.text ? was : null)]);
    found.push(["bits", [bitStrip(shown)]]);
  }
  return found;
}

// Two lanes on one scale: what would be allowed, and what is known.
function needPicture({ allowed, known }) {
  const [a, b] = [allowed, known].map((pair) => pair.map(BigInt));
  const none = a[0] > a[1];
  const ends = none ? b : [least(a[0], b[0]), most(a[1], b[1])];
  const from = signedLog(ends[0]), span = signedLog(ends[1]) - from || 1;
  const x = (n) => ((signedLog(n) - from) / span) * W;
  const range = ([low, high]) => (low === high ? short(low) : `${short(low)} … ${short(high)}`);
  const row = (name, kind, pair, empty) => h("div", { class: "lane" }, h("span", { class: "what" }, name),
    picture(8, s("rect", { x: 0, y: 3, width: W, height: 2, class: "rail" }), !empty && lane(x(pair[0]), x(pair[1]), 0, 8, kind, 3)),
    h("span", { class: "span" }, empty ? "none" : range(pair)));
  return h("div", { class: "lanes" }, row("allowed", "region", a, none), row("known", "outside", b, false));
}

const ICONS = { first: "M3 3v10M13 3L6 8l7 5z", back: "M11 3L4 8l7 5z", on: "M5 3l7 5-7 5z", last: "M3 3l7 5-7 5zM13 3v10" };
const icon = (name) => s("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
