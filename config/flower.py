"""Flower's options, read by `celery flower --conf=config/flower.py`: it looks and never touches."""

from ast import literal_eval
from typing import Any

from config.settings import address as page
from config.settings import settings

if settings.environment == "production" and not settings.flower.password.get_secret_value():
    raise SystemExit("Set FLOWER_PASSWORD: Flower shows everything, and this is not a local stack.")

address = settings.flower.host
port = settings.flower.port
read_only = True
max_tasks = 10_000  # in its memory; Postgres knows the rest
tasks_columns = "name,uuid,state,args,received,started,runtime,worker"
if settings.flower.password.get_secret_value():
    basic_auth = [f"{settings.flower.user}:{settings.flower.password.get_secret_value()}"]


def format_task(task: Any) -> Any:
    """Say where a task's job is, in place of the bare ids. Flower shows it as text: it escapes."""
    try:
        job_id, step_id, _ = literal_eval(task.args)
    except (ValueError, SyntaxError, TypeError):  # not one of ours, or cut off
        return task
    task.args = f"job {job_id} step {step_id} {page(f'/jobs/{job_id}')}"
    task.kwargs = page(f"/admin/job/detail?pk={job_id}")
    return task
