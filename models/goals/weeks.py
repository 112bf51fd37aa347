"""How long a goal is to take, and by when: what its own words say."""

import math
import re
from datetime import date

from models.errors import Unprocessable
from models.goals.tables import MAX_WEEKS

WEEKS_PER = {"day": 1 / 7, "week": 1, "month": 4, "year": 52}  # a month is 4 (the voice document)
NUMBERS = {
    "half a": 0.5, "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
SPAN = re.compile(
    r"(?P<lead>\b(?:over|in|within|for|during|next|takes?|of)\s+(?:the\s+)?(?:next\s+)?)?"
    rf"(?<![\w.,-])(?P<number>\d{{1,6}}|{'|'.join(NUMBERS)})(?P<joint>[\s-]{{1,3}})"
    r"(?P<unit>day|week|month|year)s?\b",
    re.IGNORECASE,
)
AGO = re.compile(r"\s+(?:ago|old|earlier|before)\b", re.IGNORECASE)
ISO_DATE = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")


class WeeksOutOfRange(Unprocessable):
    """A plan has from 1 to 52 weeks."""

    code = "weeks_out_of_range"


def weeks_in(text: str) -> int | None:
    """Return how many weeks a text asks for; None when it does not say.

    "over 12 weeks", "8-week", "2 months" (4 weeks each), "ten days" (rounded up). A span after a
    word like *over*, or with a hyphen, goes before any other. Raises WeeksOutOfRange.
    """
    spans = [one for one in SPAN.finditer(text) if not AGO.match(text, one.end())]
    told = next((one for one in spans if one["lead"] or "-" in one["joint"]), None)
    chosen = told or next((one for one in spans if one["unit"].lower() != "day"), None)
    if chosen is None:
        return None
    number = chosen["number"].lower()
    amount = NUMBERS[number] if number in NUMBERS else int(number)
    return checked_weeks(math.ceil(amount * WEEKS_PER[chosen["unit"].lower()]))


def checked_weeks(weeks: int) -> int:
    """Return `weeks` if a plan can have so many. Raises WeeksOutOfRange."""
    if not 1 <= weeks <= MAX_WEEKS:
        raise WeeksOutOfRange(
            f"A plan has from 1 to {MAX_WEEKS} weeks; this asks for {weeks}.", weeks=weeks
        )
    return weeks


def weeks_wanted(title: str, description: str, *, said: int | None, default: int) -> int:
    """Return a goal's number of weeks: as said, else as its words say, else the default."""
    if said is not None:
        return checked_weeks(said)
    return weeks_in(description) or weeks_in(title) or default


def dates_in(text: str) -> list[date]:
    """Return the dates that a text names as YYYY-MM-DD; those that do not exist are left out."""
    found = []
    for told in ISO_DATE.findall(text):
        try:
            found.append(date.fromisoformat(told))
        except ValueError:
            continue
    return found
