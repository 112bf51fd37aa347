"""The environment of a test session: nothing of the user's, everything of its own."""

import os
import shutil
from pathlib import Path

import psutil

from config.local import EmbeddedPostgres, EmbeddedValkey
from config.local.server import EmbeddedServer
from tests.typesense_server import TypesenseServer

ROOT = Path(__file__).resolve().parents[1]
SESSIONS = ROOT / ".longrun" / "tests"
HERE = SESSIONS / str(os.getpid())
DATABASE = f"longrun_test_{os.getpid()}"
SETTING_PREFIXES = (
    "ACCOUNTS_",
    "AUTH_",
    "BLOB_",
    "BOOKNLP_",
    "BOOKS_",
    "BROKER_",
    "BUDGETS_",
    "DATABASE_",
    "DEEPGRAM_",
    "ENGINE_",
    "ENVIRONMENT",
    "FETCH_",
    "FLOWER_",
    "GOALS_",
    "GUEST_ACCESS",
    "LIMITS_",
    "LLM_",
    "LOCAL_",
    "LOGIN_",
    "LOG_",
    "MODELS_",
    "OTEL_",
    "PROVIDERS_",
    "QDRANT_",
    "REDIS_",
    "RETENTION_",
    "SECRET_KEY",
    "SERVICE_TOKEN",
    "SMTP_",
    "STREAM_",
    "TRUST_GATEWAY",
    "TYPESENSE_",
    "UPLOAD_",
    "VOICE_",
    "WEB_",
    "WORKER_",
)  # of config.settings; a contract test compares the two
PROVIDER_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "VERTEX", "LITELLM_", "OLLAMA_")
PROVIDER_SUFFIXES = ("_API_KEY", "_API_BASE", "_BASE_URL", "_API_TOKEN")


def isolate() -> tuple[str, str]:
    """Empty this process's environment of settings and provider keys, and set those of the tests.

    Returns the server URLs from `TEST_DATABASE_URL` and `TEST_REDIS_URL`, empty where not given.
    """
    for name in list(os.environ):
        if name.startswith(SETTING_PREFIXES + PROVIDER_PREFIXES) or name.endswith(
            PROVIDER_SUFFIXES
        ):
            del os.environ[name]
    os.environ["LONGRUN_ENV_FILE"] = os.devnull
    os.environ["ENVIRONMENT"] = "local"
    os.environ["WEB_ALLOWED_HOSTS"] = "test"
    os.environ["LOCAL_DIR"] = str(HERE)
    os.environ["BLOB_URL"] = f"file://{HERE}/blobs"
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["BROKER_URL"] = os.environ.get("TEST_BROKER_URL", "")
    return os.environ.get("TEST_DATABASE_URL", ""), os.environ.get("TEST_REDIS_URL", "")


def forget_dead_sessions() -> None:
    """End and delete what test sessions that were killed have left behind."""
    for folder in SESSIONS.glob("*"):
        if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
            servers = (
                EmbeddedPostgres(folder),
                EmbeddedValkey(folder),
                TypesenseServer(folder / "external"),
            )
            remove(folder, *servers)


def remove(folder: Path, *servers: EmbeddedServer) -> None:
    """Delete one test session's servers and files."""
    for server in servers:
        server.remove()
    shutil.rmtree(folder, ignore_errors=True)
