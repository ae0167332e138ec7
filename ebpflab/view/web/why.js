// Who said what, and why: the verdict's strip, the chain of proof, needed against known, an input that breaks it, the fix.

const RESULTS = {
  accept: { sign: "✓", word: "Accepted" }, reject: { sign: "✗", word: "Rejected" }, unsupported: { sign: "?", word: "Not supported" },
  ended: { sign: "▶", word: "Run" }, fault: { sign: "✗", word: "Stopped" },
};
// Role of a link in the chain -> its sign, and what it says. The roles are those of ebpflab.explain.chain.
const ROLES = {
  born: { sign: "○", means: "comes into being" }, derived: { sign: "●", means: "is computed" },
  learned: { sign: "✓", means: "something is learned" }, lost: { sign: "▼", means: "knowledge is lost" },
  changed: { sign: "◆", means: "changes" }, passed: { sign: "⇄", means: "is passed on" },
  needed: { sign: "✗", means: "is needed here" }, never: { sign: "∅", means: "was never written" },
};
const RUNS = { ended: true, fault: true }; // results of a run that was recorded
const LINKS_SHOWN = 8; // of a longer chain the first two and the last ones, until the reader asks for all

function verdictStrip({ verdict, program, truncated }, notes, ...buttons) {
  const { sign, word } = RESULTS[verdict.result], { processed } = verdict.stats;
  const facts = [`${program.type} program`, processed != null && `${processed} instructions ${verdict.result in RUNS ? "run" : "processed"}`,
    truncated && "the log was cut short", ...notes].filter(Boolean).join(" · ");
  const lines = verdict.result === "ended" ? [] : (verdict.lines.length ? verdict.lines : [verdict.error]).filter(Boolean);
  return h("header", { class: `verdict ${verdict.result}` },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("div", {},
      h("div", { class: "who" }, h("strong", {}, `${program.name}: ${word.toLowerCase()}`), ` by ${verdict.by}`,
        verdict.id && h("code", { class: "tag", title: `${verdict.title}: the rule's name in the catalogue` }, verdict.id), h("span", { class: "facts" }, facts)),
      verdict.words && h("p", {}, verdict.words),
      ...lines.map((line) => h("code", {}, line))),
    h("div", { class: "acts" }, ...buttons));
}

class WhyPanel {
  // `view` has go(step); `seek`, where Python answers, is {find(), stop(), onresult(act)}.
  constructor(reason, view, seek, witness) {
    Object.assign(this, { reason, view, seek });
    this.links = reason.chain.filter((link) => link.step != null);
    this.chain = h("ol", { class: "chain", "aria-label": "Chain of proof" });
    this.found = focusable("div", { class: "found", role: "status", tabindex: "-1" });
    this.box = h("section", { class: "why", "aria-label": "Why it was rejected" },
      reason.chain.length ? h("div", { class: "part proof" }, h("h4", {}, "Chain of proof"), this.chain) : null,
      h("div", { class: "part" }, ...this.needed(), h("h4", {}, "Does it really go wrong?"), this.found),
      h("div", { class: "part" }, ...this.mend()));
    this.drawChain(reason.chain.length > LINKS_SHOWN + 1);
    this.showWitness(witness ?? {});
  }

  drawChain(short) {
    const { chain } = this.reason, hidden = short ? chain.length - LINKS_SHOWN : 0;
    const rows = chain.map((link) => this.drawLink(link));
    if (hidden > 0) {
      rows.splice(2, hidden, h("li", {}, focusable("button", { class: "more", onclick: () => this.drawChain(false) }, `⋯ ${hidden} more steps`)));
    }
    this.chain.replaceChildren(...rows);
    this.mark(this.at);
  }

  drawLink({ step, pc, role, text, insn }) {
    const { sign, means } = ROLES[role];
    const parts = [
      h("span", { class: `mark role ${role}`, "aria-hidden": "true" }, sign),
      h("span", { class: "pc" }, pc == null ? "" : String(pc)),
      h("span", { class: "insn" }, insn.replace(/^\([0-9a-f]{2}\) /, "")), h("span", { class: "means" }, means),
      h("span", { class: "words" }, text)];
    return h("li", {}, step == null ? h("div", { class: "link_" }, ...parts)
      : focusable("button", { class: "link_", title: `step #${step}`, "data-step": step, onclick: () => this.view.go(step) }, ...parts));
  }

  // The link of the step in sight.
  mark(at) {
    this.at = at;
    for (const button of this.chain.querySelectorAll("[data-step]")) {
      const here = Number(button.dataset.step) === at;
      button.setAttribute("aria-current", here ? "step" : "false");
      const list = this.chain, top = button.offsetTop - list.offsetTop;
      if (here && (top < list.scrollTop || top + button.offsetHeight > list.scrollTop + list.clientHeight)) list.scrollTop = top - list.clientHeight / 2;
    }
  }

  needed() {
    const { need } = this.reason;
    if (!need) return [];
    const numbers = need.allowed && need.known;
    return [h("h4", {}, "Needed and known"),
      h("dl", { class: "need" }, h("dt", {}, "needed"), h("dd", {}, need.needs), h("dt", {}, "known"), h("dd", {}, need.has)),
      numbers ? h("div", { class: "numbers" }, h("div", { class: "words" }, `${need.unit}${need.size ? `, ${need.size} at a time` : ""}`), needPicture(need)) : null];
  }

  mend() {
    const { fix, lesson, lesson_page, why, id, page, cause, diagnoses } = this.reason;
    const link = (href, text) => (href && this.seek ? focusable("a", { href, target: "_blank" }, text) : text); // addresses in a lab
    const fixes = [["assembly", fix.asm], ["C", fix.c]].filter(([, text]) => text);
    return [fixes.length ? h("h4", {}, "To mend it") : null,
      ...fixes.map(([name, text]) => h("div", { class: "fix" }, h("span", { class: "what" }, name), h("pre", {}, ...commented(text)))),
      cause ? h("p", {}, cause.sentence) : null,
      ...diagnoses.map((text) => focusable("details", {}, focusable("summary", {}, "The kernel's own diagnosis"), h("pre", { class: "long" }, text))),
      why ? focusable("details", {}, focusable("summary", {}, "Why the kernel insists"), h("p", {}, why.replaceAll("*", ""))) : null,
      id ? h("p", { class: "id" }, "rule: ", link(page, h("code", {}, id)), lesson ? h("span", {}, " · lesson: ", link(lesson_page, lesson)) : null) : null];
  }

  showWitness(row) {
    const { seek, found } = this, focused = found.contains(document.activeElement);
    const button = (text, act) => focusable("button", { onclick: act }, text);
    if (row.state === "searching") {
      found.replaceChildren(h("span", { class: "busy" }, "Looking for an input … "), button("Stop", () => seek.stop()));
    } else if (row.found === undefined) {
      found.replaceChildren(...(seek
        ? [button("Find an input that breaks it", () => { this.showWitness({ state: "searching" }); seek.find(); })]
        : [h("span", { class: "words" }, "Not looked for: ", h("code", {}, "ebpflab.explain.witness(spec, trace)"), " does.")]));
    } else if (row.found) found.replaceChildren(...this.drawWitness(row));
    else found.replaceChildren(h("p", { class: "none" }, `No input found that breaks it: ${row.why}`));
    if (focused) (found.querySelector("button") ?? found).focus({ preventScroll: true });
  }

  drawWitness({ packet, context, maps, results, pc, what, runs }) {
    const fact = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
    return [
      h("p", {}, h("strong", {}, "Yes. "), `With this input instruction ${pc} goes wrong: ${what}.`),
      h("dl", { class: "need" },
        ...(packet ? [h("dt", {}, "packet"), h("dd", {}, `${packet.length / 2} bytes`, h("pre", { class: "hex" }, ...hexDump(packet)))] : []),
        ...context.flatMap(([name, value]) => fact("context", `${name} = ${value}`)),
        ...maps.flatMap(([name, key, value]) => fact("map", `${name}[${key}] = ${value}`)),
        ...results.flatMap(([at, helper, value]) => fact("call", `bpf_${helper} at ${at} ${typeof value === "string" && !/^-?\d+$/.test(value) ? "fills memory with" : "gives"} ${value}`))),
      h("p", { class: "words" }, `Confirmed by the simulator, run ${runs}.`)];
  }
}

// Comments stand back, and close to what they are about: the column is narrow.
const commented = (text) => text.split(/ *(\/\/.*|\/\*.*?\*\/)/).map((part, at) => (at % 2 ? h("span", { class: "comment" }, `  ${part}`) : part));

// Eight bytes a line, as hexdump(1) prints them: lines of zeros that repeat are one *; what is not zero stands out.
function hexDump(hex) {
  const lines = hex.match(/.{1,16}/g).map((line, at) => ({ at: at * 8, line, zero: /^0*$/.test(line) }));
  const kept = lines.filter(({ zero }, n) => !zero || !lines[n - 1]?.zero || n === lines.length - 1);
  return kept.flatMap(({ at, line, zero }, n) => [
    n && at > kept[n - 1].at + 8 ? "*\n" : "", `${at.toString(16).padStart(4, "0")} `,
    ...line.match(/../g).flatMap((byte) => [" ", byte === "00" ? byte : h("b", {}, byte)]), "\n"]);
}
