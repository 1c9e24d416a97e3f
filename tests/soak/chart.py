"""Series over one time axis, drawn as an SVG that is legible on light and on dark.

    chart = Chart("title", ["a line of text below it"], seconds)
    chart.lane("kill", "bad", [(12.5, 12.5)])              # marks and intervals, a row for each kind
    chart.panel("Memory", "MiB", [Series("resident", "a", points)])
    path.write_text(chart.svg())

Panels lie below each other. A long series is drawn as its median, with the range between least and
most behind it, so that no spike is lost.
"""

import math
import statistics
from xml.sax.saxutils import escape, quoteattr

WIDTH = 1200
LEFT, RIGHT = 104, 28
PLOT_WIDTH = WIDTH - LEFT - RIGHT
PANEL_HEIGHT = 116
PANEL_GAP = 44
LANE_HEIGHT = 18
COLUMNS = 420  # of a series; with more samples than that it is thinned

STYLE = """
svg { font-family: 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 12px }
.paper { fill: #ffffff } .ink { fill: #1c1f23 } .faint { fill: #5b6470 }
.title { font-size: 19px; font-weight: bold } .head { font-size: 13px; font-weight: bold }
.grid { stroke: #dfe3e8; stroke-width: 1 } .frame { stroke: #9aa3ad; stroke-width: 1; fill: none }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round } .range { stroke: none; opacity: .2 }
.dotted { stroke-dasharray: 2 4 }
.fit { stroke-width: 2.4; stroke-dasharray: 7 4; fill: none } .cut { stroke-width: 1.2; stroke-dasharray: 3 3 }
.a { stroke: #1664b0 } .fa { fill: #1664b0 } .b { stroke: #c0500a } .fb { fill: #c0500a }
.c { stroke: #2a7a3a } .fc { fill: #2a7a3a } .d { stroke: #6a737d } .fd { fill: #6a737d }
.bad { stroke: #c01c28 } .fbad { fill: #c01c28 }
@media (prefers-color-scheme: dark) {
.paper { fill: #14171b } .ink { fill: #eceff2 } .faint { fill: #a7b0ba }
.grid { stroke: #2c323a } .frame { stroke: #69727d }
.a { stroke: #6cb2f2 } .fa { fill: #6cb2f2 } .b { stroke: #ff9d57 } .fb { fill: #ff9d57 }
.c { stroke: #74cf88 } .fc { fill: #74cf88 } .d { stroke: #aab3bd } .fd { fill: #aab3bd }
.bad { stroke: #ff6b73 } .fbad { fill: #ff6b73 }
}
"""


def number(value):
    """A tick's label: short, and without an exponent."""
    if value >= 10000 and value % 1000 == 0:
        return f"{value / 1000:g} k"
    return f"{value:g}"


def figure(value):
    """A value for a legend: three digits, and no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ticks(most, count=4):
    """Round numbers from 0 up to the first that is not below `most`."""
    if most <= 0:
        return [0, 1]
    raw = most / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    last = math.ceil(most / step - 1e-9)
    return [round(step * at, 10) for at in range(max(last, 1) + 1)]


def clock(seconds):
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def time_ticks(seconds):
    step = next(step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 86400)
                if seconds / step <= 13 or step == 86400)
    return [at * step for at in range(int(seconds // step) + 1)]


class Series:
    """`style` is a, b, c or d; a None among the values of `points` interrupts the line."""

    def __init__(self, label, style, points, fits=(), is_dotted=False):
        self.label, self.style, self.points = label, style, points
        self.is_dotted = is_dotted  # for a line that lies on another one
        self.fits = fits  # ((seconds, value), (seconds, value)): straight lines on top

    def values(self):
        return [value for _, value in self.points if value is not None]

    def runs(self):
        """The points without gaps: a list for each stretch."""
        found = [[]]
        for point in self.points:
            if point[1] is None:
                found.append([])
            else:
                found[-1].append(point)
        return [run for run in found if run]


class Scale:
    """Values to heights: linear from 0, or logarithmic."""

    def __init__(self, values, logarithmic):
        self.logarithmic = logarithmic
        if logarithmic:
            positive = [value for value in values if value > 0] or [1]
            low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
            high = max(high, low + 1)
            self.ticks = [10.0 ** at for at in range(low, high + 1)]
        else:
            self.ticks = ticks(max(values, default=0))

    def share(self, value):
        """0 at the bottom, 1 at the top."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return min(1.0, max(0.0, (value - low) / (high - low)))


class Chart:
    def __init__(self, title, subtitles, seconds):
        self.title, self.subtitles, self.seconds = title, subtitles, max(seconds, 1e-9)
        self.lanes = []
        self.panels = []
        self._parts = []

    def lane(self, label, style, intervals, through=False):
        """A row of marks; `through` draws them down through all panels, too."""
        self.lanes.append((label, style, intervals, through))

    def panel(self, title, unit, series, logarithmic=False):
        self.panels.append((title, unit, series, logarithmic))

    # ---- drawing -------------------------------------------------------------------------------------

    def _x(self, seconds):
        return LEFT + PLOT_WIDTH * min(1.0, max(0.0, seconds / self.seconds))

    def _add(self, element, text=None, **attributes):
        named = "".join(f" {name.rstrip('_').replace('_', '-')}={quoteattr(str(value))}"
                        for name, value in attributes.items())
        body = "/>" if text is None else f">{escape(text)}</{element}>"
        self._parts.append(f"<{element}{named}{body}")

    def _text(self, x, y, text, style, anchor="start"):
        self._add("text", text, x=f"{x:.1f}", y=f"{y:.1f}", class_=style, text_anchor=anchor)

    def _rule(self, x1, y1, x2, y2, style):
        self._add("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=style)

    def _lanes(self, top):
        for label, style, intervals, _ in self.lanes:
            middle = top + LANE_HEIGHT / 2
            self._text(LEFT - 8, middle + 4, label, "faint", "end")
            self._rule(LEFT, middle, LEFT + PLOT_WIDTH, middle, "grid")
            least = 3.0 if len(intervals) < 150 else 1.0
            for begin, end in intervals:
                x, width = self._x(begin), max(least, self._x(end) - self._x(begin))
                self._add("rect", x=f"{x:.1f}", y=f"{middle - 5:.1f}", width=f"{width:.1f}", height="10",
                          class_=f"f{style}")
            top += LANE_HEIGHT
        return top

    def _axes(self, top, scale, is_last):
        bottom = top + PANEL_HEIGHT
        for value in scale.ticks:
            y = bottom - PANEL_HEIGHT * scale.share(value)
            self._rule(LEFT, y, LEFT + PLOT_WIDTH, y, "grid")
            self._text(LEFT - 8, y + 4, number(value), "faint", "end")
        for seconds in time_ticks(self.seconds):
            x = self._x(seconds)
            self._rule(x, top, x, bottom, "grid")
            if is_last:
                self._text(x, bottom + 18, clock(seconds), "faint", "middle")
        self._add("rect", x=LEFT, y=top, width=PLOT_WIDTH, height=PANEL_HEIGHT, class_="frame")
        for _, style, intervals, through in self.lanes:
            for begin, _ in intervals if through else ():
                self._rule(self._x(begin), top, self._x(begin), bottom, f"{style} cut")

    def _legend(self, y, series):
        x = LEFT + PLOT_WIDTH
        for each in reversed(series):
            values = each.values()
            label = each.label
            if values:
                label += f"  (median {figure(statistics.median(values))}, most {figure(max(values))})"
            self._text(x, y, label, f"f{each.style}", "end")
            x -= 6.9 * len(label) + 22

    def _path(self, points):
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)

    def _draw(self, each, top, scale):
        def place(seconds, value):
            return self._x(seconds), top + PANEL_HEIGHT * (1 - scale.share(value))

        size = max(1, math.ceil(len(each.points) / COLUMNS))
        for run in each.runs():
            groups = [run[at : at + size] for at in range(0, len(run), size)]
            middles = [tuple(statistics.median(column) for column in zip(*group)) for group in groups]
            if size > 1:
                upper = [place(middle[0], max(value for _, value in group)) for middle, group in zip(middles, groups)]
                lower = [place(middle[0], min(value for _, value in group)) for middle, group in zip(middles, groups)]
                self._add("path", d=self._path(upper + lower[::-1]) + "Z", class_=f"f{each.style} range")
            self._add("path", d=self._path([place(*middle) for middle in middles]),
                      class_=f"{each.style} line{' dotted' * each.is_dotted}")
        for begin, end in each.fits:
            self._add("path", d=self._path([place(*begin), place(*end)]), class_=f"{each.style} fit")

    def _panel(self, top, panel, is_last):
        title, unit, series, logarithmic = panel
        scale = Scale([value for each in series for value in each.values()], logarithmic)
        self._text(LEFT, top - 9, f"{title}, {unit}" if unit else title, "ink head")
        self._legend(top - 9, series)
        self._axes(top, scale, is_last)
        for each in series:
            self._draw(each, top, scale)

    def svg(self):
        self._parts = []
        self._text(LEFT, 36, self.title, "ink title")
        top = 36
        for line in self.subtitles:
            top += 20
            self._text(LEFT, top, line, "faint")
        top = self._lanes(top + 16) + PANEL_GAP - 8
        for at, panel in enumerate(self.panels):
            self._panel(top, panel, at == len(self.panels) - 1)
            top += PANEL_HEIGHT + PANEL_GAP
        self._text(LEFT + PLOT_WIDTH / 2, top, "time since the start, minutes:seconds", "faint", "middle")
        height = top + 20
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n<title>{escape(self.title)}</title>\n'
            f'<style>{STYLE}</style>\n<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>\n'
            + "\n".join(self._parts) + "\n</svg>\n"
        )
