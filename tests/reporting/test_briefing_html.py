"""The briefing's page: one A4 sheet and its back, its length, its language, and names that would break it."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import BusinessCase, Message, Standing
from analysis.economics.stages import default_rollout
from analysis.i18n import LANGUAGES, Language
from analysis.reporting import briefing_style, certificate_style
from analysis.reporting.briefing import make_briefing, render_html
from tests.business_builders import make_assumptions, make_case, make_evidence, make_rollout

STANDINGS: tuple[Standing, ...] = ("measured", "undecided", "rough", "outside")
MOST_WORDS, MOST_CHARACTERS = 350, 900
HOSTILE = "<script>alert(1)</script>\"'&\u0000\u202e\n" + "長" * 400


class Reader(html.parser.HTMLParser):
    """Tags of a page, its text, and the running text of its first sheet: the drawing and the table of figures stand beside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.first: list[str] = []
        self._inside = self._aside = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside += tag == "main"
        self._aside += tag == "svg" or (tag == "table" and (self._aside > 0 or ("class", "figures") in attrs))

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "main"
        self._aside -= tag in ("svg", "table") and self._aside > 0

    def handle_data(self, data: str) -> None:
        self.said.append(data)
        if self._inside and not self._aside:
            self.first.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)

    @property
    def words(self) -> int:
        return sum(bool(re.search(r"\w", word)) for word in " ".join(self.first).split())

    @property
    def characters(self) -> int:
        return len(re.sub(r"\s", "", "".join(self.first)))


def page(case: BusinessCase, language: Language = "en", **more: Any) -> Reader:
    return Reader(render_html(make_briefing(case, language, **more)))


def staged(kind: Any, standing: Standing, language: Language) -> BusinessCase:
    """A case with the stages that are proposed to begin with, in the words of the language."""
    evidence, assumptions = make_evidence(kind, standing), make_assumptions(kind)
    rollout = default_rollout(evidence, assumptions, today=date(2026, 11, 22), language=language)
    return make_case(kind, standing, evidence=evidence).model_copy(update={"rollout": rollout})


@pytest.mark.parametrize("proposed", [True, False])
@pytest.mark.parametrize("kind", ["training", "serving"])
@pytest.mark.parametrize("standing", STANDINGS)
def test_the_first_page_keeps_its_length(kind: Any, standing: Standing, proposed: bool) -> None:
    case = {language: staged(kind, standing, language) if proposed else make_case(kind, standing) for language in LANGUAGES}
    assert 150 < page(case["en"], "en", author="A. Sato").words <= MOST_WORDS
    assert 300 < page(case["ja"], "ja", author="佐藤 明").characters <= MOST_CHARACTERS


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("standing", STANDINGS)
def test_it_stands_alone_in_its_language(language: Language, standing: Standing) -> None:
    text = render_html(make_briefing(make_case(standing=standing), language, author="A. Sato"))
    found = Reader(text)
    assert ("html", {"lang": language}) in found.tags
    assert {"script", "link", "img", "iframe", "form"}.isdisjoint(tag for tag, _ in found.tags)
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"https?:|@import|url\((?!#)", without_names)
    assert len(text.encode()) < 1_000_000
    assert "line-break:strict" in text
    assert "word-break:auto-phrase" in text
    assert "Noto Sans CJK JP" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_on_the_first_page_is_ten_and_a_half_points_or_larger(language: Language) -> None:
    text = render_html(make_briefing(make_case(), language))
    style = text[text.index("<style>") : text.index("</style>")]
    sizes = [(rule, float(size)) for rule, size in re.findall(r"([^{}]+)\{[^{}]*font-size:([\d.]+)pt", style)]
    assert sizes
    assert all(size >= 10.5 for rule, size in sizes if ".over" not in rule)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("standing", ["undecided", "rough", "outside"])
def test_the_banner_is_printed_above_the_first_part(language: Language, standing: Standing) -> None:
    made = make_briefing(make_case(standing=standing), language)
    text = render_html(made)
    assert made.banner is not None
    assert text.index('class="banner"') < text.index('class="short"')
    assert made.banner in Reader(text).text


def test_a_case_that_is_carried_has_no_banner() -> None:
    assert 'class="banner"' not in render_html(make_briefing(make_case(), "en"))


def test_the_boxes_to_sign_are_in_the_japanese_head_and_typed_names_are_marked() -> None:
    text = page(make_case(), "ja", author="佐藤", signed=("伊藤", "", "")).text
    assert [word for word in ("起案", "審査", "決裁") if word in text] == ["起案", "審査", "決裁"]
    assert text.count("本人確認なし") >= 2
    assert "Drafted" not in page(make_case(), "en").text


def test_names_that_would_break_the_page_are_shown_as_text_and_cut() -> None:
    rollout = make_rollout(roles={"owner": HOSTILE}, decision_on=HOSTILE)
    first = rollout.stages[0].model_copy(update={"slices": (HOSTILE, "b"), "stop_rule": HOSTILE, "exit": (HOSTILE,), "owner": HOSTILE})
    evidence = make_evidence(
        model_name=HOSTILE, device_name=HOSTILE, workload_name=HOSTILE, words=Message(id="{name}", values={"name": HOSTILE})
    )
    case = make_case(evidence=evidence).model_copy(update={"rollout": rollout.model_copy(update={"stages": (first,)})})
    for language in LANGUAGES:
        made = make_briefing(case, language, author=HOSTILE, signed=(HOSTILE, HOSTILE, HOSTILE), with_texts=True)
        text = render_html(made)
        assert "<script" not in text
        assert "\u202e" not in text
        assert "長" * 130 not in text
        assert "\u0000" not in made.ringi
        assert "長" * 130 not in made.ringi
        assert len(made.ringi.splitlines()) <= 18, "a name cannot add a line"


def test_sentences_keep_their_numbers_where_some_are_left_out() -> None:
    found = page(make_case(standing="outside"))
    numbers = [attrs.get("value") for tag, attrs in found.tags if tag == "li" and "value" in attrs]
    assert numbers == ["2", "8"] or numbers == ["1", "2", "8"]
    assert "Sentences left out" in found.text


def test_an_alternative_that_nobody_measured_says_so() -> None:
    found = page(make_case(), "ja")
    assert "量子化のみ" in found.text
    assert "未確認" in found.text


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("standing", STANDINGS)
def test_the_first_sheet_is_one_page_when_printed(tmp_path: Path, language: Language, standing: Standing) -> None:
    browser, info = shutil.which("chromium"), shutil.which("pdftotext")
    if browser is None or info is None:
        pytest.skip("needs chromium and pdftotext")
    source, printed = tmp_path / "page.html", tmp_path / "page.pdf"
    source.write_text(render_html(make_briefing(staged("training", standing, language), language, author="A. Sato")), encoding="utf-8")
    flags = ["--no-sandbox", "--disable-gpu", "--headless", "--no-first-run", "--disable-background-networking", "--no-pdf-header-footer"]
    subprocess.run(
        [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={printed}", source.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    second = subprocess.run([info, "-f", "2", "-l", "2", str(printed), "-"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert second.lstrip().startswith({"en": "Sentences for the meeting", "ja": "会議での説明"}[language])


@pytest.mark.parametrize("css", [briefing_style.CSS, certificate_style.CSS])
def test_frames_keep_their_right_side_on_a_printers_a4(css: str) -> None:
    margins = [float(side) for side in re.findall(r"@page\{size:A4;margin:[\d.]+mm ([\d.]+)mm\}", css)]
    widths = [float(width) for width in re.findall(r"max-width:(1\d\d)mm", css)]
    a4_in_whole_points = 594.96 / 72 * 25.4
    assert len(margins) == 1
    assert widths
    assert max(widths) + 0.5 < a4_in_whole_points - 2 * margins[0]
