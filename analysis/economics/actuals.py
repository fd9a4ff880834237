"""Plan against actual: the real bill, month by month, and why it is not what was planned.

The difference falls apart into volume (other requests than planned, at the planned cost of the part that follows use), price (another
price of a GPU hour, at the real hours), and effect (all the rest: what the plan really does). They add up exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from analysis.contracts.business import Currency
from analysis.contracts.case import BusinessCase
from analysis.contracts.message import Message
from analysis.contracts.rollout import ActualRow, PlanAgainstActual, Rollout, Variance
from analysis.economics.business_csv import Column, Line, problem_at, read_table, write_table
from analysis.economics.dates import add_months, day, month_number, month_text
from analysis.economics.figures import base_figures
from analysis.economics.flows import MONTHS, Flows, flows
from analysis.economics.uses import serves
from analysis.errors import InputError
from analysis.workload.shown import shown

_MONEY_UNITS = {"円": 1.0, "千円": 1e3, "万円": 1e4, "百万円": 1e6, "億円": 1e8}
_MONEY_UNITS |= dict.fromkeys(("jpy", "yen", "¥", "usd", "$", "ドル", "eur", "€", "ユーロ", "税抜", "税別"), 1.0)
"""A bill with consumption tax in it is not among them: the case is without."""
_CASES = {"件": 1.0, "千件": 1e3, "万件": 1e4}
COLUMNS: tuple[Column, ...] = (
    Column("month", "month", True, ("月", "年月", "対象月")),
    Column("bill", "amount", True, ("請求額", "費用", "実績額"), _MONEY_UNITS),
    Column("requests", "amount", True, ("件数", "処理件数", "依頼件数"), _CASES, ("件",)),
    Column("gpu_hours", "amount", False, ("GPU時間",), suffixes=("時間", "hours", "h")),
    Column("currency", "text", False, ("通貨",)),
)
ACTUAL_COLUMNS: tuple[str, ...] = ("month", "bill", "requests", "gpu_hours")
_SIGNS: tuple[tuple[Currency, tuple[str, ...]], ...] = (
    ("JPY", ("jpy", "yen", "円", "¥", "￥")),
    ("USD", ("usd", "$", "＄", "ドル")),
    ("EUR", ("eur", "€", "ユーロ")),
)
_REVIEW_MONTHS = 6
_MOST_TIMES = 1000


def read_actuals(data: bytes, file: str, *, currency: Currency | None = None) -> tuple[ActualRow, ...]:
    """The months of a file, one after the other without a gap; a file with one problem is not read at all.

    Args:
        data: the file's bytes.
        file: its name, for what is said about it.
        currency: the case's; a bill in another is refused. None: any, as long as it is the same throughout.

    Raises:
        InputError: the first problem, with its line and column.
    """
    table = read_table(data, file, COLUMNS)
    rows = list[ActualRow]()
    for line in table.lines:
        _check_currency(line, file)
        said = " ".join((table.units["bill"], line.given["bill"], line.given.get("currency", "")))
        found = _currency(said)
        if found is not None and found != (currency or found):
            raise problem_at(
                file,
                line.number,
                "bill",
                Message(
                    id="the bill is in {given}; the case is in {wanted}. Convert it first.", values={"given": found, "wanted": currency}
                ),
            )
        currency = currency or found
        row = ActualRow.model_validate({name: line.cells.get(name) for name in ACTUAL_COLUMNS})
        if rows:
            _check_order(rows[-1].month, row.month, file, line.number)
        rows.append(row)
    return tuple(rows)


def _check_currency(line: Line, file: str) -> None:
    """A currency that is named but not known is not taken for the case's."""
    named = line.given.get("currency", "")
    if named and _currency(named) is None:
        problem = Message(id='"{given}" is not a currency that is known here. Give JPY, USD or EUR.', values={"given": shown(named)})
        raise problem_at(file, line.number, "currency", problem)


def _currency(text: str) -> Currency | None:
    plain = text.lower()
    return next((currency for currency, signs in _SIGNS if any(sign in plain for sign in signs)), None)


def _check_order(before: str, month: str, file: str, line: int) -> None:
    step = month_number(month) - month_number(before)
    if step == 1:
        return
    if step == 0:
        problem = Message(id="{month} stands there twice. Give each month once.", values={"month": month})
    elif step < 0:
        problem = Message(id="{month} comes after {before}. Put the months in their order.", values={"month": month, "before": before})
    else:
        missing = month_text(month_number(before) + 1)
        problem = Message(id="the month {missing} is missing before {month}. Add its line.", values={"missing": missing, "month": month})
    raise problem_at(file, line, "month", problem)


def with_actuals(rollout: Rollout, rows: Sequence[ActualRow], case: BusinessCase | None = None) -> Rollout:
    """The rollout with these months; one that is there already is replaced by the newer import.

    What is stored is never taken out again, so months that could not be compared are refused here.

    Args:
        rollout: with the months so far.
        rows: the new ones.
        case: that they will be compared with.

    Raises:
        InputError: a month in the middle would be missing, or the case cannot be compared with one of them.
    """
    kept = {row.month: row for row in (*rollout.actuals, *rows)}
    months = tuple(kept[month] for month in sorted(kept))
    _check_gaps([month_number(row.month) for row in months])
    if case is not None and months:
        against(case, months)
    return rollout.model_copy(update={"actuals": months})


def _check_gaps(months: Sequence[int]) -> None:
    for before, after in pairwise(months):
        if after != before + 1:
            raise InputError(
                "The real bills go from {before} to {after}. Give every month once, in order and without a gap.",
                before=month_text(before),
                after=month_text(after),
            )


def review(review_on: str, today: date) -> Message | None:
    """When plan and actual are to be compared, or that it is due; None: no date is set."""
    when = day(review_on)
    if when is None:
        return None
    if when > today:
        return Message(id="Review: {date}. On that day the plan is held against what it really did.", values={"date": when.isoformat()})
    return Message(
        id="The review was due on {date}: hold the plan against what it really did, and decide by name whether to go on.",
        values={"date": when.isoformat()},
    )


def actuals_csv(rows: Sequence[ActualRow]) -> str:
    """The months as a file that `read_actuals` reads back (begins with a byte order mark)."""
    return write_table(ACTUAL_COLUMNS, [[getattr(row, name) for name in ACTUAL_COLUMNS] for row in rows])


@dataclass(frozen=True)
class _Month:
    """What was planned for one month; `fixed` does not follow use. No requests: fine-tuning, or nobody gave a volume."""

    today: float
    plan: float
    fixed: float
    requests: float
    price: float | None


def against(case: BusinessCase, rows: Sequence[ActualRow]) -> PlanAgainstActual:
    """The months of the real bill beside the case's, and what they make of the payback: actual so far, planned from there on.

    Months before the first one given count as planned.

    Raises:
        InputError: no month, a gap, a month twice, one before the case begins or after what it looks at, or hours that cannot be.
    """
    months = _places(case, rows)
    planned = _planned(case)
    found = tuple(_variance(planned[month - 1], row) for month, row in zip(months, rows, strict=True))
    changes = {month: one.actual_saving - one.planned_saving for month, one in zip(months, found, strict=True)}
    starts = day(case.assumptions.starts_on)
    review = case.rollout.review_on if case.rollout and case.rollout.review_on else ""
    return PlanAgainstActual(
        months=found,
        planned_payback_months=case.result.payback_months,
        new_payback_months=_payback(case.result.cumulative, changes),
        reason=_reason(case, found, all(planned[month - 1].requests for month in months)),
        review_on=review or (add_months(starts, _REVIEW_MONTHS).isoformat() if starts else ""),
    )


def _places(case: BusinessCase, rows: Sequence[ActualRow]) -> list[int]:
    """Months of the case that the rows are of, counted from 1."""
    if not rows:
        raise InputError("There is no month of the real bill yet. Import at least one.")
    starts = day(case.assumptions.starts_on)
    if starts is None:
        raise InputError("The case has no first month. Set its start, such as 2026-12-01, before comparing it with real bills.")
    first = month_number(starts.isoformat())
    months = [month_number(row.month) for row in rows]
    _check_gaps(months)
    places = [month - first + 1 for month in months]
    if places[0] < 1 or places[-1] > MONTHS:
        raise InputError(
            "The real bills begin in {given} and end in {last}; the case begins in {first} and looks at {n} months. Give months inside it.",
            given=rows[0].month,
            last=rows[-1].month,
            first=month_text(first),
            n=MONTHS,
        )
    return places


def _planned(case: BusinessCase) -> list[_Month]:
    """Every month that the case looks at."""
    assumptions, figures = case.assumptions, base_figures(case.assumptions, case.evidence)
    found = flows(assumptions, case.evidence, figures)
    plan = found.today - found.cash - found.avoided
    fixed = _fixed(found, figures.get("bill_variable_percent", 100.0) / 100)
    volume = sum(entry.requests_per_month for entry in assumptions.slices) if serves(case.evidence) else 0.0
    requests = volume * found.growth
    return [
        _Month(float(found.today[m]), float(plan[m]), min(fixed[m], float(plan[m])), float(requests[m]), _price(case))
        for m in range(found.today.shape[-1])
    ]


def _fixed(found: Flows, variable: float) -> list[float]:
    """The part of the planned cost that does not follow use: of a bill as said, of machines all but their electricity."""
    assumptions, months = found.setting.assumptions, found.today.shape[-1]
    if assumptions.basis == "bill":
        return [float(found.today[0]) * (1 - variable)] * months
    if assumptions.place == "cloud":
        return [0.0] * months
    power = [one.today - one.cash for one in found.streams if one.line == "electricity"]
    used = sum((found.today * 0 + each for each in power), found.today * 0)
    return [float(cost) for cost in found.today - found.cash - found.avoided - used]


def _price(case: BusinessCase) -> float | None:
    """Planned price of a GPU hour; None: nothing is paid by the hour, or no hours were planned."""
    hours = case.result.gpu_hours
    if case.assumptions.place != "cloud" or hours is None or not hours.plan:
        return None
    return case.result.cost.plan / hours.plan


def _variance(month: _Month, row: ActualRow) -> Variance:
    use = row.requests / month.requests if month.requests else 1.0
    difference = row.bill - month.plan
    volume = (month.plan - month.fixed) * (use - 1)
    price, dearer = None, 1.0
    if month.price and row.gpu_hours is not None and (row.gpu_hours or not row.bill):  # a bill for no hours tells nothing of their price
        price, dearer = row.bill - month.price * row.gpu_hours, _times_dearer(month.price, row)
    without = (month.fixed + (month.today - month.fixed) * use) * dearer
    return Variance(
        month=row.month,
        planned_cost=month.plan,
        actual_cost=row.bill,
        volume=volume,
        price=price,
        effect=difference - volume - (price or 0.0),
        planned_saving=month.today - month.plan,
        actual_saving=without - row.bill,
    )


def _times_dearer(price: float, row: ActualRow) -> float:
    """What a GPU hour really cost / its planned price."""
    assert row.gpu_hours is not None
    if not row.bill and not row.gpu_hours:
        return 1.0
    if row.bill > _MOST_TIMES * price * row.gpu_hours:
        raise InputError(
            "{month}: {hours} GPU hours would make an hour more than {times} times as dear as planned. Check the hours, or leave them out.",
            month=row.month,
            hours=f"{row.gpu_hours:g}",
            times=_MOST_TIMES,
        )
    return row.bill / (price * row.gpu_hours)


def _payback(cumulative: Sequence[float], changes: dict[int, float]) -> float | None:
    """First time that start-up cost is earned back, inside its month; after the period, months like its last year's."""
    nets = [after - before for before, after in pairwise(cumulative)]
    later = sum(nets[-12:]) / len(nets[-12:]) if nets else 0.0
    so_far = cumulative[0]
    if so_far >= 0:
        return 0.0
    for month in range(1, MONTHS + 1):
        net = (nets[month - 1] if month <= len(nets) else later) + changes.get(month, 0.0)
        if so_far + net >= 0:
            return month - 1 - so_far / net
        so_far += net
    return None


def _reason(case: BusinessCase, found: Sequence[Variance], volumes_known: bool) -> Message:
    total = sum(one.difference for one in found)
    span = Message(id="1 month") if len(found) == 1 else Message(id="{n} months", values={"n": len(found)})
    values: dict[str, object] = {
        "span": span,
        "amount": _whole(abs(total)),
        "currency": case.assumptions.currency,
        "volume": _whole(sum(one.volume for one in found)),
        "effect": _whole(sum(one.effect for one in found)),
        "rest": _whole(sum(one.effect + (one.price or 0.0) for one in found)),
    }
    dearer = total >= 0
    if abs(total) <= 0.005 * sum(one.planned_cost for one in found):
        return Message(id="Over {span} the bill is as planned, within half a percent.", values={"span": span})
    if not volumes_known:
        return Message(
            id="Over {span} {amount} {currency} dearer than planned; this cost does not follow the requests, "
            "so volume and effect stay together."
            if dearer
            else "Over {span} {amount} {currency} cheaper than planned; this cost does not follow the requests, "
            "so volume and effect stay together.",
            values=values,
        )
    if any(one.price is None for one in found):
        return Message(
            id="Over {span} {amount} {currency} dearer than planned: {volume} by volume, {rest} by price and effect, which cannot be "
            "told apart without GPU hours in the plan and on the bill."
            if dearer
            else "Over {span} {amount} {currency} cheaper than planned: {volume} by volume, {rest} by price and effect, which cannot "
            "be told apart without GPU hours in the plan and on the bill.",
            values=values,
        )
    values["price"] = _whole(sum(one.price or 0.0 for one in found))
    return Message(
        id="Over {span} {amount} {currency} dearer than planned: {volume} by volume, {price} by price, {effect} by effect."
        if dearer
        else "Over {span} {amount} {currency} cheaper than planned: {volume} by volume, {price} by price, {effect} by effect.",
        values=values,
    )


def _whole(value: float) -> int | float:
    """Whole units of money, or two decimals of a small sum."""
    return round(value) if abs(value) >= 100 else round(value, 2) or 0
