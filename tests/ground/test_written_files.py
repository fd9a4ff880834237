"""What is written is there whole or not at all, can be read like any other file, and never takes a device's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.errors import ResourceError
from analysis.home import write_atomically


def test_a_written_file_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "deep" / "profile.json", b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "deep" / "profile.json").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["profile.json"]


def test_what_is_no_plain_file_is_written_to_and_stays(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    link = tmp_path / "out"
    link.symlink_to(f"/dev/fd/{writer}")
    write_atomically(link, b"{}")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"{}"
    assert link.is_symlink()


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(b"old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_atomically(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"new"


def test_a_refused_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "plan.json").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="is full"):
        write_atomically(tmp_path / "plan.json", b"new")
    assert (tmp_path / "plan.json").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_storage_folder_that_cannot_be_one_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "home" / "profile.json", b"{}")
