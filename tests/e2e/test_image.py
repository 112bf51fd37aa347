"""One look at the image's worker, over pytest-celery's containers; skipped where no engine runs."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryTestWorker, CeleryWorkerContainer
from pytest_celery.defaults import DEFAULT_WORKER_CONTAINER_TIMEOUT
from pytest_docker_tools import build, container, fetch, fxtr

ROOT = Path(__file__).resolve().parents[2]
WORKER = "celery -A tasks worker --queues io --pool threads --concurrency 2 --hostname io@%h"
DATABASE = "postgresql://postgres:smoke@{name}:5432/postgres"


def engine_runs() -> bool:
    client = shutil.which("docker")
    return (
        client is not None and subprocess.run([client, "info"], capture_output=True).returncode == 0
    )


pytestmark = [
    pytest.mark.skipif(not engine_runs(), reason="no container engine runs here"),
    pytest.mark.enable_socket,
]

postgres_image = fetch(repository="pgvector/pgvector:pg18")
postgres = container(
    image="{postgres_image.id}",
    environment={"POSTGRES_PASSWORD": "smoke"},
    network="{default_pytest_celery_network.name}",
)
worker_image = build(path=str(ROOT), dockerfile="docker/Dockerfile", tag="longrun:smoke")
default_worker_container = container(
    image="{worker_image.id}",
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=CeleryWorkerContainer,
    timeout=DEFAULT_WORKER_CONTAINER_TIMEOUT,
    command=["sh", "-c", f"python -m config.local migrate && exec {WORKER}"],
)


@pytest.fixture
def default_worker_env(celery_worker_cluster_config: dict[str, Any], postgres: Any) -> Any:
    broker = celery_worker_cluster_config["celery_broker_cluster_config"]["urls"][0]
    return {
        "ENVIRONMENT": "local",
        "DATABASE_URL": DATABASE.format(name=postgres.name),
        "REDIS_URL": broker,
    }


def test_the_images_worker_gets_ready_and_knows_the_pipelines(
    celery_setup_worker: CeleryTestWorker,
) -> None:
    celery_setup_worker.assert_log_exists("books.ingest.stage_text")
    celery_setup_worker.assert_log_exists("ready.")
    assert "books.ingest.stage_text" in celery_setup_worker.logs()
