from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from config.retry_after import retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("-1", 0.0), ("soon", None), ("", None), (None, None)],
)
def test_a_number_of_seconds_is_read(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


def test_a_date_is_read_as_the_time_until_then() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (retry_after_s(at) or 0) <= 90
