"""What a run amounts to, for people and for programs."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.pipeline import REGISTRY
from tests.chaos.load import Load
from tests.chaos.plan import Fault
from tests.chaos.verdict import Check, query

PACKAGES = ("celery", "kombu", "redis", "psycopg", "sqlalchemy", "fastapi", "uvicorn", "litellm")


def jobs_by_pipeline() -> dict[str, dict[str, int]]:
    """Return how many jobs of each pipeline ended how; those of none are there, too."""
    found: dict[str, dict[str, int]] = {name: {} for name in sorted(REGISTRY)}
    for row in query("SELECT pipeline, status, count(*) FROM job GROUP BY 1, 2 ORDER BY 1, 2"):
        found.setdefault(row[0], {})[row[1]] = row[2]
    return found


def versions() -> dict[str, str]:
    """Return what ran."""
    found = {name: version(name) for name in PACKAGES}
    postgres = str(query("SHOW server_version")[0][0])
    return {"python": platform.python_version(), "postgres": postgres, **found}


def attempts() -> dict[str, int]:
    """Return how much the engine had to repair."""
    kinds = ("step.released", "step.retrying", "step.handed_over", "job.resumed", "step.succeeded")
    rows = query("SELECT type, count(*) FROM job_event GROUP BY 1")
    counts = {row[0]: row[1] for row in rows}
    return {kind: counts.get(kind, 0) for kind in kinds}


def compose(
    *,
    seed: int,
    command: str,
    lasted_s: float,
    settled_s: float | None,
    suffered: Sequence[Fault],
    checks: Sequence[Check],
    load: Load,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Return the report as JSON has it."""
    return {
        "passed": settled_s is not None and not any(one.wrong for one in checks),
        "seed": seed,
        "replay": command,
        "replays": "the same faults at the same times; what they hit is up to the machine",
        "versions": versions(),
        "lasted_s": round(lasted_s, 1),
        "settled_s": None if settled_s is None else round(settled_s, 1),
        "faults": {
            "total": len(suffered),
            "by_kind": dict(sorted(Counter(one.kind for one in suffered).items())),
        },
        "jobs": jobs_by_pipeline(),
        "repairs": attempts(),
        "readers": {
            "transcripts": len(load.readings),
            "connections": sum(one.connections for one in load.readings),
        },
        "requests": dict(sorted(load.answers.items())),
        "problems": load.problems[:50],
        "checks": [asdict(one) for one in checks],
        **more,
    }


def write(report: dict[str, Any], folder: Path) -> Path:
    """Keep the report as `report.json` and `report.txt`; return the latter."""
    (folder / "report.json").write_text(json.dumps(report, indent=2, default=str) + "\n")
    path = folder / "report.txt"
    path.write_text(readable(report))
    return path


def readable(report: dict[str, Any]) -> str:
    """Return the report as people read it."""
    jobs = report["jobs"]
    total = sum(sum(counts.values()) for counts in jobs.values())
    lines = [
        f"{'PASSED' if report['passed'] else 'FAILED'} · seed {report['seed']} · "
        f"{report['lasted_s']:.0f} s of chaos, settled in {report['settled_s']} s",
        f"{report['faults']['total']} faults: "
        + ", ".join(f"{n} {kind}" for kind, n in report["faults"]["by_kind"].items()),
        f"{total} jobs of {sum(bool(one) for one in jobs.values())} pipelines",
    ]
    lines += [f"    {name:28} {_told(counts)}" for name, counts in jobs.items()]
    lines.append("repairs: " + _told(report["repairs"]))
    lines.append("readers: " + _told(report["readers"]))
    lines.append("requests: " + _told(report["requests"]))
    lines.append("webhooks: " + _told(report["webhooks"]))
    for one in report["checks"]:
        mark = "FAILED" if one["wrong"] else "ok"
        lines.append(f"{mark:7} {one['rule']} ({one['looked_at']}, {len(one['wrong'])} wrong)")
        lines += [f"            {wrong}" for wrong in one["wrong"]]
    lines += [f"problem: {one}" for one in report["problems"]]
    lines += [f"replay: {report['replay']}", f"        ({report['replays']})", ""]
    return "\n".join(lines)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "none"
