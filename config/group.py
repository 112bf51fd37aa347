"""What all groups of settings have in common."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A group of settings that share a prefix, with whoever else uses it (`WEB_CONCURRENCY`)."""

    model_config = ConfigDict(frozen=True, extra="ignore")
