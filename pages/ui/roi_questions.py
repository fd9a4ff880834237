"""Five questions that give an answer at once, or the bill as the second way in."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Assumption, ExchangeRate, SliceVolume
from analysis.contracts.business import CURRENCIES, Basis, Currency, Place
from analysis.economics.catalogue import DEVICES, device, price_assumption
from analysis.economics.names import FIGURES
from analysis.economics.uses import serves, trains
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import number
from pages.ui.evidence import section
from pages.ui.language import language, plain, words
from pages.ui.roi_fields import amount_field, choice_field, currency_of, date_field, figure_field, say_problem, switch_field, text_field
from pages.ui.roi_work import Work, forget_typed, keep_typed, typed

BASES: dict[Basis, str] = {"volume": N_("Five questions"), "bill": N_("Start from our bill")}
PLACES: dict[Place, str] = {"cloud": N_("cloud by the hour"), "reserved": N_("reserved or leased"), "own": N_("own machines")}
ROLES = ("engineer_days", "expert_days", "legal_days")
QUESTIONS = "questions"
_OTHER = "another"
_NAME_LIMIT = 80


def questions(work: Work) -> None:
    """The questions in order, each with its problem in words beside it."""
    t = words()
    section(t("Five questions, one answer"), "assumed", anchor=QUESTIONS)
    choice_field(
        work,
        "basis",
        {name: t(title) for name, title in BASES.items()},
        label=t("Where today's cost comes from"),
        help=t("The bill is what you hold in your hand; the questions work the cost out from how much is done and what a GPU costs."),
    )
    _first(work)
    _second(work)
    _third(work)
    left, right = st.columns(2, gap="medium")
    with left:
        _fourth(work)
    with right:
        figure_field(work, "error_price", label=t("5. What a wrong answer costs ({currency})", currency=_currency(work, "error_price")))
    _other_device(work)
    _rates(work)
    _rest(work)
    if work.case is None or work.stale:  # a field is read when it is left; who looks for a button finds one
        st.button(t("Work it out"), key=f"{work.key}_work_out", type="primary", icon=":material/calculate:")


def _rest(work: Work) -> None:
    """What stands against an answer and has no field among the questions."""
    t = words()
    rest = [name for name in work.problems if name not in work.said]
    for name in rest:
        say_problem(work, name)
    if any(typed(work.plan.id, name) is not None for name in rest):
        back = t("Let go of what could not be read")
        st.button(back, key=f"{work.key}_let_go", icon=":material/undo:", type="tertiary", on_click=forget_typed, args=(work.plan.id,))


def _first(work: Work) -> None:
    """How much is done, or what it costs."""
    t = words()
    if work.assumptions.basis == "bill":
        _bills(work)
        return
    if serves(work.evidence):
        amount_field(
            work,
            "slices",
            sum(one.requests_per_month for one in work.assumptions.slices) or None,
            lambda total: _spread(work, total),
            label=t("1. Requests a month"),
            help=t("From your logs. A new total keeps the shares of the slices; each slice can be edited among the assumptions below."),
            placeholder=t("not known yet"),
        )
    if trains(work.evidence):
        left, right = st.columns(2, gap="medium")
        with left:
            figure_field(work, "training_runs_per_month", label=t("1. Fine-tunes a month"))
        with right:
            figure_field(work, "training_gpu_hours_per_run", label=t("GPU hours of one fine-tune today"))


def _bills(work: Work) -> None:
    """The monthly bill for what the plan touches."""
    t = words()
    serving, training = "bill_serving_per_month", "bill_training_per_month"
    names: list[tuple[str, str]] = []
    if serves(work.evidence):
        names.append((serving, t("1. Monthly bill for answering requests ({currency})", currency=_currency(work, serving))))
    if trains(work.evidence):
        names.append((training, t("1. Monthly bill for fine-tuning ({currency})", currency=_currency(work, training))))
    for column, (name, label) in zip(st.columns(max(len(names), 1), gap="medium"), names, strict=False):
        with column:
            figure_field(work, name, label=label)


def _currency(work: Work, name: str) -> str:
    """The currency in which a sum stands in its field: its own, which need not be the case's."""
    return words()(currency_of(work.assumptions.values.get(name), work))


def _spread(work: Work, total: float | None) -> None:
    """A new number of requests, shared among the slices as before; evenly where there were none."""
    now = work.now
    if total is not None and not 0 <= total <= 1e12:
        message = InputError(
            "{given} requests a month were given; 0 to 1,000,000,000,000 is allowed. Check the figure.", given=total
        ).message
        keep_typed(work.plan.id, "slices", number(total, "en"), message)
        return
    slices = now.slices or (SliceVolume(name="all", requests_per_month=0.0),)
    before = sum(one.requests_per_month for one in slices)
    shares = [one.requests_per_month / before if before else 1 / len(slices) for one in slices]
    given = total or 0.0
    moved = tuple(one.model_copy(update={"requests_per_month": _tidy(share * given)}) for one, share in zip(slices, shares, strict=True))
    work.update(slices=moved)


def _tidy(value: float) -> float:
    """A share of a count without the dust of its division."""
    return float(round(value, 6))


def _second(work: Work) -> None:
    """Where it runs; a contract that is paid whatever is used has an end."""
    t = words()
    choice_field(
        work,
        "place",
        {name: t(title) for name, title in PLACES.items()},
        label=t("2. Where it runs"),
        help=t("It decides when less is really paid: in the cloud at once, on leased machines when the contract ends."),
    )
    if work.assumptions.place == "reserved":
        date_field(
            work,
            "contract_ends_on",
            label=t("End of the contract or lease"),
            help=t("Until then it is paid whatever is used; cash saving starts there."),
        )


def _third(work: Work) -> None:
    """Which GPU, how many, and what it costs."""
    t = words()
    if work.assumptions.place == "cloud":
        _gpu(work)
    else:
        left, right = st.columns(2, gap="medium")
        with left:
            _gpu(work)
        with right:
            figure_field(work, "machines_today", label=t("How many machines"))
    if work.assumptions.basis != "volume":
        return
    if work.assumptions.place == "own":
        figure_field(work, "purchase_price")
    else:
        _price(work)


def _gpu(work: Work) -> None:
    """A device of the catalogue, or another by name."""
    t, now = words(), work.assumptions.gpu
    known = device(now)
    key, options = f"{work.key}_gpu", [*DEVICES, _OTHER]
    st.session_state[key] = known.id if known else _OTHER

    def changed() -> None:
        found = st.session_state.get(key)
        work.update(gpu="" if found == _OTHER else str(found or ""), device_kind="gpu")

    st.selectbox(
        t("3. Which GPU"),
        options,
        format_func=lambda found: DEVICES[found].name if found in DEVICES else t("another device"),
        key=key,
        on_change=changed,
        help=t("Measured on: {device}.", device=plain(work.evidence.device_name)) if work.evidence.device_name else None,
    )
    if known is None:
        text_field(
            work, "gpu_name", now, lambda name: work.update(gpu=name), label=t("Name of the device"), limit=_NAME_LIMIT,
            help=t("As the provider or the driver calls it."),
        )  # fmt: skip
        choice_field(work, "device_kind", {"gpu": "GPU", "cpu": "CPU"}, label=t("Kind of device"))
    say_problem(work, "gpu")


def _price(work: Work) -> None:
    """The price of an hour: typed, or taken from the dated catalogue."""
    t = words()
    figure_field(work, "gpu_price_per_hour")
    known = device(work.assumptions.gpu)
    if known is None or not known.prices:
        return
    with st.popover(t("Take a list price"), icon=":material/sell:", type="tertiary"):
        st.caption(t("Read from the provider's page on the date given: a starting point, not your contract."))
        for place, price in enumerate(known.prices):
            found = price_assumption(price)
            said = t(
                "{amount} {currency} per GPU hour: {provider}, {instance}, {region}, {date}",
                amount=number(price.per_gpu_hour, language(), 2),
                currency=t(price.currency),
                provider=price.provider,
                instance=price.instance,
                region=price.region,
                date=found.as_of,
            )
            st.button(said, key=f"{work.key}_price_{place}", on_click=_take_price, args=(work, found), type="tertiary")


def _take_price(work: Work, found: Assumption) -> None:
    values = dict(work.now.values) | {"gpu_price_per_hour": found}
    work.update(values=values)


def _fourth(work: Work) -> None:
    """Own people's days to start, all roles together; a new sum keeps their shares."""
    t, values = words(), work.assumptions.values
    days = {name: (values[name].value or 0.0) if name in values else 0.0 for name in ROLES}

    def take(total: float | None) -> None:
        _spread_days(work, total or 0.0)

    amount_field(
        work,
        "start_days",
        sum(days.values()),
        take,
        label=t("4. Person-days to start"),
        help=t(
            "Engineer {engineer}, business expert {expert}, legal and security {legal}. A new sum keeps their shares.",
            engineer=days["engineer_days"],
            expert=days["expert_days"],
            legal=days["legal_days"],
        ),
    )
    for name in ROLES:
        say_problem(work, name)


def _spread_days(work: Work, total: float) -> None:
    """The sum shared among the roles as before; ranges move along."""
    values = dict(work.now.values)
    days = {name: (values[name].value or 0.0) if name in values else 0.0 for name in ROLES}
    before = sum(days.values())
    for name, n in days.items():
        share = n / before if before else (FIGURES[name].default or 0.0) / 15
        given = values.get(name, Assumption(value=None))
        ends = {
            end: None if old is None or not n else _tidy(old / n * share * total) for end, old in (("low", given.low), ("high", given.high))
        }
        values[name] = given.model_copy(update={"value": _tidy(share * total), **ends})
    work.update(values=values)


def _other_device(work: Work) -> None:
    """A measurement of one kind of device is priced as another only by a person's word."""
    t = words()
    if "accept_other_device" not in work.problems and not work.assumptions.accept_other_device:
        return
    switch_field(
        work,
        "accept_other_device",
        label=t("Price it all the same, with a factor that we name"),
        help=t("Its figures are then marked as measured on another machine, with a wider range. A run on the priced device is better."),
    )
    if work.assumptions.accept_other_device and work.assumptions.basis == "volume":
        figure_field(work, "speed_factor")


def _rates(work: Work) -> None:
    """What another currency is worth; none is known without a person."""
    asked = {field.partition(".")[2] for field in work.problems if field.startswith("rates.")}
    wanted = asked | {rate.currency for rate in work.assumptions.rates}
    for currency in (one for one in CURRENCIES if one in wanted):
        rate_fields(work, currency)


def rate_fields(work: Work, currency: Currency) -> None:
    """Rate, date and source of another currency: kept when all three are given."""
    t, home = words(), work.assumptions.currency
    given = next((rate for rate in work.assumptions.rates if rate.currency == currency), None)
    prefix = f"{work.key}_rate_{currency}"
    with st.container(border=True):
        st.markdown(f"**{t('Exchange rate: what one {other} is worth in {currency}', other=t(currency), currency=t(home))}**")
        a, b, c = st.columns([2, 2, 3], gap="small")
        draft = st.session_state.setdefault(f"{prefix}_draft", {})
        with a:
            amount_field(
                work,
                f"rate_{currency}",
                given.per_unit if given else draft.get("per_unit"),
                lambda value: _rate(work, currency, prefix, per_unit=value),
                label=t("Rate"),
            )
        with b:
            day = given.as_of if given else draft.get("as_of", "")
            text_field(
                work,
                f"rate_{currency}_date",
                day,
                lambda said: _rate(work, currency, prefix, as_of=said),
                label=t("Date"),
                limit=10,
                help=t("As 2026-12-01."),
            )
        with c:
            source = given.source if given else draft.get("source", "")
            text_field(
                work,
                f"rate_{currency}_source",
                source,
                lambda said: _rate(work, currency, prefix, source=said),
                label=t("Where it comes from"),
                help=t("Your company's internal rate, or a bank's."),
            )
        say_problem(work, f"rates.{currency}")


def _rate(work: Work, currency: Currency, prefix: str, **given: object) -> None:
    """Keeps what was typed; the rate counts once it has a figure above 0, a date and a source."""
    now = work.now
    known = next((rate.model_dump() for rate in now.rates if rate.currency == currency), {})
    draft = {**known, **st.session_state.get(f"{prefix}_draft", {}), **given}
    st.session_state[f"{prefix}_draft"] = draft
    others = tuple(rate for rate in now.rates if rate.currency != currency)
    per_unit = draft.get("per_unit")
    if per_unit is not None and not 0 < float(per_unit) < 1e9:
        message = InputError("{given} was given for the exchange rate; it has to be above 0. Check the figure.", given=per_unit).message
        keep_typed(work.plan.id, f"rate_{currency}", str(per_unit), message)
        return
    if per_unit and draft.get("as_of") and draft.get("source"):
        found = ExchangeRate(currency=currency, per_unit=float(per_unit), as_of=str(draft["as_of"]), source=str(draft["source"]))
        work.update(rates=(*others, found))
    else:
        work.update(rates=others)
