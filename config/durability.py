"""Settings of the engine: when what is tried again, and for how long what is kept."""

from config.group import Group


class EngineSettings(Group):
    """The engine's clock. Tests shorten these times; figures in the docs hold at the defaults."""

    beat_s: float = 2.0  # a node says that it lives
    dead_after_s: float = 20.0  # no beat for so long: the node is cut off
    dispatch_s: float = 1.0  # the dispatcher looks for due work
    unclaimed_s: float = 15.0  # a hint that nobody took is sent again
    restart_grace_s: float = 15.0  # after Postgres restarts, silence proves nothing
    idle_s: float = 900.0  # a step without progress for so long is taken back
    changed_after_s: float = 60.0  # a job whose version no worker knows for so long has failed
    leave_s: float = 20.0  # what a worker that is told to leave gives steps without progress
    retry_base_s: float = 1.0
    retry_max_s: float = 300.0
    priority_age_s: float = 60.0  # of waiting are worth one step of priority; 0: no waiting is
    owner_steps: int = 0  # of one owner, running or sent, in each queue; 0: any number
    preload: bool = True  # workers load what their steps need before it is needed
    cancel_poll_s: float = 0.25  # how stale a running step's view of "cancel" may be


class StreamSettings(Group):
    """Token streams and their readers."""

    flush_s: float = 0.025
    flush_chars: int = 128
    compact_s: float = 1.0
    keep_s: int = 3600  # in Redis, after the end; Postgres keeps the text as long as the job
    ping_s: float = 15.0
    silence_s: float = 1.0  # nothing heard for so long: read the log again
    window: int = 2048  # latest frames at hand for a job's readers; older ones are in Postgres
    send_timeout_s: float = 30.0
    token_ttl_s: int = 60


class RetentionSettings(Group):
    """How long things are kept."""

    jobs_days: int = 30
    idempotency_hours: int = 24
    costs_days: int = 400  # of the ledger of paid calls: a year and its last month
