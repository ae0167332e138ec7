"""The bokeh figure of each kind of live chart. Colours of text and grid come from the page's theme, in ``live.js``.

Names that ``live.js`` looks for: ``data`` (the source), ``s0`` … (lines).
"""

from __future__ import annotations

#: Told apart with any kind of colour vision, and readable on white and on black (after Okabe and Ito).
PALETTE = ("#3b8fd6", "#e69f00", "#12a583", "#d9622b", "#c978a8", "#8c7bd8", "#9aa83a", "#4fc0e8", "#b5764a", "#8a939c")
ACCENT = PALETTE[0]


def figure(kind: str, *, columns: list[str], x_label: str, y_label: str, height: int, ticks: bool = False):
    """A bokeh figure with an empty source of these columns; ``ticks`` if the bins of a histogram are labelled."""
    import bokeh.models as m
    from bokeh.plotting import figure as new

    source = m.ColumnDataSource({name: [] for name in columns}, name="data")
    fig = new(height=height, sizing_mode="stretch_width", toolbar_location=None, tools="",
              x_range=m.Range1d(0, 1), y_range=m.Range1d(0, 1), min_border_left=56, min_border_right=18,
              output_backend="canvas")
    fig.xaxis.axis_label, fig.yaxis.axis_label = x_label, y_label
    fig.add_tools(_DRAW[kind](m, fig, source, columns))
    if ticks:
        fig.xaxis.ticker = m.FixedTicker(ticks=[])
    for axis in fig.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "12px"
        axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
        axis.axis_line_color = None
        axis.major_tick_line_color = None
    fig.outline_line_color = None
    return fig


def _short(m):
    """1500 as 1.5k, 2e7 as 20M."""
    return m.CustomJSTickFormatter(code="""
        const unit = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([size]) => Math.abs(tick) >= size)
        return unit ? parseFloat((tick / unit[0]).toPrecision(6)) + unit[1] : String(parseFloat(tick.toPrecision(6)))
    """)


def _line(m, fig, source, columns):
    for place, name in enumerate(columns[1:]):
        fig.line("t", name, source=source, name=name, line_width=2, line_color=PALETTE[place % len(PALETTE)],
                 line_join="round", visible=False)
    fig.yaxis.formatter = _short(m)
    fig.xgrid.grid_line_color = None
    return m.HoverTool(tooltips=[("time", "@t{0.0} s"), ("value", "$snap_y{0,0.[00]}")], line_policy="nearest")


def _bar(m, fig, source, columns):
    fig.hbar(y="y", right="value", height=0.68, source=source, fill_color=ACCENT, line_color=None, name="bars")
    source.add([], "text")
    fig.text(x="value", y="y", text="text", source=source, x_offset=6, text_baseline="middle", text_font_size="11px")
    fig.xaxis.formatter = _short(m)
    fig.yaxis.ticker = m.FixedTicker(ticks=[])
    fig.ygrid.grid_line_color = None
    return m.HoverTool(tooltips=[("value", "@value{0,0.[00]}")])


def _hist(m, fig, source, columns):
    fig.quad(left="left", right="right", top="count", bottom=0, source=source, fill_color=ACCENT, line_color=None,
             name="bars")
    fig.yaxis.formatter = _short(m)
    fig.xgrid.grid_line_color = None
    return m.HoverTool(tooltips=[("count", "@count{0,0.[00]}")])


_DRAW = {"line": _line, "bar": _bar, "hist": _hist}
