"""The run as a table of text, as a page's table, and as a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Measure

SATURATED = 0.9
TARGETS = {"rest-modern": 0.40, "rest-legacy": 0.40, "shaped": 0.35}
BEGIN, END = "<!-- begin: written by make bench ARGS=--publish -->", "<!-- end -->"


@dataclass
class Row:
    """One scenario: its rounds, and those of the reference beside it."""

    name: str
    title: str
    rounds: list[Measure] = field(default_factory=list)
    reference: list[Measure] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(one.rate for one in self.rounds)

    @property
    def cpu(self) -> float:
        return median(one.cpu for one in self.rounds)

    @property
    def busy(self) -> float:
        return median(one.busy for one in self.rounds)

    @property
    def memory(self) -> float:
        return self.rounds[-1].memory / 2**20

    @property
    def ratios(self) -> list[float]:
        """Calls per second, from those rounds in which neither server had to wait for load or for its core."""
        pairs = zip(self.rounds, self.reference, strict=True)
        return sorted(
            mine.rate / theirs.rate for mine, theirs in pairs if mine.busy >= SATURATED and theirs.busy >= SATURATED
        )

    @property
    def ratio(self) -> float | None:
        """Their median, or None when most rounds were disturbed: then it would flatter whoever is slower."""
        return median(self.ratios) if 2 * len(self.ratios) > len(self.rounds) else None

    @property
    def cpu_ratio(self) -> float:
        pairs = zip(self.rounds, self.reference, strict=True)
        return median(theirs.cpu / mine.cpu if mine.cpu else 0 for mine, theirs in pairs)

    def cpu_against(self, other: Row) -> float:
        """How many times the CPU time of a call of the other one, each in the same round."""
        return median(mine.cpu / theirs.cpu for mine, theirs in zip(self.rounds, other.rounds, strict=True))

    @property
    def wrong(self) -> int:
        return sum(one.refused + one.broken + one.wrong for one in self.rounds)

    def cells(self) -> list[str]:
        rates = [one.rate for one in self.rounds]
        ratio, ratios = self.ratio, self.ratios
        note = "" if self.busy >= SATURATED else " *"
        return [
            self.title,
            f"{self.rate:,.0f}{note}",
            f"{min(rates):,.0f}–{max(rates):,.0f}",
            f"{self.cpu:,.1f}",
            f"{self.cpu_ratio:.3f}",
            "?" if ratio is None else f"{ratio:.3f}",
            "?" if ratio is None else f"{ratios[0]:.3f}–{ratios[-1]:.3f}",
            f"{median(one.p50 for one in self.rounds):.2f}",
            f"{median(one.p99 for one in self.rounds):.2f}",
            f"{self.memory:.0f}",
            f"{self.wrong}",
        ]


HEAD = [
    "scenario",
    "calls/s",
    "spread",
    "CPU µs",
    "× nginx by CPU",
    "by calls/s",
    "spread",
    "p50 ms",
    "p99 ms",
    "MiB",
    "wrong",
]
NOTES = (
    "× nginx: the median over the rounds of CPU time per call and of calls/s, each against nginx in the same round.\n"
    "? Most rounds were disturbed, so that calls/s cannot be compared. * The server did not run all the time."
)


@dataclass
class Report:
    """What one run found. `single` are figures that are not rounds of calls: a title, a value and its unit."""

    machine: dict[str, str]
    rows: list[Row]
    single: list[tuple[str, float, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return all(one.clean for row in self.rows for one in row.rounds)

    def text(self) -> str:
        parts = [_columns([HEAD, *(row.cells() for row in self.rows)]), NOTES] if self.rows else []
        parts += (
            [_columns([[title, f"{value:,.2f}", unit] for title, value, unit in self.single])] if self.single else []
        )
        parts += [f"! {warning}" for warning in self.warnings]
        parts += [", ".join(f"{name} {value}" for name, value in self.machine.items())]
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        rows = {
            row.name: {
                "title": row.title,
                "ratio": row.ratio,
                "ratios": row.ratios,
                "cpuRatio": row.cpu_ratio,
                "rounds": [one.as_json() for one in row.rounds],
            }
            for row in self.rows
        }
        single = [{"title": title, "value": value, "unit": unit} for title, value, unit in self.single]
        return {"machine": self.machine, "rows": rows, "single": single, "warnings": self.warnings}

    def markdown(self) -> str:
        lines = [_pipe(HEAD), _pipe(["---"] + ["--:"] * (len(HEAD) - 1))]
        lines += [_pipe(row.cells()) for row in self.rows]
        lines += ["", _pipe(["figure", "value", "unit"]), _pipe(["---", "--:", "---"])]
        lines += [_pipe([title, f"{value:,.2f}", unit]) for title, value, unit in self.single]
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        lines += ["", *(f"Warning: {warning}\n" for warning in self.warnings), f"Measured on: {machine}."]
        return "\n".join(lines)

    def publish(self, page: Path, picture: Path) -> None:
        """Refresh the table between the page's two marks, and draw the picture."""
        text = page.read_text()
        marked = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{page} has lost the marks {BEGIN} and {END}")
        page.write_text(marked.sub(lambda _: f"{BEGIN}\n{self.markdown()}\n{END}", text))
        picture.write_text(draw(self.rows))


def draw(rows: list[Row]) -> str:
    """Bars of the ratios to nginx by CPU time, the steadier of the two, as SVG for light and dark pages."""
    height, left = 26, 270
    width = 360 / max(1.0, *(row.cpu_ratio for row in rows))
    bars = []
    for number, row in enumerate(rows):
        y, ratio = 34 + number * height, row.cpu_ratio
        bars.append(f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{row.title}</text>')
        bars.append(
            f'<rect class="{row.name}" x="{left}" y="{y}" width="{max(1, ratio * width):.0f}" height="18" rx="2"/>'
        )
        bars.append(f'<text x="{left + ratio * width + 8:.0f}" y="{y + 14}">{ratio:.2f} · {row.cpu:,.0f} µs</text>')
        if row.name in TARGETS:
            x = left + TARGETS[row.name] * width
            bars.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{y - 3}" y2="{y + 21}"/>')
    total = 34 + len(rows) * height + 10
    style = (
        "text{font:13px system-ui,sans-serif;fill:#333}rect{fill:#3b82c4}.nginx,.nginx-post{fill:#8a8f98}"
        ".fastmcp{fill:#c98a3b}line{stroke:#c0392b;stroke-width:2}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#ff7b6b}}"
    )
    title = f'<text x="{left}" y="18">calls for the same CPU time, nginx = 1 · CPU time of a call · | target</text>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{total}" viewBox="0 0 760 {total}" role="img">'
    return "\n".join([head, f"<style>{style}</style>", title, *bars, "</svg>"]) + "\n"


def _pipe(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _columns(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
