"""Every sentence that a bundled document carries can be said in Japanese: sentences change, documents are made seldom."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.contracts import Message
from analysis.i18n import render

ROOT = Path(__file__).parents[2] / "sample_data"
DOCUMENTS = sorted(ROOT.rglob("*.json.gz"))


def sentences(value: object) -> Iterator[Message]:
    if isinstance(value, dict):
        if value.keys() == {"id", "values"}:
            yield Message.model_validate(value)
        for part in value.values():
            yield from sentences(part)
    elif isinstance(value, list):
        for part in value:
            yield from sentences(part)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_bundled_document_says_has_a_japanese_form(document: Path) -> None:
    said = list(sentences(json.loads(gzip.decompress(document.read_bytes()))))
    assert not [one.id for one in said if render(one, "ja") == render(one, "en")]
