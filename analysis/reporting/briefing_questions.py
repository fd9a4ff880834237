"""Questions the board will ask 想定問答, each answered from the plan's figures; a figure that is missing is named."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import BusinessCase
from analysis.i18n import N_, Language, Translator, render, translator
from analysis.reporting import headlines_business
from analysis.reporting.briefing_facts import Facts, filled, freezes
from analysis.reporting.briefing_parts import Answer

ENGINEER = (
    N_("Do we need a dedicated engineer?"),
    N_("{ask_days} person-days to start ({roles}), then {run_days} a month for watching: {fte} of a full-time person."),
)
TOUCHED = (
    N_("Is the running model touched, or trained from scratch?"),
    N_("Neither the file in use nor its data is changed: the work is done on a copy; {training}."),
)
TENTHS = (
    N_("Roughly how many tenths of the cost?"),
    N_("{saving_pct} of the {cost_name}; in 80 of 100 simulated cases between {lo} and {hi}."),
)
CASH = (
    N_("Of which, what leaves the budget?"),
    N_("{cash} a month from {cash_date}, before upkeep; besides, {avoided} a month is avoided and {freed} is capacity."),
)
MISTAKES = (
    N_("Do mistakes rise in orders and inspection?"),
    N_("Measured: {flips} of {n_critical} changed (at most {flip_upper}). They stay on the full model until stage {k}."),
)
WHY = (N_("Why these layers?"), N_('{n_agree} of {n_measures} measures agree, and taking them out was tested; see "How do we know?".'))
WHY_UNTESTED = N_('{n_agree} of {n_measures} measures agree; leaving them out has not been tested yet. See "How do we know?".')
WHY_COMPROMISE = N_(
    'They are the compromise of {n_measures} measures, the choice of no single one, and taking them out was tested; see "How do we know?".'
)
WHY_COMPROMISE_UNTESTED = N_(
    "They are the compromise of {n_measures} measures, the choice of no single one; leaving them out has not been tested yet. "
    'See "How do we know?".'
)
ERRORS = (N_("How many errors would eat the saving?"), N_("{break_even_errors} more a month at {error_price} each."))
SIMPLER = (
    N_("Why not something simpler?"),
    N_("Compared: do nothing, quantise only, a smaller model, more machines; see the table."),
)
STOP = (N_("When do we stop?"), N_("When {stop_rule}; back within {rollback_minutes} minutes."))
DATA = (N_("Did our data leave the company?"), N_("All prompts were processed on {machine}; this report carries {content}."))
WRONG = (
    N_("Where could you be wrong?"),
    N_("In {top_driver}: if it is {bad_value}, payback becomes {bad_payback}. Our past projections were off by {calibration}."),
)
WRONG_NEVER = N_("In {top_driver}: if it is {bad_value}, it does not pay back. Our past projections were off by {calibration}.")
WRONG_UNCOMPARED = N_(
    "In {top_driver}: if it is {bad_value}, payback becomes {bad_payback}. No projection of this plan has been compared with a "
    "measurement yet."
)
WRONG_NEVER_UNCOMPARED = N_(
    "In {top_driver}: if it is {bad_value}, it does not pay back. No projection of this plan has been compared with a measurement yet."
)
UNKNOWN = N_("Not yet known: {missing}.")


def questions(case: BusinessCase, known: Facts, language: Language, *, with_texts: bool = False) -> tuple[Answer, ...]:
    """Question and answer, in the order in which a board asks."""
    return tuple(_questions(case, known, language, with_texts))


def _questions(case: BusinessCase, known: Facts, language: Language, with_texts: bool) -> Iterator[Answer]:
    t = translator(language)

    def answer(pair: tuple[str, str], *otherwise: str, **more: str) -> Answer:
        """The answer with its figures; else the first sentence that needs fewer; else what is missing."""
        tried = [filled(sentence, {**known, **more}, t) for sentence in (pair[1], *otherwise)]
        said = next((found.text for found in tried if found.text is not None), None)
        return Answer(t(pair[0]), said or t(UNKNOWN, missing=tried[0].missing))

    yield answer(ENGINEER, N_("{ask_days} person-days to start; the days of watching have not been entered."), ask_days=known["start_days"])
    yield answer(TOUCHED, training=_training(case, known, t))
    yield answer(TENTHS) if case.result.net_per_month > 0 else Answer(t(TENTHS[0]), render(headlines_business.never_pays(case), language))
    if case.result.buckets.avoided == 0 and case.result.buckets.freed == 0:
        yield answer((CASH[0], N_("{cash} a month from {cash_date}, before upkeep; no purchase is avoided and no capacity is freed.")))
    else:
        yield answer(CASH, N_("Nothing within the evaluation period: {avoided} is avoided and {freed} is capacity."))
    yield answer(MISTAKES, N_("Measured: {flips} of {n_critical} changed (at most {flip_upper}). No stage is set up for critical work."))
    yield _why(case, t)
    yield answer(
        ERRORS,
        N_("Nobody has entered a price; at {thousandth_price} each, one more wrong answer in a thousand would eat the saving."),
    )
    yield Answer(t(SIMPLER[0]), t(SIMPLER[1]))
    yield answer(STOP, N_("When {stop_rule}; the way back has not been rehearsed yet, so its minutes are not known."))
    yield answer(DATA, content=_content(with_texts, t))
    yield answer(WRONG, WRONG_NEVER, WRONG_UNCOMPARED, WRONG_NEVER_UNCOMPARED)


def _training(case: BusinessCase, known: Facts, t: Translator) -> str:
    if freezes(case) and "n_trained" in known:
        return t("its last {n} of {N} layers are trained on from the present weights, not from scratch", n=known["n_trained"], N=known["N"])
    return t("nothing is trained")


def _why(case: BusinessCase, t: Translator) -> Answer:
    """Why these layers: how many measures agree where they voted, and whether leaving them out was tested."""
    agreed = case.evidence.agreement
    if agreed is None or freezes(case):
        return Answer(t(WHY[0]), t(_how_chosen(case)))
    untested = case.standing == "rough"
    if agreed[0] == 0:
        return Answer(t(WHY[0]), t(WHY_COMPROMISE_UNTESTED if untested else WHY_COMPROMISE, n_measures=agreed[1]))
    return Answer(t(WHY[0]), t(WHY_UNTESTED if untested else WHY[1], n_agree=agreed[0], n_measures=agreed[1]))


def _how_chosen(case: BusinessCase) -> str:
    """What can be said of the choice without a count of measures."""
    if case.standing == "rough" and freezes(case):
        return N_('The boundary was chosen by a first measurement; no training has tried it yet. See "How do we know?".')
    if case.standing == "rough":
        return N_('They were chosen by a first measurement; leaving them out has not been tested yet. See "How do we know?".')
    if freezes(case):
        return N_('The boundary was tried in a training of its own; see "How do we know?". How many measures agree was not counted.')
    return N_('Leaving them out was tested as a whole; see "How do we know?". How many measures agree was not counted.')


def _content(with_texts: bool, t: Translator) -> str:
    if with_texts:
        return t("figures, names of slices and the workload's name, no prompt and no answer")
    return t("figures and names of slices only, no prompt and no answer")
