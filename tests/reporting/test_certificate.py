"""The certificate: one page in either language, its verdict, what it leaves out, and names that would break a page."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Estimate, FlipCount, Freeze, Guardrail, GuardrailResult, Message, Plan, Verdict, Verification
from analysis.i18n import LANGUAGES, Language, render
from analysis.planning import plan_from_set, propose_plan
from analysis.reporting import headlines
from analysis.reporting import verification_words as words
from analysis.reporting.certificate import VERDICT_WORDS, Names, certificate_html
from tests.builders import SLICES, make_profile, make_workload
from tests.measured_builders import make_search, make_verification

VERDICTS: tuple[Verdict | None, ...] = (*get_args(Verdict), None)


@pytest.fixture(scope="module")
def plan() -> Plan:
    search = make_search()
    return plan_from_set(search, search.paths["beam"][4], name="Pilot A")


class Reader(html.parser.HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)


def made(found: Verification, plan: Plan, language: Language = "en", **more: Any) -> Reader:
    return Reader(certificate_html(found, plan, language=language, **more))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_it_stands_alone_in_its_language(plan: Plan, language: Language, verdict: Verdict | None) -> None:
    text = certificate_html(make_verification(plan, verdict=verdict), plan, language=language, names=Names("Aoki", "Sato", "Ito"))
    page = Reader(text)
    assert ("html", {"lang": language}) in page.tags
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert not re.search(r"https?:|url\(|@import", text)
    assert page.text.count("本人確認なし" if language == "ja" else "as entered, not verified") == 3


def test_the_order_and_the_words_are_those_of_the_form(plan: Plan) -> None:
    text = made(make_verification(plan), plan, "ja").text
    heads = [
        "検証成績書",
        "対象",
        "試験条件",
        "結果",
        "項目",
        "基準",
        "判定",
        "重要案件の結果",
        "予測との差",
        "特記事項",
        "作成",
        "確認",
        "承認",
    ]
    places = [text.index(head) for head in heads]
    assert [heads[place] for place in sorted(range(len(heads)), key=places.__getitem__)] == heads


@pytest.mark.parametrize(("verdict", "said"), [("within", "合格"), ("outside", "不合格"), ("undecided", "判定保留"), (None, "基準なし")])
def test_the_verdict_is_one_word_said_once_on_top(plan: Plan, verdict: Verdict | None, said: str) -> None:
    text = certificate_html(make_verification(plan, verdict=verdict), plan, language="ja")
    top = text[text.index('<p class="verdict">') : text.index("</p>", text.index('<p class="verdict">'))]
    assert f"<strong>{said}</strong>" in top
    assert sum(top.count(word) for word in ("合格", "判定保留", "基準なし")) == 1


def test_no_prompt_and_no_answer_unless_ticked(plan: Plan) -> None:
    found = make_verification(plan, verdict="outside")
    texts = {one for generation in found.generations for one in (generation.prompt, generation.original, generation.plan)}
    plain, ticked = (certificate_html(found, plan, language="en", with_texts=ticked) for ticked in (False, True))
    assert not [text for text in texts if text in plain]
    assert all(text in ticked for text in texts)
    assert "example-003" not in plain


def test_zero_changes_among_few_cases_show_their_upper_bound(plan: Plan) -> None:
    flips = FlipCount(n=12, changed=0, rate=Estimate(value=0.0, low=0.0, high=0.265), upper=1 - 0.05 ** (1 / 12))
    found = make_verification(plan)
    assert found.critical is not None
    critical = found.critical.model_copy(update={"flips": flips})
    text = made(found.model_copy(update={"critical": critical}), plan).text
    assert "22.1%" in text
    assert "a true rate of up to 22% cannot be ruled out" in text


def test_a_plan_that_was_not_verified_against_much_still_has_a_page(plan: Plan) -> None:
    bare = make_verification(plan, verdict=None, cost=False, texts=False, critical=None, projection_errors=(), notes=())
    text = made(bare, plan, with_texts=True).text
    assert "There was no projection to compare with." in text
    assert "No critical case was answered" in text
    assert "No limit was set before the run" in text


def test_missed_limits_come_first_and_what_does_not_fit_is_counted(plan: Plan) -> None:
    found = make_verification(plan, verdict="outside")
    within = make_verification(plan).guardrails[0]
    many = (*(within,) * 14, *found.guardrails)
    text = certificate_html(found.model_copy(update={"guardrails": many}), plan, language="en")
    rows = text[text.index('class="results"') :]
    assert rows.index("Outside limits") < rows.index("Within limits")
    assert f"{len(many) - 8} more limits, 0 of them not met" in text


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x>', "{x}", "%s", "&lt;"]
)


@settings(max_examples=40, deadline=None)
@given(name=HOSTILE, device=HOSTILE, model=HOSTILE, slice_name=HOSTILE)
def test_no_name_becomes_markup(name: str, device: str, model: str, slice_name: str) -> None:
    plan = PLAN.model_copy(update={"name": name})
    found = make_verification(plan, slices=(slice_name, *SLICES[1:]))
    found = found.model_copy(
        update={
            "model_name": model,
            "machine": found.machine.model_copy(update={"device_name": device}),
            "notes": (Message(id="{name}", values={"name": name}),),
        }
    )
    page = made(found, plan, names=Names(name, model, device), with_texts=True)
    plain = made(make_verification(PLAN), PLAN, with_texts=True)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"ul", "li"}
    assert {key for _, attributes in page.tags for key in attributes} == {key for _, attributes in plain.tags for key in attributes}


PLAN = propose_plan(make_profile(), amount="10%")


def worst_case(plan: Plan) -> Verification:
    """Long names, many limits, many remarks: as full as the page gets."""
    found = make_verification(plan, verdict="outside")
    long = "Long-named-thing-" * 12
    many = tuple(
        result.model_copy(update={"guardrail": result.guardrail.model_copy(update={"slice": f"{long}{place}"})})
        for place, result in enumerate(found.guardrails * 12)
    )
    return found.model_copy(
        update={
            "model_name": long,
            "machine": found.machine.model_copy(update={"device_name": long}),
            "workload": make_workload().model_copy(update={"name": long}),
            "guardrails": many,
            "projection_errors": found.projection_errors * 4,
            "notes": tuple(Message(id="{name}", values={"name": f"{place} {long * 3}"}) for place in range(12)),
        }
    )


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("full", [False, True])
def test_it_prints_on_one_page(plan: Plan, language: Language, full: bool, tmp_path: Path) -> None:
    found = worst_case(plan) if full else make_verification(plan)
    long = PLAN.model_copy(update={"name": "A plan with a long name " * 6}) if full else plan
    assert pages_of(certificate_html(found, long, language=language, names=Names("A" * 60, "B", "C")), tmp_path) == 1


@pytest.mark.browser
def test_prompts_and_answers_start_on_a_page_of_their_own(plan: Plan, tmp_path: Path) -> None:
    found = make_verification(plan)
    few = found.model_copy(update={"generations": found.generations[:4]})
    assert pages_of(certificate_html(few, plan, language="en", with_texts=True), tmp_path) == 2


def pages_of(text: str, folder: Path) -> int:
    """How many pages a browser prints."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    page, printed = folder / "page.html", folder / "page.pdf"
    page.write_text(text, encoding="utf-8")
    flags: Sequence[str] = ("--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder / 'user'}")
    subprocess.run([program, *flags, f"--print-to-pdf={printed}", page.as_uri()], check=True, capture_output=True, timeout=120)
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", printed.read_bytes()))


# -- the first sentence of the Verify and Plans pages --------------------------------------------------------------------


def said(message: Message) -> tuple[str, str]:
    return render(message, "en"), render(message, "ja")


def test_within_limits_gives_the_figures_and_the_critical_cases(plan: Plan) -> None:
    english, japanese = said(headlines.verify(make_verification(plan)))
    assert english.startswith("Within limits: perplexity 2.1% higher (0.9 to 3.3%), 1.14x as fast on CPU, 2 cores. None of 8 critical")
    assert japanese.startswith(
        "合格：パープレキシティ2.1%増（0.9〜3.3%）、速度はCPU, 2 coresで1.14倍です。重要案件8件で回答の変化はありません。"
    )


def test_outside_limits_names_the_limit_and_what_decided_it(plan: Plan) -> None:
    english, japanese = said(headlines.verify(make_verification(plan, verdict="outside")))
    assert english == "Outside limits: Perplexity +38.0%, limit at most +5%; order entry decided it."
    assert japanese.startswith("不合格：パープレキシティは+38.0%（基準：+5%以下）")


def test_too_little_data_gives_its_own_reason_and_no_run_is_said(plan: Plan) -> None:
    found = make_verification(plan, verdict="undecided")
    english, japanese = said(headlines.verify(found))
    assert english.startswith("Not enough data: Perplexity +4.3% (+3.1% to +5.5%), limit at most +5%. The limit lies inside")
    assert japanese.startswith("判定保留：パープレキシティは+4.3%（+3.1%〜+5.5%、基準：+5%以下）です。")
    assert said(headlines.verify(None))[1].startswith("未検証")
    assert said(headlines.verify(make_verification(plan, verdict=None)))[0].startswith("No limit was set: perplexity 2.1% higher")


def test_more_and_less_are_chosen_by_the_sign(plan: Plan) -> None:
    found = make_verification(plan)
    better = found.quality.model_copy(update={"perplexity_ratio": Estimate(value=0.97, low=0.95, high=1.01)})
    english, japanese = said(headlines.verify(found.model_copy(update={"quality": better})))
    assert "perplexity 3% lower (between 5% lower and 1% higher)" in english
    assert "パープレキシティ3%減（5%減〜1%増）" in japanese


def test_a_model_without_words_speaks_of_likeness(plan: Plan) -> None:
    found = make_verification(plan, objective="state_change")
    scores = found.quality.model_copy(update={"similarity": Estimate(value=0.987, low=0.98, high=0.99)})
    assert "the results are alike to 0.987" in said(headlines.verify(found.model_copy(update={"quality": scores})))[0]


def test_a_projected_plan_says_what_it_is_projected_to_cost() -> None:
    search = make_search()
    measured = plan_from_set(search, search.paths["one_shot"][2])
    projected = plan_from_set(search, [("block", 14), ("attention", 3), ("mlp", 9), ("mlp", 11)])
    english, japanese = said(headlines.plans(projected))
    start = "Skipping layer 14, the attention of layer 3, and the MLP of layers 9 and 11 saves"
    assert re.match(rf"{start} [\d.]+% of compute and is projected to raise perplexity by [\d.]+% \([\d.]+ to [\d.]+\)\.$", english)
    assert re.search(r"演算量は[\d.]+%減り、パープレキシティは[\d.]+%増える予測です（[\d.]+〜[\d.]+%）。$", japanese)
    assert "on the calibration prompts it raised perplexity by" in said(headlines.plans(measured))[0]


def test_a_ruinous_plan_and_a_limit_that_nothing_meets_are_told() -> None:
    search = make_search()
    ruin = search.paths["last_n"][-1]
    ruined = search.model_copy(update={"sets": tuple(_dear(found, ruin) for found in search.sets)})
    english, japanese = said(headlines.plans(plan_from_set(ruined, ruin)))
    assert "makes the model unusable: perplexity is projected to be 403 times as high" in english
    assert "使えなくなります" in japanese
    assert said(headlines.no_plan_within(0.05, 0.112))[0].startswith(
        "No cut of this kind stays within your limit of 5%: the smallest costs 11%."
    )


def _dear(found: Any, ruin: Any) -> Any:
    return found.model_copy(update={"change": 6.0, "loss": 8.4}) if found.removed == ruin else found


def test_a_plan_that_freezes_is_still_a_sentence() -> None:
    frozen = PLAN.model_copy(update={"operations": (Freeze(eof_layer=3),)})
    assert said(headlines.what_goes(frozen))[0] == "Freezing layers 0 to 3"


# -- words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guardrail", "item", "limit"),
    [
        (Guardrail(text="", metric="perplexity", op="<=", value=5, unit="%"), "Perplexity", "at most +5%"),
        (Guardrail(text="", metric="perplexity", slice="mail", op="<=", value=1.08, unit="x"), "Perplexity, slice mail", "at most 1.08x"),
        (
            Guardrail(text="", metric="flips", slice="critical", op="<=", value=10, unit="%"),
            "Changed answers, critical cases",
            "at most 10%",
        ),
        (Guardrail(text="", metric="accuracy", op=">=", value=-2, unit="%"), "Right answers", "at least -2%"),
        (Guardrail(text="", metric="kl", op="<=", value=0.05, unit="abs"), "KL divergence", "at most 0.05"),
        (Guardrail(text="", metric="own_metric", op="<=", value=1, unit="abs"), "own_metric", "at most 1"),
    ],
)
def test_limits_are_said_as_they_are_set(guardrail: Guardrail, item: str, limit: str) -> None:
    assert render(words.item(guardrail), "en") == item
    assert render(words.limit(guardrail), "en") == limit


def test_a_figure_without_an_interval_or_a_value_is_written_plainly() -> None:
    guardrail = Guardrail(text="", metric="perplexity", op="<=", value=5, unit="%")
    result = GuardrailResult(guardrail=guardrail, verdict="undecided", measured=Estimate(value=None), n=0, reason=Message(id="-"))
    assert words.measured(result, "en") == "-"
    assert words.estimate(Estimate(value=4.2), guardrail, "ja") == "+4.2%"
    assert words.estimate(Estimate(value=4.2, low=3.0, high=5.5), guardrail, "ja") == "+4.2% (+3.0%〜+5.5%)"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("weight_bytes", 3 * 2**20, "3.0 MiB"),
        ("prefill_ms", 12.34, "12.3 ms"),
        ("perplexity_ratio", 1.0234, "1.023x"),
        ("parameters", 124e6, "124 M"),
    ],
)
def test_quantities_have_names_and_units(name: str, value: float, said: str) -> None:
    assert words.quantity_value(name, value, "en") == said
    assert render(words.quantity(name), "ja") != render(words.quantity(name), "en")


def test_every_verdict_has_its_word() -> None:
    assert {render(words.verdict(verdict), "ja") for verdict in VERDICTS} == {
        "合格（基準内）",
        "不合格（基準外）",
        "判定保留（データ不足）",
        "基準なし",
    }
    assert set(VERDICT_WORDS) == set(VERDICTS)
