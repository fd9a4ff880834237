"""Text files in the encodings that offices use, and those that are refused instead of being read as garbage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import WorkloadError
from analysis.workload import read_workload
from analysis.workload.decoding import decode

JAPANESE = "prompt,slice\n検査記録を要約してください。,検査\nﾊﾞﾙﾌﾞ①の漏れ～確認,保全\n"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("cp932", "cp932")],
)
def test_japanese_is_read_and_the_encoding_named(tmp_path: Path, encoding: str, named: str) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(JAPANESE.encode(encoding))
    workload = read_workload([path])
    assert workload.info.files[0].encoding == named
    assert {e.prompt for e in workload.examples} == {"検査記録を要約してください。", "ﾊﾞﾙﾌﾞ①の漏れ～確認"}
    assert any(note.values.get("encoding") == named for note in workload.info.notes) == (named in ("cp932", "utf-16"))


def test_big_endian_utf_16_with_a_mark_is_read() -> None:
    assert decode(b"\xfe\xff" + JAPANESE.encode("utf-16-be"), "w.csv") == (JAPANESE, "utf-16")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Der Prüfer weiß es.\nGrüße für Müller: 5 µm, Größe", "latin-1"),
        ("Le résultat est sûr.\nDéjà vérifié, procédé répété", "latin-1"),
        ("don\u2019t \u201cquote\u201d", "cp1252"),
        ("検査記録を要約してください。", "euc-jp"),
        ("请总结检查记录。", "gbk"),
        ("검사 기록을 요약하세요.", "cp949"),
        ("Проверьте клапан номер три", "koi8-r"),
        ("検査", "utf-32"),
    ],
)
def test_other_encodings_are_refused_with_a_line(text: str, encoding: str) -> None:
    with pytest.raises(WorkloadError, match=r"File w\.txt, line \d: (the text is not readable|this is not text)"):
        decode(text.encode(encoding), "w.txt")


def test_the_line_of_the_first_bad_byte_is_named() -> None:
    with pytest.raises(WorkloadError, match="line 3"):
        decode(b"one\ntwo\nthr\xffee\n", "w.txt")
    with pytest.raises(WorkloadError, match="line 2"):
        decode("one\ntwo".encode("utf-16") + b"\x00\xd8", "w.txt")


def test_utf_16_without_a_mark_is_refused() -> None:
    with pytest.raises(WorkloadError, match="NUL"):
        decode("prompt\nabc".encode("utf-16-le"), "w.txt")


@given(
    st.text(st.characters(codec="cp932", exclude_characters="\0¢£¬‖−〜"), min_size=1).map(
        lambda text: text + "の検査結果をまとめてください。" * (1 + len(text) // 8)
    )
)
def test_japanese_business_text_survives_shift_jis(text: str) -> None:
    data = text.encode("cp932")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        assert decode(data, "w.txt") == (data.decode("cp932"), "cp932")
