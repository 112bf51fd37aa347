"""Writes figures as the table people read."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from bench.figures import Figure
from bench.servers import ROOT

RESULTS, README = ROOT / "bench" / "RESULTS.md", ROOT / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
HEADER = "| figure | ours | beside | ratio | aimed at | |\n|---|---|---|---|---|---|"
PACKAGES = ("celery", "fastapi", "sqlalchemy", "psycopg", "litellm", "dbos", "procrastinate")


def render(sections: dict[str, list[Figure]], *, whole: bool = False) -> str:
    """Return the table, as Markdown; with `whole` as a page with date and machine."""
    rows = [row for figures in sections.values() for row in map(_row, figures)]
    table = "\n".join([HEADER, *rows])
    return f"{_preface()}\n{table}\n" if whole else table


def write(sections: dict[str, list[Figure]]) -> None:
    """Write the page of all figures, and into the README those that aim at something."""
    RESULTS.write_text(render(sections, whole=True))
    aimed = [figure for figures in sections.values() for figure in figures if figure.target]
    table = "\n".join([HEADER, *(_row(figure, short=True) for figure in aimed)])
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}{table}\n{END}{rest.split(END)[1]}")


def _row(figure: Figure, *, short: bool = False) -> str:
    beside = f"{_number(figure.other)} {figure.other_name}" if figure.other is not None else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
    told = verdict if short else " · ".join(part for part in (verdict, figure.note) if part)
    ours = f"{_number(figure.ours)} {figure.unit}".strip()
    return f"| {figure.name} | {ours} | {beside} | {ratio} | {figure.target} | {told} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _preface() -> str:
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""# What was measured

`make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}),
{memory:.0f} GB, {platform.system()}, Python {platform.python_version()}; {versions};
Postgres 18 with fsync on, Valkey 9. The load and what serves it share the cores, so only what
stands in one row can be compared. The engine's settings are the defaults.
"""
