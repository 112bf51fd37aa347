"""Watches the statements that are run, whoever runs them, and how Postgres carries them out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from config.db import engine

PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Scan:
    """One node of a plan that reads a table."""

    table: str
    kind: str  # as Postgres calls it: "Index Scan"
    rows: float  # read, those that were thrown away included; 0 where only planned
    statement: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.rows:g} rows of {self.table} in\n  {self.statement[:400]}"


_watching: list[list[Scan]] = []


@contextmanager
def watched() -> Iterator[list[Scan]]:
    """Yield a list that fills with the scans of every statement run by this process's engine.

    Each is run twice, the first time under EXPLAIN and rolled back; and its generic plan is looked
    at, too, which is what a statement that is run often gets.
    """
    found: list[Scan] = []
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.remove(found)


def _explain(conn: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
    if not _watching or many or not statement.lstrip().upper().startswith(PLANNED):
        return
    driver = conn.connection.driver_connection
    with driver.transaction(force_rollback=True):
        analyzed = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement
        for told in (driver.execute(analyzed, values), driver.execute(_numbered(statement))):
            scans = list(_scans(told.fetchone()[0][0]["Plan"], statement))
            for found in list(_watching):
                found.extend(scans)


# Once, before there are threads: SQLAlchemy's lists of listeners must not change while one is used.
event.listen(engine(), "before_cursor_execute", _explain)


def _numbered(statement: str) -> str:
    """Return what plans a statement without knowing its parameters."""
    names: dict[str, int] = {}
    numbered = _PARAMETER.sub(
        lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statement
    )
    return "EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + numbered.replace("%%", "%")


def _scans(plan: dict[str, Any], statement: str) -> Iterator[Scan]:
    if plan["Node Type"].endswith("Scan") and "Relation Name" in plan:
        gone = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        rows = (plan.get("Actual Rows", 0) + gone) * plan.get("Actual Loops", 0)
        yield Scan(plan["Relation Name"], plan["Node Type"], rows, " ".join(statement.split()))
    for below in plan.get("Plans", []):
        yield from _scans(below, statement)
