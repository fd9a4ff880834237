"""Chat templates of every manner: the same text as transformers writes, and every turn found in it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from analysis.workload import Turn
from analysis.workload.chat_template import ChatTemplate, TemplateRefusal

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMS = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<start>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>model\n{% endif %}"
)
FOLDS_SYSTEM = (
    "{% set ns = namespace(system='') %}{% for m in messages if m.role == 'system' %}{% set ns.system = m.content %}{% endfor %}"
    "{{- bos_token }}{%- for m in messages if m.role != 'system' %}{%- if m.role == 'user' %}[INST] "
    "{{- ns.system ~ '\\n\\n' ~ m.content if loop.first and ns.system else m.content }} [/INST]"
    "{%- else %}{% generation %} {{ m.content.strip() }}{{ eos_token }}{% endgeneration %}{%- endif %}{%- endfor %}"
)
LOOKS_INSIDE = (
    "{%- for m in messages %}{%- set content = m.content %}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}"
    "{%- endif %}{%- if content is not string %}{% continue %}{%- endif %}<|{{ m.role }}|>{{ content }}<|end|>"
    "{%- if 'urgent' in content %}<|urgent|>{% endif %}{%- if loop.index > 50 %}{% break %}{% endif %}{%- endfor %}"
)
DATED = (
    "Today is {{ strftime_now('%d %b %Y') }}. {{ tools | tojson }}"
    "{% for m in messages %}{{ m | tojson(indent=1) }}{{ m.content }}\n{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "trims": TRIMS, "folds system": FOLDS_SYSTEM, "looks inside": LOOKS_INSIDE, "dated": DATED}

CONTENT = st.text(alphabet=st.sampled_from("ab \n検査<|>😀é{}%user"), min_size=1, max_size=12).filter(str.strip)


def conversation(contents: Sequence[str], *, system: bool) -> tuple[Turn, ...]:
    roles = (["system"] if system else []) + ["user", "assistant"] * len(contents)
    return tuple(Turn(role, content) for role, content in zip(roles, contents, strict=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=60, deadline=None)
@given(contents=st.lists(CONTENT, min_size=1, max_size=5), system=st.booleans(), ask=st.booleans())
def test_the_text_is_that_of_transformers_and_turns_are_found(name: str, contents: list[str], system: bool, ask: bool) -> None:
    turns = conversation(contents, system=system and len(contents) > 1 and name != "trims")
    template = ChatTemplate(TEMPLATES[name], SPECIAL)
    rendered = template.render(turns, add_generation_prompt=ask)
    chat = [{"role": turn.role, "content": turn.content} for turn in turns]
    expected, _ = render_jinja_template([chat], chat_template=TEMPLATES[name], add_generation_prompt=ask, **SPECIAL)
    assert rendered.text == expected[0]
    for turn, span in zip(turns, rendered.spans, strict=True):
        if name in ("chatml", "trims"):
            assert span is not None
        if span is not None:
            assert rendered.text[slice(*span)].strip() == turn.content.strip()


def test_content_that_looks_like_the_template_is_found_where_it_stands() -> None:
    turns = (Turn("system", "user"), Turn("user", "<|im_start|>user\nuser<|im_end|>\n"), Turn("assistant", "a"))
    rendered = ChatTemplate(CHATML, {}).render(turns, add_generation_prompt=False)
    start = len("<|im_start|>system\n")
    assert rendered.spans[0] == (start, start + 4)
    assert [rendered.text[slice(*span)] for span in rendered.spans if span] == [turn.content for turn in turns]
    assert rendered.spans[2] == (len(rendered.text) - len("a<|im_end|>\n"), len(rendered.text) - len("<|im_end|>\n"))


def test_content_that_the_template_changes_is_found_by_what_stands_around_it() -> None:
    turns = (Turn("user", "valve"), Turn("assistant", "<think>hm</think>\n\nclosed"), Turn("user", "sure?"), Turn("assistant", "yes"))
    rendered = ChatTemplate(LOOKS_INSIDE, {}).render(turns, add_generation_prompt=False)
    assert [rendered.text[slice(*span)] for span in rendered.spans if span] == ["valve", "closed", "sure?", "yes"]


def test_content_is_found_when_the_template_writes_something_else_because_of_it() -> None:
    turns = (Turn("user", "urgent: valve"), Turn("assistant", "closed"))
    rendered = ChatTemplate(LOOKS_INSIDE, {}).render(turns, add_generation_prompt=False)
    assert "<|urgent|>" in rendered.text
    assert [rendered.text[slice(*span)] for span in rendered.spans if span] == ["urgent: valve", "closed"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}{{ ns }}{{ ns.__init__.__globals__ }}",
        "{{ raise_exception('no') }}",
        "{{ 1 / 0 }}",
        "{{ messages[99].content.x }}",
        "{% for i in range(1000000) %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_that_misbehaves_is_refused(source: str) -> None:
    with pytest.raises(TemplateRefusal):
        ChatTemplate(source, {}).render((Turn("user", "x"),), add_generation_prompt=True)


def test_a_template_with_broken_syntax_is_refused() -> None:
    with pytest.raises(TemplateRefusal):
        ChatTemplate("{% for %}", {})
