"""Likely personal data in prompts: mail addresses and telephone numbers (international, Japanese, North American)."""

from __future__ import annotations

import re
from dataclasses import replace

from analysis.workload.example import Example, Turn

MAIL_MARK = "[mail]"
PHONE_MARK = "[phone]"

# Letters of other scripts may touch an address or number (電話03-...まで), so the borders are ASCII.
_MAIL = re.compile(
    r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9_+-]{1,64}(?:\.[A-Za-z0-9_+-]{1,64}){0,8}[@＠]"
    r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.[A-Za-z]{2,24}(?![A-Za-z0-9_-])"
)
_DIGIT = re.compile(r"[0-9０-９]")
_D = r"[0-9０-９]"
_GAP = r"[-‐‑–−ー－ .　]"
_PHONE = re.compile(
    rf"(?<![A-Za-z0-9_０-９+＋-])(?:"
    rf"[+＋]{_D}{{1,3}}(?:{_GAP}?[(（]?{_D}{{1,4}}[)）]?){{2,5}}"  # +81 90-1234-5678, +49 (0)89 1234567
    rf"|[(（][0０]{_D}{{1,4}}[)）]{_GAP}?{_D}{{1,4}}{_GAP}{_D}{{4}}"  # (03) 1234-5678
    rf"|[0０]{_D}{{1,4}}[-‐‑–−ー－(（]{_D}{{1,4}}[-‐‑–−ー－)）]{_D}{{3,4}}"  # 03-1234-5678, 0120-123-456
    rf"|[0０][5789５７８９][0０]{_D}{{8}}"  # 09012345678
    rf"|[(（]{_D}{{3}}[)）] ?{_D}{{3}}[-. ]{_D}{{4}}"  # (555) 123-4567
    rf")(?![A-Za-z0-9_０-９-])"
)
_MIN_DIGITS, _MAX_DIGITS = 9, 15


def mask(text: str) -> str:
    """The text with likely mail addresses and telephone numbers replaced by [mail] and [phone]."""
    return _PHONE.sub(_masked_phone, _MAIL.sub(MAIL_MARK, text)) if _worth_looking(text) else text


def _worth_looking(text: str) -> bool:
    return "@" in text or "＠" in text or len(_DIGIT.findall(text)) >= _MIN_DIGITS


def _masked_phone(match: re.Match[str]) -> str:
    digits = len(_DIGIT.findall(match[0]))
    return PHONE_MARK if _MIN_DIGITS <= digits <= _MAX_DIGITS else match[0]


def masked(example: Example) -> Example:
    """The example without likely personal data; the same object when there is none."""
    turns = tuple(Turn(turn.role, mask(turn.content)) for turn in example.turns)
    response = None if example.response is None else mask(example.response)
    choices = tuple(mask(choice) for choice in example.choices)
    if len(set(choices)) != len(choices):  # choices that differ only in what is masked would become one
        choices = example.choices
    answer = choices[example.choices.index(example.answer)] if example.answer is not None else None
    changed = replace(example, turns=turns, response=response, choices=choices, answer=answer)
    return example if changed == example else changed
