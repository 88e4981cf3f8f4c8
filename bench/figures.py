"""Rounds with the order rotated, their medians, and the table and file that they end up in."""
import json
import statistics
from pathlib import Path


def rotated(contenders, number):
    turn = number % len(contenders)
    return contenders[turn:] + contenders[:turn]


def summarize(results, base, key="seconds"):
    """Medians of all figures of each contender, and how often it is as fast as `base`; None: it was left out.
    `results`: contender -> list of rounds, each a dict of figures."""
    against = statistics.median(r[key] for r in results[base]) if results.get(base) else None
    rows = []
    for name, rounds in results.items():
        values = [r[key] for r in rounds]
        median = statistics.median(values)
        row = {"contender": name, "median": round(median, 4), "min": round(min(values), 4), "max": round(max(values), 4),
               "ratio": round(against / median, 2) if against else None}
        for other in rounds[0]:
            if other != key:
                row[other] = round(statistics.median(r[other] for r in rounds), 3)
        rows.append(row)
    return rows


def print_table(title, rows, base, unit="s"):
    """One line per contender; a figure that only some have is left empty for the others."""
    print(title)
    more = list(dict.fromkeys(key for row in rows for key in row if key not in ("contender", "median", "min", "max", "ratio")))
    heads = [f"median {unit}", "min", "max", f"x {base}", *(key.replace("_", " ") for key in more)]
    widths = [max(9, len(head)) for head in heads]
    print(f"{'contender':<16}" + "".join(f" {head:>{width}}" for head, width in zip(heads, widths)))
    for row in rows:
        cells = [f"{row[key]:.2f}" for key in ("median", "min", "max")]
        cells.append("" if row["ratio"] is None else f"{row['ratio']:.2f}")
        cells += [str(row.get(key, "")) for key in more]
        print(f"{row['contender']:<16}" + "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths)), flush=True)


def write_json(path, figures):
    if path:
        Path(path).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
