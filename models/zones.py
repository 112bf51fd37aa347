"""Time zones by their IANA names."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from models.errors import Unprocessable


class UnknownTimeZone(Unprocessable):
    """There is no such time zone; use an IANA name like Europe/Berlin."""

    code = "unknown_time_zone"


def zone(name: str) -> ZoneInfo:
    """Return a time zone. Raises UnknownTimeZone."""
    return ZoneInfo(check_zone(name))


def check_zone(name: str) -> str:
    """Return the name of a time zone. Raises UnknownTimeZone."""
    if name not in _names():
        raise UnknownTimeZone(time_zone=name)
    return name


@cache
def _names() -> frozenset[str]:
    """Return all there are; looking for them takes 20 ms."""
    return frozenset(available_timezones())
