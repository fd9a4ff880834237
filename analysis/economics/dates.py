"""Days and months of a calendar, as a rollout and a bill count them."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

MONTH_DAYS = 365.25 / 12
"""Mean length of a month."""
WEEK_DAYS = 7


def day(text: str) -> date | None:
    """A day from ISO text, a time of day behind it left off; None: there is none in it.

    >>> day("2026-12-01T09:00:00"), day("2026-W49-2")
    (datetime.date(2026, 12, 1), None)
    """
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        return None
    plain = found.isoformat() == text[:10] and text[10:11] in ("", "T", " ")  # weeks of a year and the like sort as other days
    return found if plain else None


def add_months(start: date, months: int) -> date:
    """The same day some months later; the last of the month where it is shorter.

    >>> add_months(date(2026, 8, 31), 6)
    datetime.date(2027, 2, 28)
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def first_of_next_month(today: date) -> date:
    """When a month's figures can begin."""
    return add_months(today.replace(day=1), 1)


def add_weeks(start: date, weeks: float) -> date:
    """A day some weeks later, in whole days."""
    return start + timedelta(days=round(weeks * WEEK_DAYS))


def month_text(month: int) -> str:
    """A month, counted from year 0, as 2026-12."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_number(text: str) -> int:
    """Months since year 0 of 2026-12 or 2026-12-01.

    >>> month_text(month_number("2026-12") + 1)
    '2027-01'
    """
    return int(text[:4]) * 12 + int(text[5:7]) - 1
