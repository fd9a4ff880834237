"""Taking a plan away: as a file for another tool, or as a model folder that is proved to be the same model."""

from __future__ import annotations

from typing import cast

import streamlit as st

from analysis.contracts import ExportFormat, ExportReport, ExportRequest, ModelInfo, Plan
from analysis.i18n import render
from analysis.i18n.numbers import amount, number, size
from analysis.planning import plan_to_json
from analysis.reporting.exports import Export, exports_for, in_words, refusal
from pages.ui.evidence import Rows, table
from pages.ui.job_box import running, watched
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, remember

PATH_LIMIT = 1000
_PLAN_FILE = "plan.json"
_LANGUAGES = {"yml": "yaml", "yaml": "yaml", "py": "python", "json": "json"}


def export_box(plan: Plan, info: ModelInfo | None, *, primary: bool = False) -> None:
    """Every form in which the plan can be taken away; what a tool cannot express is refused there in words.

    Args:
        plan: what is taken away.
        info: its model, where a stored run tells of it.
        primary: whether the export is the page's next step.
    """
    t = words()
    offered = {export.format: export for export in exports_for(plan)}
    titles: dict[str, str] = {name: t(export.title) for name, export in offered.items()}
    titles[_PLAN_FILE] = _PLAN_FILE
    key = "export_form" if plan.eof_layer is None else "export_form_freeze"
    chosen = st.radio(t("Form"), list(titles), format_func=lambda name: titles[name], horizontal=True, key=key)
    if chosen == _PLAN_FILE:
        st.caption(t("The plan as this project's pages and terminal read it, with its evidence."))
        _plan_file(plan)
    else:
        _form(offered[cast(ExportFormat, chosen or next(iter(offered)))], plan, info, primary)
    _watch_export(plan)


def _form(export: Export, plan: Plan, info: ModelInfo | None, primary: bool) -> None:
    st.caption(words()(export.meaning))
    if export.write is None:
        _folder(plan, info, primary)
    elif no := refusal(plan, export.format):
        st.info(say(no), icon=":material/block:")
    else:
        _text(render(in_words(plan), language()) if export.format == "words" else export.write(plan), export)


def _plan_file(plan: Plan) -> None:
    st.download_button(
        words()("Download plan.json"),
        data=lambda: plan_to_json(plan).encode(),
        file_name=_PLAN_FILE,
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="export_plan_json",
    )


def _watch_export(plan: Plan) -> None:
    """The export that this visit started, while it runs and when it failed; then what this plan's newest export wrote."""
    over = watched("export_job")
    if over is not None:
        for note in over.notes:
            st.caption(say(note))
        st.rerun()
    for _, report in client().exports(plan.id)[:1]:
        _report(report)


def _text(text: str, export: Export) -> None:
    t = words()
    kind = _LANGUAGES.get(export.file_name.rpartition(".")[2])
    st.code(text, language=kind, height=260 if text.count("\n") > 12 else "content", wrap_lines=export.format == "words")
    st.download_button(
        t("Download {file}", file=export.file_name),
        data=text.encode(),
        file_name=export.file_name,
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
        key=f"export_{export.format}",
    )


def _folder(plan: Plan, info: ModelInfo | None, primary: bool) -> None:
    t = words()
    folder = st.text_input(
        t("Folder on the server"), value=str(client().export_folder(plan)), key=f"export_folder_{plan.id}", max_chars=PATH_LIMIT
    )
    zeroed = _zeroed(plan)
    replace = st.checkbox(t("Replace an earlier export in this folder"), key="export_replace")
    pressed = st.button(
        t("Export the model folder"),
        type="primary" if primary else "secondary",
        icon=":material/drive_folder_upload:",
        key="export_folder",
        disabled=zeroed is None or running("export_job"),
    )
    if pressed:
        with saying_errors():
            request = ExportRequest(
                plan=plan,
                model=info.source if info and info.commit == plan.model.commit else plan.model.source,
                folder=(folder or "").strip(),
                zeroed=bool(zeroed),
                overwrite=replace,
            )
            remember("export_job", client().submit_export(request).id)
            st.rerun()


def _zeroed(plan: Plan) -> bool | None:
    """Whether halves of layers are kept and silenced, because a folder cannot leave them out; None: not agreed to yet."""
    whole = set(plan.removed["block"])
    if not any(set(plan.removed[unit]) - whole for unit in ("attention", "mlp")):
        return False
    t = words()
    st.info(
        t(
            "A model folder cannot leave out an attention or an MLP alone: the model's class always builds both. "
            "Skip them at run time (the Python script), make a plan of whole layers, or keep them and set what they write to zero: "
            "the answers are the plan's, the size and the speed are the original's."
        ),
        icon=":material/block:",
    )
    return st.checkbox(t("Keep these parts and set what they write to zero"), key=f"export_zeroed_{plan.id}") or None


def _report(report: ExportReport) -> None:
    t = words()
    with st.container(border=True, key="export_report_box"):
        st.markdown(
            t(
                "Written to {folder}. Largest difference to the plan run in place: {difference}, over {n} tokens.",
                folder=plain(report.folder),
                difference=number(report.max_logit_difference, language(), 1),
                n=report.n_random_tokens + report.n_real_tokens,
            )
        )
        if report.method == "block_by_block":
            st.caption(t("The model is larger than memory: compared tensor by tensor and layer by layer."))
        for note in report.notes:
            st.caption(say(note))
        table(report_rows(report), alt=t("What the export changed in size, and the files it wrote"))


def report_rows(report: ExportReport) -> Rows:
    """Sizes before and after, and each file."""
    t, code = words(), language()
    heads = t("Item"), t("Before"), t("After")
    rows = [
        (t("Layers"), number(report.n_blocks.before, code, 0), number(report.n_blocks.after, code, 0)),
        (t("Parameters"), amount(report.n_parameters.before, code), amount(report.n_parameters.after, code)),
        *((name, "", size(n_bytes, code)) for name, n_bytes in report.files.items()),
    ]
    return [dict(zip(heads, row, strict=True)) for row in rows]
