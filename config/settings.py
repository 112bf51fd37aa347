"""Settings, read once from the environment and `.env`."""

import os
from typing import Annotated, Literal

from pydantic import SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.durability import EngineSettings, RetentionSettings, StreamSettings
from config.group import Group
from config.otel import OtelSettings
from config.products import (
    BookNLPSettings,
    BooksSettings,
    DeepgramSettings,
    GoalsSettings,
    VoiceSettings,
)  # fmt: skip
from config.spending import BudgetsSettings, ProvidersSettings

DEVELOPMENT_KEY = "development-only-secret-key-of-longrun"

# "20/minute", "10 per hour"; empty: no limit
Rate = Annotated[
    str, StringConstraints(pattern=r"^([1-9]\d* ?(/|per) ?(second|minute|hour|day))?$")
]


class DatabaseSettings(Group):
    """Where state lives."""

    url: str = ""  # empty: the embedded Postgres of `make up`
    direct_url: str = ""  # past a transaction pooler that `url` names
    pool_size: int = 10
    connect_timeout_s: int = 5


class RedisSettings(Group):
    """Where hints and live tokens travel. Losing everything in it loses nothing but time."""

    url: str = ""  # empty: the embedded Valkey of `make up`
    timeout_s: float = 1.0


class BrokerSettings(Group):
    """Where Celery's messages travel, when not through Redis."""

    url: str = ""


class QdrantSettings(Group):
    """The Qdrant server that holds the vectors. Without one, Postgres does."""

    url: str = ""  # a port that is not named is 6333
    api_key: SecretStr = SecretStr("")
    timeout_s: int = 10


class TypesenseSettings(Group):
    """The Typesense servers that hold the words. Without them, Postgres does."""

    url: str = ""  # the nodes of a cluster between commas; a port that is not named is 8108
    api_key: SecretStr = SecretStr("")
    timeout_s: float = 10.0


class BlobSettings(Group):
    """Where large bytes lie: any fsspec address."""

    url: str = "file://.longrun/blobs"
    unreferenced_hours: int = 24


class LocalSettings(Group):
    """The embedded stack of `make up`."""

    dir: str = ".longrun"


class WebSettings(Group):
    """The address the API listens on."""

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""  # as people reach it, for links in mails; empty: the address above
    allowed_hosts: str = ""  # names it is reached by, besides localhost, addresses and public_url
    cors_origins: str = ""  # pages elsewhere that may call it, as https://app.example


class WorkerSettings(Group):
    """How many steps run at once, per queue and worker. Threads wait, processes compute."""

    io_slots: int = 8
    cpu_slots: int = 2
    stream_slots: int = 8


class FlowerSettings(Group):
    """Flower's address. The password is required outside the local stack."""

    host: str = "127.0.0.1"
    port: int = 5555
    public_url: str = ""  # as operators reach it, for links; empty: none, but on the local stack
    user: str = "operator"
    password: SecretStr = SecretStr("")


class ModelSettings(Group):
    """Which model serves which purpose, by LiteLLM's `provider/name`."""

    chat: str = "offline/own-words"
    analysis: str = "offline/own-words"
    rewrite: str = "offline/own-words"
    plan: str = "offline/own-words"
    embedding: str = "offline/hashing"
    rerank: str = ""


class LLMSettings(Group):
    """How model providers are reached."""

    api_base: str = ""
    api_key: SecretStr = SecretStr("")
    connect_timeout_s: float = 10.0
    timeout_s: float = 120.0  # between two bytes of an answer
    total_timeout_s: float = 600.0


class FetchSettings(Group):
    """Limits of outgoing requests to addresses that users name."""

    timeout_s: float = 120.0
    max_bytes: int = 100 * 1024 * 1024
    max_redirects: int = 5
    allow_loopback: bool = False


class UploadSettings(Group):
    """Limits of incoming files."""

    max_bytes: int = 100 * 1024 * 1024
    max_cover_bytes: int = 5 * 1024 * 1024
    max_body_bytes: int = 4 * 1024 * 1024  # of a request that brings no file


class LimitsSettings(Group):
    """How much one address, and one person, may ask for. An empty rate is none."""

    enabled: bool = True
    address: Rate = "300/minute"
    doors: Rate = "30/minute"  # per address: logging in, signing up, following a mail's link
    person: Rate = "600/minute"
    chat: Rate = "30/minute"  # per person, like all that follow
    uploads: Rate = "60/hour"
    streams: int = 20  # open at once; 0: any number
    local_factor: int = 1000  # on the local stack one address and one person ask for everything
    timeout_s: float = 0.25  # Redis is not waited for longer: the request passes, and is counted


class LoginSettings(Group):
    """The brake on guessing passwords; it is in Postgres, and holds when Redis is away."""

    failures: int = 10  # of one name from one address
    address_failures: int = 100  # of all names from one address
    window_s: int = 900


class LogSettings(Group):
    """What is logged. Secrets never are."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class AccountsSettings(Group):
    """How people come in."""

    registration: bool = True  # whether anybody may sign up
    token_s: int = 28_800  # a bearer token's life
    verification_s: int = 172_800  # a verification link's life


class SmtpSettings(Group):
    """The server that takes our mail. Without one, mail goes to the log and the outbox table."""

    host: str = ""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: SecretStr = SecretStr("")
    sender: str = "Longrun <longrun@localhost>"
    timeout_s: float = 30.0


class AuthSettings(Group):
    """An issuer of JWTs whose word is believed about who somebody is, as Supabase is.

    With a secret its HS256 tokens are accepted, with the address of its keys (JWKS) those signed
    with one of them; with neither, none.
    """

    jwt_secret: SecretStr = SecretStr("")
    jwt_jwks_url: str = ""
    jwt_issuer: str = ""  # empty: whoever has the key
    jwt_audience: str = "authenticated"  # empty: any


class Settings(BaseSettings):
    """Every knob of the platform: `DATABASE_URL` sets `settings.database.url`."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=os.environ.get("LONGRUN_ENV_FILE", ".env"),
        extra="ignore",
        frozen=True,
    )

    environment: Literal["local", "production"] = "production"
    secret_key: SecretStr = SecretStr(DEVELOPMENT_KEY)
    secret_keys: SecretStr = SecretStr("")  # seal what is stored; newest first, between commas
    service_token: SecretStr = SecretStr("")
    trust_gateway: bool = False
    trust_gateway_acknowledged: bool = False
    guest_access: bool = False

    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    broker: BrokerSettings = BrokerSettings()
    qdrant: QdrantSettings = QdrantSettings()
    typesense: TypesenseSettings = TypesenseSettings()
    blob: BlobSettings = BlobSettings()
    local: LocalSettings = LocalSettings()
    web: WebSettings = WebSettings()
    worker: WorkerSettings = WorkerSettings()
    flower: FlowerSettings = FlowerSettings()
    models: ModelSettings = ModelSettings()
    llm: LLMSettings = LLMSettings()
    budgets: BudgetsSettings = BudgetsSettings()
    providers: ProvidersSettings = ProvidersSettings()
    fetch: FetchSettings = FetchSettings()
    upload: UploadSettings = UploadSettings()
    engine: EngineSettings = EngineSettings()
    stream: StreamSettings = StreamSettings()
    limits: LimitsSettings = LimitsSettings()
    login: LoginSettings = LoginSettings()
    log: LogSettings = LogSettings()
    otel: OtelSettings = OtelSettings()
    retention: RetentionSettings = RetentionSettings()
    accounts: AccountsSettings = AccountsSettings()
    smtp: SmtpSettings = SmtpSettings()
    auth: AuthSettings = AuthSettings()
    deepgram: DeepgramSettings = DeepgramSettings()
    voice: VoiceSettings = VoiceSettings()
    books: BooksSettings = BooksSettings()
    booknlp: BookNLPSettings = BookNLPSettings()
    goals: GoalsSettings = GoalsSettings()


settings = Settings()


def address(path: str) -> str:
    """Return the address of one of our pages, as people reach it; `path` begins with a slash."""
    here = f"http://{settings.web.host}:{settings.web.port}"
    return (settings.web.public_url.rstrip("/") or here) + path


def listed(value: str) -> list[str]:
    """Return the parts of a setting that names several, between commas."""
    return [part for part in (part.strip() for part in value.split(",")) if part]
