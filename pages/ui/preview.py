"""What would run, before it runs: counted once for each request, said in words."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from analysis.contracts import Job, ProfileRequest, WorkloadPreview, content_hash
from analysis.errors import StrataError
from analysis.i18n import N_
from analysis.i18n.numbers import duration, size
from analysis.models.card import read_card
from analysis.models.estimate import estimate_memory
from analysis.reporting import headlines
from analysis.reporting.charts.small import length_histogram, slice_bars
from pages.ui.charts import draw, look
from pages.ui.evidence import badge
from pages.ui.jobs import watch
from pages.ui.language import language, plain, say, words
from pages.ui.session import client, profile
from pages.ui.similarity_view import slice_title


def preview_of(request: ProfileRequest) -> WorkloadPreview | None:
    """The preview, counted once for each request and state of its files; None while the model is still being described.

    Raises:
        StrataError: the workload or the model cannot be used; the sentence says why.
    """
    key = content_hash(request, [_stamp(path) for path in request.workload_paths])
    known = st.session_state.get("preview")
    if not known or known[0] != key:
        try:
            known = (key, client().preview(request))
        except StrataError as error:
            known = (key, error)
        st.session_state.preview = known
    found = known[1]
    if isinstance(found, StrataError):
        raise found
    return _described(found) if isinstance(found, Job) else found


def _described(job: Job) -> WorkloadPreview | None:
    """Watches the job that reads the model's description; once it is done, the preview can be counted."""
    over = watch(job.id)
    if over and over.state == "done":
        del st.session_state.preview
        st.rerun()
    if over:
        del st.session_state.preview
        raise (
            StrataError.from_message(over.error)
            if over.error
            else StrataError("Reading the model's description was stopped. Choose the model again to retry.")
        )
    return None


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def remarks(preview: WorkloadPreview) -> list[str]:
    """What will be cut, left out, or should be known before the run; each a sentence."""
    t, counts, workload = words(), preview.counts, preview.workload
    found = [
        (counts.n_truncated_examples, N_("Prompts longer than the limit: {n}. {tokens} tokens at their ends are cut.")),
        (counts.n_empty, N_("Prompts left out because none of their tokens would count: {n}.")),
        (counts.n_template, N_("Tokens of the chat template, run and counted but left out of the default scores: {n}.")),
        (workload.n_duplicates, N_("Prompts that stand there twice: {n}.")),
        (
            0 if workload.masked else workload.n_personal_data,
            N_("Prompts that seem to hold a mail address or telephone number: {n}. Masking is offered above."),
        ),
        (workload.n_personal_data if workload.masked else 0, N_("Prompts whose mail addresses or telephone numbers are masked: {n}.")),
        (workload.n_verification, N_("Prompts kept back for verification, not run here: {n}.")),
    ]
    said = [t(sentence, n=count, tokens=counts.n_truncated_tokens) for count, sentence in found if count]
    return said + [say(note) for note in workload.notes]


def time_estimate(request: ProfileRequest, preview: WorkloadPreview) -> tuple[str | None, str]:
    """Expected duration from the newest run of the same kind of model on this machine (None before the first), and the device in words."""
    wanted, card = request.settings.device, read_card(request.model)
    for run in client().runs():
        if card is None or run.model_name != card.info.name:
            continue
        timing = profile(run.id).timing
        if wanted in ("auto", timing.device) and timing.tokens_per_second:
            return duration(timing.load_seconds + preview.counts.n_tokens / timing.tokens_per_second, language()), timing.device_name
    return None, words()("this machine") if wanted == "auto" else wanted


def memory_estimate(request: ProfileRequest) -> str | None:
    """Memory the run should need, from the model's headers; None while the model is not described yet."""
    card = read_card(request.model)
    return size(estimate_memory(card.info, request.settings).total_bytes, language()) if card else None


def finding(request: ProfileRequest | None, preview: WorkloadPreview | None, problem: StrataError | None) -> str:
    """The page's answer: what would run and how long it takes; or what is missing."""
    t = words()
    if problem:
        return t("These prompts or this model cannot be used yet; the reason stands below.")
    if request is None:
        return t("Choose a model and the prompts that stand for its work.")
    if preview is None:
        return t("The model's description is being read; the job below shows how far it is.")
    eta, device = time_estimate(request, preview)
    return say(headlines.workload(preview, eta=eta, device=device))


def show_estimates(request: ProfileRequest, preview: WorkloadPreview) -> None:
    """Time and memory, and where each comes from."""
    t = words()
    eta, device = time_estimate(request, preview)
    memory = memory_estimate(request)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        badge("projected")
        known = (
            t("about {eta} on {device}, from the speed of the last run", eta=eta, device=plain(device))
            if eta
            else t("duration: not known before the first run")
        )
        st.caption(
            f"{known}  ·  " + (t("memory: about {size}", size=memory) if memory else t("memory: not known before the model was read"))
        )


def show_preview(request: ProfileRequest, preview: WorkloadPreview) -> None:
    """Lengths, slices, what is cut or left out, and three example rows."""
    t, shown, of = words(), look(), content_hash(preview, request.settings.max_tokens)
    st.session_state.known_slices = [part.name for part in preview.workload.slices]
    left, right = st.columns(2, gap="medium")
    with left:
        build = partial(length_histogram, preview.lengths, shown, max_tokens=request.settings.max_tokens)
        draw(build, of=(of,), key="lengths", alt=t("Histogram of the prompts' lengths in tokens"))
        st.markdown("\n".join(f"- {remark}" for remark in remarks(preview)))
    with right:
        thin = [part.name for part in preview.workload.slices if not part.verifiable]
        names = {part.name: slice_title(part.name) for part in preview.workload.slices}
        build = partial(slice_bars, preview.slice_tokens, shown, names=names, marked=thin)
        draw(build, of=(of,), key="slices", alt=t("Bars: tokens of each slice"))
    if preview.examples:
        st.header(t("Some of the prompts"), anchor=False)
        st.dataframe(example_rows(preview), hide_index=True, alt=t("Example rows of the workload"))


def example_rows(preview: WorkloadPreview) -> list[dict[str, str]]:
    """The example rows with their heads in the language spoken; a column that none of them fills is left out."""
    t = words()
    heads = {"slice": t("slice"), "prompt": t("prompt"), "response": t("response")}
    filled = {name for row in preview.examples for name, text in row.items() if text}
    return [
        {heads.get(name, name): slice_title(text) if name == "slice" else text for name, text in row.items() if name in filled}
        for row in preview.examples
    ]
