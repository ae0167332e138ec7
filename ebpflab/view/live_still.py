"""A live chart's still picture: inline SVG in HTML, for places where no page answers (nbconvert, VS Code, mail)."""

from __future__ import annotations

import html
import math

import numpy as np

from .live_figures import ACCENT, PALETTE

WIDTH = 720
_STYLE = ("font:12px system-ui,sans-serif;color:var(--jp-ui-font-color1,inherit);max-width:760px;"
          "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:10px 12px;margin:4px 2px")


def page(kind: str, model, *, title: str, labels: tuple[str, str], note: str, height: int) -> str:
    """HTML of the model's picture now. Text takes the page's colour, so it suits light and dark."""
    draw = {"line": _line, "bar": _bar, "hist": _hist}[kind]
    body, legend = draw(model, labels, height)
    return (f'<div style="{_STYLE}"><div style="display:flex;justify-content:space-between;gap:1em">'
            f'<strong style="font-size:14px">{html.escape(title)}</strong>'
            f'<span style="opacity:.7">{html.escape(note)}</span></div>'
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" role="img" '
            f'aria-label="{html.escape(title, quote=True)}" fill="currentColor" font-size="11">{body}</svg>'
            f"{legend}</div>")


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between ``low`` and ``high``, both included where they are round."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / wanted))
    step = next(step * n for n in (1, 2, 5, 10) if (high - low) / (step * n) <= wanted)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.4g}"


class _Frame:
    """Data coordinates to picture coordinates; ``left`` is the room for labels."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], height: int, left: int = 60):
        self.x0, self.x1, self.y0, self.y1 = *x, *y
        self.left, self.right, self.top, self.bottom = left, WIDTH - 24, 12, height - 40

    def px(self, x: float) -> float:
        return self.left + (x - self.x0) / ((self.x1 - self.x0) or 1) * (self.right - self.left)

    def py(self, y: float) -> float:
        return self.bottom - (y - self.y0) / ((self.y1 - self.y0) or 1) * (self.bottom - self.top)

    def axes(self, labels: tuple[str, str], *, x_ticks=(), y_ticks=(), grid: str = "y") -> str:
        """``x_ticks``/``y_ticks``: pairs of place and text; grid lines across ``x`` or ``y``."""
        out = []
        for at, text in y_ticks:
            y = self.py(at)
            if grid == "y":
                out.append(f'<path d="M{self.left} {y:.1f}H{self.right}" stroke="currentColor" stroke-opacity=".15"/>')
            out.append(f'<text x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{html.escape(text)}</text>')
        for at, text in x_ticks:
            x = self.px(at)
            if grid == "x":
                out.append(f'<path d="M{x:.1f} {self.top}V{self.bottom}" stroke="currentColor" stroke-opacity=".15"/>')
            out.append(f'<text x="{x:.1f}" y="{self.bottom + 15}" text-anchor="middle">{html.escape(text)}</text>')
        middle = (self.left + self.right) / 2
        out.append(f'<text x="{middle}" y="{self.bottom + 34}" text-anchor="middle" opacity=".7">'
                   f"{html.escape(labels[0])}</text>")
        out.append(f'<text transform="translate(12 {(self.top + self.bottom) / 2}) rotate(-90)" text-anchor="middle" '
                   f'opacity=".7">{html.escape(labels[1])}</text>')
        return "".join(out)


def _range(values: np.ndarray, zero: bool = True) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if zero or low < (high - low) * 2 or low == high:
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high + ((high - low) * 0.05 or 1.0)


def _numbers(low: float, high: float, wanted: int = 5) -> list[tuple[float, str]]:
    return [(at, short(at)) for at in ticks(low, high, wanted)]


def _line(model, labels, height):
    times, rows = model.history[0], model.history[1:1 + len(model.names)]
    if not len(times):
        return _empty(height), ""
    x, y = (float(times[0]), float(max(times[-1], times[0] + 1e-9))), _range(rows.ravel(), zero=False)
    frame = _Frame(x, y, height)
    body = frame.axes(labels, x_ticks=_numbers(*x, 8), y_ticks=_numbers(*y))
    legend = []
    for place, name in enumerate(model.names):
        color, good = PALETTE[place % len(PALETTE)], np.isfinite(rows[place])
        places = zip(times[good].tolist(), rows[place][good].tolist(), strict=True)
        points = " ".join(f"{frame.px(a):.1f},{frame.py(b):.1f}" for a, b in places)
        body += f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>'
        last = short(float(rows[place][-1])) if good[-1:].any() else "–"
        legend.append(f'<span style="margin-right:1em"><span style="color:{color}">▬</span> {html.escape(name)} '
                      f'<span style="opacity:.7">{last}</span></span>')
    return body, f"<div>{''.join(legend)}{_more(model)}</div>"


def _bar(model, labels, height):
    if not len(model.values):
        return _empty(height), ""
    count = max(3, len(model.values))
    x = _range(model.values * 1.1)
    left = min(240, 30 + 7 * max(len(name) for name in model.names))
    frame = _Frame(x, (count - 0.4, -0.6), height, max(60, left))
    body = frame.axes(labels, x_ticks=_numbers(*x, 8), y_ticks=list(enumerate(model.names)), grid="x")
    for place, value in enumerate(model.values.tolist()):
        a, b = sorted((frame.px(0), frame.px(value)))
        top, bottom = frame.py(place - 0.34), frame.py(place + 0.34)
        body += (f'<rect x="{a:.1f}" y="{top:.1f}" width="{b - a:.1f}" height="{bottom - top:.1f}" fill="{ACCENT}"/>'
                 f'<text x="{b + 6:.1f}" y="{(top + bottom) / 2 + 4:.1f}">{short(value)}</text>')
    return body, f"<div>{_more(model)}</div>" if model.hidden else ""


def _hist(model, labels, height):
    left, right, counts = model.block
    if not len(left):
        return _empty(height), ""
    x, y = (float(left[0]), float(right[-1])), _range(counts)
    frame = _Frame(x, y, height)
    body = frame.axes(labels, x_ticks=model.ticks or _numbers(*x, 8), y_ticks=_numbers(*y))
    for a, b, count in zip(left.tolist(), right.tolist(), counts.tolist(), strict=True):
        top = frame.py(count)
        body += (f'<rect x="{frame.px(a):.1f}" y="{top:.1f}" width="{frame.px(b) - frame.px(a):.1f}" '
                 f'height="{frame.bottom - top:.1f}" fill="{ACCENT}"/>')
    return body, ""


def _empty(height: int) -> str:
    return f'<text x="{WIDTH / 2}" y="{height / 2}" text-anchor="middle" opacity=".7">no reading yet</text>'


def _more(model) -> str:
    return f'<span style="opacity:.7">and {model.hidden} smaller</span>' if model.hidden else ""
