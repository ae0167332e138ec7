// A list of any length: only the rows in sight are in the page.

const ROW = 22; // height of a row in CSS pixels
const ROWS_AROUND = 12;
let lists = 0;

class VirtualList {
  constructor(label, draw, pick) {
    this.draw = draw;
    this.count = 0;
    this.at = -1; // the row shown last: it stays in sight when the list grows or shrinks
    this.id = `ebpflab-list-${++lists}`;
    this.inner = h("div", { class: "rows" });
    this.box = focusable("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": label }, this.inner);
    this.box.addEventListener("scroll", () => this.paint());
    this.inner.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (row) pick(Number(row.dataset.at));
    });
    new ResizeObserver(() => (this.at >= 0 ? this.show(this.at) : this.paint())).observe(this.box);
  }

  resize(count) {
    this.count = count;
    this.inner.style.height = `${count * ROW}px`;
  }

  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - ROWS_AROUND);
    const last = Math.min(this.count, first + Math.ceil(this.box.clientHeight / ROW) + 2 * ROWS_AROUND);
    const rows = [];
    for (let at = first; at < last; at++) {
      const row = this.draw(at);
      row.style.top = `${at * ROW}px`;
      row.dataset.at = at;
      row.id = `${this.id}-${at}`;
      rows.push(row);
    }
    this.inner.replaceChildren(...rows);
  }

  show(at) {
    this.at = at;
    const top = at * ROW, { scrollTop, clientHeight } = this.box;
    if (top < scrollTop + ROW || top > scrollTop + clientHeight - 3 * ROW) {
      this.box.scrollTop = top - clientHeight / 2;
    }
    this.paint();
    this.box.setAttribute("aria-activedescendant", `${this.id}-${at}`);
  }
}
