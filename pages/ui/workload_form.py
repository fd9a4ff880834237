"""The choices of the Workload page: which model, which prompts, how. What they amount to is one `ProfileRequest`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from analysis.contracts import ProfileRequest, ProfileSettings
from analysis.errors import WorkloadError
from analysis.i18n import N_
from analysis.i18n.numbers import size
from analysis.models.source import parse_source
from pages.ui.glossary import term
from pages.ui.language import language, plain, words
from pages.ui.session import client

FILE_TYPES = ("jsonl", "ndjson", "json", "csv", "tsv", "xlsx", "parquet", "txt")
MODELS = {"sample": N_("Sample model"), "other": N_("Another model …")}
WORKLOADS = {"sample": N_("Sample workload"), "upload": N_("Files from this computer"), "path": N_("Files on the server")}
SLICINGS = {"given": N_("as the file says"), "language": N_("by language"), "length": N_("by length"), "none": N_("no slices")}
DTYPES = {"auto": N_("automatic"), "float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


def choose() -> ProfileRequest | None:
    """Draws the choices and returns what they ask for; None while something is still to be named.

    Raises:
        StrataError: what was typed or uploaded cannot be used; the sentence says why.
    """
    left, right = st.columns(2, gap="medium")
    with left:
        source_text = _model_field()
    with right:
        kind, paths = prompts_field()
    slicing, mask, mapping = _own_files_fields() if kind != "sample" else ("given", False, "")
    settings, name = _settings()
    if not source_text or (kind != "sample" and not paths):
        return None
    return ProfileRequest.model_validate(
        {
            "model": parse_source(source_text),
            "workload_paths": tuple(str(path) for path in paths),
            "mapping": read_mapping(mapping),
            "slicing": slicing,
            "mask_personal_data": mask,
            "settings": settings,
            "name": name or None,
        }
    )


def read_mapping(text: str) -> dict[str, str]:
    """Column names as people write them: ``prompt=text, response=answer``.

    Raises:
        WorkloadError: a part has no equals sign or an empty side.

    >>> read_mapping("prompt=text, response = answer")
    {'prompt': 'text', 'response': 'answer'}
    """
    pairs = [part.partition("=") for part in text.replace("、", ",").split(",") if part.strip()]
    for field, sign, column in pairs:
        if not (sign and field.strip() and column.strip()):
            raise WorkloadError(
                'The columns were given as "{text}". Write field=column, separated by commas, such as prompt=text, response=answer.',
                text=text,
            )
    return {field.strip(): column.strip() for field, _, column in pairs}


def _model_field() -> str:
    t = words()
    kind = st.selectbox(t("Model"), list(MODELS), format_func=lambda kind: t(MODELS[kind]), key="model_kind", persist_state="session")
    if kind == "sample":
        return "sample"
    return (
        st.text_input(
            t("Name or path of the model"),
            key="model_text",
            persist_state="session",
            max_chars=1000,
            placeholder="owner/name",
            help=t(
                "One of: a hub id (owner/name, or owner/name@revision); a folder with config.json and safetensors files; "
                "a .gguf file; a folder with a LoRA adapter. Paths are those of the server. Code that comes with a model is never run."
            ),
        )
        or ""
    ).strip()


def prompts_field(*, key: str = "workload") -> tuple[str, Sequence[Path]]:
    """Which prompts: the sample, uploads, or files on the server; returns the kind and the files."""
    t = words()
    kind = st.selectbox(
        t("Prompts"),
        list(WORKLOADS),
        format_func=lambda kind: t(WORKLOADS[kind]),
        key=f"{key}_kind",
        persist_state="session",
        help=term("workload"),
    )
    if kind == "upload":
        files = st.file_uploader(
            t("Your files: JSON Lines, JSON, CSV, TSV, Excel, Parquet or plain text"),
            type=list(FILE_TYPES),
            accept_multiple_files=True,
            key=f"{key}_files",
        )
        return kind, [_saved(file) for file in files or ()]
    if kind == "path":
        text = st.text_area(t("Paths on the server, one a line"), key=f"{key}_paths", persist_state="session", max_chars=10_000, height=68)
        return kind, [Path(os.path.expanduser(line.strip())) for line in (text or "").splitlines() if line.strip()]
    return "sample", ()


def _saved(file: Any) -> Path:
    """Where an upload was put; each file is written once a visit."""
    saved: dict[str, Path] = st.session_state.setdefault("saved_uploads", {})
    if file.file_id not in saved:
        saved[file.file_id] = client().save_upload(file.name, file.getvalue())
    return saved[file.file_id]


def _own_files_fields() -> tuple[str, bool, str]:
    t = words()
    first, second, third = st.columns([2, 3, 2], gap="medium", vertical_alignment="bottom")
    slicing = first.selectbox(
        t("Slices"), list(SLICINGS), format_func=lambda kind: t(SLICINGS[kind]), key="slicing", persist_state="session", help=term("slice")
    )
    mapping = second.text_input(
        t("Columns, if your file names them otherwise"),
        key="mapping",
        persist_state="session",
        placeholder="prompt=text, response=answer",
        max_chars=500,
        help=t(
            "Fields: prompt, messages, system, response, choices, answer, slice, weight, critical, requests_per_month. "
            "Columns are never guessed."
        ),
    )
    mask = third.checkbox(
        t("Mask personal data"),
        key="mask",
        persist_state="session",
        help=t("Mail addresses and telephone numbers are replaced before anything is run."),
    )
    return slicing or "given", mask, mapping or ""


def _settings() -> tuple[ProfileSettings, str]:
    t = words()
    with st.expander(t("Settings"), icon=":material/tune:"):
        a, b, c = st.columns(3, gap="medium")
        with a:
            device = device_field()
        dtype = b.selectbox(t("Precision"), list(DTYPES), format_func=lambda name: t(DTYPES[name]), key="dtype", persist_state="session")
        max_tokens = c.number_input(
            t("Longest prompt (tokens)"),
            min_value=8,
            max_value=131_072,
            value=1024,
            step=64,
            key="max_tokens",
            persist_state="session",
            help=t("Longer ones are cut at the end; how many is counted and shown."),
        )
        a, b, c = st.columns(3, gap="medium", vertical_alignment="bottom")
        name = a.text_input(
            t("Name of the run"), key="run_name", persist_state="session", max_chars=120, placeholder=t("made from model and prompts")
        )
        template = b.checkbox(
            t("Use the model's chat template"),
            value=True,
            key="chat_template",
            persist_state="session",
            help=t("The frame that a chat model expects around a prompt. Its tokens are counted apart."),
        )
        slices = c.multiselect(
            t("Only these slices"),
            st.session_state.get("known_slices", []),
            key="only_slices",
            persist_state="session",
            placeholder=t("all"),
            help=term("slice"),
        )
        _models_in_memory()
    return ProfileSettings.model_validate(
        {
            "device": device or "auto",
            "dtype": dtype or "auto",
            "max_tokens": int(max_tokens or 1024),
            "chat_template": template,
            "slices": tuple(slices),
        }
    ), (name or "").strip()


def device_field(*, key: str = "device") -> str:
    """Where it runs."""
    t = words()
    devices = {"auto": t("automatic"), **{device.id: f"{device.id} ({device.name})" for device in client().devices()}}
    chosen = st.selectbox(t("Device"), list(devices), format_func=lambda name: devices.get(name, name), key=key, persist_state="session")
    return chosen or "auto"


def _models_in_memory() -> None:
    """Which models the workers hold, and the way to have their memory back."""
    t = words()
    for worker in client().workers():
        if worker.model is None:
            continue
        held = t("{model} is in the memory of {device}.", model=plain(worker.model), device=plain(worker.device))
        if worker.memory_bytes:
            held += " " + t("It takes {size}.", size=size(worker.memory_bytes, language()))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(held, width="content")
            freeing = t("The next run on this device loads its model again.")
            st.button(t("Free the memory"), key=f"unload_{worker.id}", on_click=client().unload, args=(worker.device,), help=freeing)
