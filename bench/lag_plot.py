"""Draws the sweep of lag.py as SVG: a panel for each rate and queue, lag over batch_rows_max, a line for each batch_bytes_max."""
import math

WIDTH, HEIGHT = 250, 170  # of a panel with its axes
LEFT, TOP, GAP = 60, 62, 14
COLOURS = ["#1b6ca8", "#d1701f", "#3a8f4d", "#8a4fa3", "#7a7a7a"]
STYLE = ("<style>text{font:11px sans-serif;fill:#333}.t{font-size:13px;font-weight:bold}.a{stroke:#999;fill:none}.g{stroke:#e6e6e6}"
         ".p99{fill:none;stroke-width:2}.p50{fill:none;stroke-width:1.2;stroke-dasharray:4 3}</style>")


def values_of(results, key):
    return list(dict.fromkeys(row[key] for row in results))


def text(x, y, content, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{content}</text>'


class Panel:
    """One rate and queue. `low` and `high`: powers of ten that bound the lag, the same in all panels."""

    def __init__(self, x, y, batches, low, high):
        self.x, self.y, self.batches, self.low, self.high = x, y, batches, low, high

    def across(self, rows):
        step = (WIDTH - 2 * GAP) / max(1, len(self.batches) - 1)
        return self.x + GAP + self.batches.index(rows) * step

    def up(self, milliseconds):
        part = (math.log10(max(milliseconds, 10**self.low)) - self.low) / (self.high - self.low)
        return self.y + HEIGHT * (1 - part)

    def axes(self, title, leftmost, lowest):
        parts = []
        for power in range(self.low, self.high + 1):
            y = self.up(10**power)
            parts.append(f'<line class="g" x1="{self.x}" x2="{self.x + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if leftmost:
                parts.append(text(self.x - 6, y + 4, f"{10**power:g} ms", "end"))
        parts.append(f'<rect class="a" x="{self.x}" y="{self.y}" width="{WIDTH}" height="{HEIGHT}"/>')
        if lowest:
            parts += [text(self.across(rows), self.y + HEIGHT + 16, f"{rows:,}") for rows in self.batches]
        parts.append(text(self.x + WIDTH / 2, self.y - 5, title))
        return parts

    def line(self, rows, key, colour, kind):
        points = " ".join(f"{self.across(row['batch_rows_max']):.1f},{self.up(row[key]):.1f}" for row in rows)
        dots = [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="2.5" fill="{colour}"/>' for p in points.split()]
        return [f'<polyline class="{kind}" stroke="{colour}" points="{points}"/>', *dots]


def draw(results):
    """The whole file as text."""
    rates, queues, sizes, batches = (values_of(results, key) for key in ("rate", "queue_bytes_max", "batch_bytes_max", "batch_rows_max"))
    low = math.floor(math.log10(max(0.1, min(row["p50_ms"] for row in results))))
    high = max(low + 1, math.ceil(math.log10(max(row["p99_ms"] for row in results))))
    across, down = WIDTH + GAP, HEIGHT + 30
    width = max(LEFT + len(rates) * across + GAP, LEFT + 175 * max(3, len(sizes)))  # the legend needs its room as well
    height = TOP + len(queues) * down + 34
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">', STYLE,
             f'<rect width="{width}" height="{height}" fill="white"/>',
             text(LEFT, 18, "Lag, commit on blue to visible on green: p99 (full), p50 (dashed)", "start", ' class="t"')]
    for number, batch_bytes in enumerate(sizes):
        x, colour = LEFT + number * 175, COLOURS[number % len(COLOURS)]
        parts.append(f'<line x1="{x}" x2="{x + 22}" y1="32" y2="32" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(x + 28, 36, f"batch_bytes_max {batch_bytes}", "start"))
    for column, rate in enumerate(rates):
        for line, queue in enumerate(queues):
            panel = Panel(LEFT + column * across, TOP + line * down, batches, low, high)
            speed = f"{rate:,} rows/s" if rate else "as fast as blue can"
            parts += panel.axes(f"{speed}, queue {queue}", column == 0, line == len(queues) - 1)
            for number, batch_bytes in enumerate(sizes):
                rows = [r for r in results if (r["rate"], r["queue_bytes_max"], r["batch_bytes_max"]) == (rate, queue, batch_bytes)]
                for key in ("p50", "p99"):
                    parts += panel.line(rows, f"{key}_ms", COLOURS[number % len(COLOURS)], key) if rows else []
    parts.append(text(LEFT + len(rates) * across / 2, height - 10, "batch_rows_max"))
    return "\n".join([*parts, "</svg>", ""])
