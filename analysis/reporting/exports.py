"""A plan in the words of other tools: mergekit, llama.cpp, plain transformers, and one line for a person.

Only what a tool can express is written; the rest is refused with what can be done instead. Names and paths come from
users and model files, so each is quoted by the rules of the format it goes into.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from analysis.contracts import ExportFormat, Freeze, Message, Plan, Prune, Skip
from analysis.errors import PlanError
from analysis.i18n import N_, render
from analysis.planning import plan_in_words
from analysis.reporting import freeze_exports, snippets
from analysis.reporting.quoting import yaml_string

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Export:
    """A form that a plan can be written in.

    Attributes:
        format: as it stands on the command line.
        title: short name for a button (English sentence; its own translation key).
        meaning: what the file is for (the same).
        file_name: what to call it.
        write: makes the text; None where weights are written, which is a job of its own.
    """

    format: ExportFormat
    title: str
    meaning: str
    file_name: str
    write: Callable[[Plan], str] | None


def mergekit_yaml(plan: Plan, model_path: str | None = None, dtype: str | None = None) -> str:
    """A mergekit configuration (`merge_method: passthrough`) whose result is the pruned model.

    Args:
        plan: whole layers that are skipped or removed; both give the same model here.
        model_path: folder of the model; None: the plan's own source.
        dtype: number format of the result; None: every tensor keeps its own.

    Raises:
        PlanError: mergekit cannot express the plan or open the model.
    """
    removed = _whole_layers(plan, "mergekit")
    if dtype is not None and dtype not in _DTYPES:
        raise PlanError('The number format "{dtype}" is not one of: {allowed}.', dtype=dtype, allowed=_DTYPES)
    model = _mergekit_model(plan, model_path)
    lines = [
        f"# Plan {plan.id}: {words(plan).strip()}",
        "# layer_range: first layer, and one after the last; counted from 0",
        "slices:",
    ]
    for first, end in _kept_runs(plan.model.n_blocks, removed):
        lines += ["  - sources:", f"      - model: {model}", f"        layer_range: [{first}, {end}]"]
    lines.append("merge_method: passthrough")
    if dtype is not None:
        lines.append(f"dtype: {dtype}")
    return "\n".join(lines) + "\n"


def llama_cpp_layers(plan: Plan) -> str:
    """The layers to remove as `llama-quantize --prune-layers` takes them, and the whole command in comments above.

    Raises:
        PlanError: llama.cpp cannot express the plan.
    """
    removed = _whole_layers(plan, "llama.cpp")
    listed = ",".join(map(str, removed))
    return "\n".join(
        (
            f"# Plan {plan.id}: {words(plan).strip()}",
            "# Layers for llama-quantize (llama.cpp b5740, June 2025, or newer), which removes them and numbers the rest anew:",
            f"#   llama-quantize --prune-layers {listed} model-f16.gguf model-f16-pruned.gguf F16",
            "# Where the model's metadata holds a value for each layer (layers that differ in kind or size), llama.cpp was seen to",
            "# leave those lists at their old length (issue 27976): export a Hugging Face folder and convert that instead.",
            listed,
            "",
        )
    )


def python_snippet(plan: Plan) -> str:
    """A script that loads the model, carries the plan out, and answers a prompt.

    Whole layers of a hub model or a folder need torch and transformers only; everything else runs with this project.

    Raises:
        PlanError: the plan removes nothing.
    """
    if not any(isinstance(operation, Prune | Skip) for operation in plan.operations):
        raise _removes_nothing("python")
    if plan.model.source.kind in ("hub", "folder") and snippets.plain_can(plan) and not _others(plan):
        return snippets.plain(plan, words(plan).strip(), _whole_layers(plan, "python"))
    return snippets.with_surgery(plan, words(plan).strip())


def words(plan: Plan) -> str:
    """The plan in one English line, for a file."""
    return render(in_words(plan), "en") + "\n"


def in_words(plan: Plan) -> Message:
    """All that the plan does: "28 of 30 layers; removed 13, 14; counted from 0", one part for each operation."""
    parts = [plan_in_words(plan.model_copy(update={"operations": (operation,)})) for operation in plan.operations]
    if len(parts) == 1:
        return parts[0]
    return Message(
        id="{first}. {rest}", values={"first": parts[0], "rest": in_words(plan.model_copy(update={"operations": plan.operations[1:]}))}
    )


EXPORTS: Mapping[str, Export] = {
    export.format: export
    for export in (
        Export(
            "hf",
            N_("Hugging Face folder"),
            N_("The lighter model itself, reloaded from disk and compared before it is handed over."),
            "",
            None,
        ),
        Export(
            "mergekit",
            N_("mergekit YAML"),
            N_("Slices for mergekit's passthrough method; whole layers only."),
            "mergekit.yml",
            mergekit_yaml,
        ),
        Export(
            "llama.cpp",
            N_("Layer list for llama.cpp"),
            N_("What llama-quantize --prune-layers takes; whole layers only."),
            "llama-cpp-layers.txt",
            llama_cpp_layers,
        ),
        Export(
            "python", N_("Python script"), N_("Loads the model, carries the plan out and answers a prompt."), "run_plan.py", python_snippet
        ),
        Export("words", N_("In words"), N_("One line that says what the plan takes out."), "plan.txt", words),
        Export(
            "transformers",
            N_("Python script for transformers"),
            N_("A few lines that load the model, freeze layers by name and print what trains."),
            "freeze_model.py",
            freeze_exports.transformers_script,
        ),
        Export(
            "trl",
            N_("Python script for TRL"),
            N_("The same before SFTTrainer, with the loss on responses only."),
            "freeze_and_train_trl.py",
            freeze_exports.trl_script,
        ),
        Export(
            "peft",
            N_("LoRA for PEFT"),
            N_("A LoraConfig whose adapters stand only in the layers that train."),
            "freeze_lora_peft.py",
            freeze_exports.peft_script,
        ),
        Export(
            "axolotl",
            N_("axolotl YAML"),
            N_("unfrozen_parameters: patterns of what trains."),
            "axolotl-freeze.yml",
            freeze_exports.axolotl_yaml,
        ),
        Export(
            "llama_factory",
            N_("LLaMA-Factory YAML"),
            N_("Freeze tuning of the last layers; the final norm stays frozen there."),
            "llama-factory-freeze.yaml",
            freeze_exports.llama_factory_yaml,
        ),
        Export(
            "lmflow",
            N_("Layer names for LMFlow"),
            N_("The layers that train, one name a line, for a callback in LISA's way."),
            "lmflow-layers.txt",
            freeze_exports.lmflow_list,
        ),
        Export(
            "layers",
            N_("Layers as JSON"),
            N_("Frozen and trained layers as plain lists, for tools of your own."),
            "freeze-layers.json",
            freeze_exports.layers_json,
        ),
    )
}
"""Every form in the order it is offered."""


FREEZING: frozenset[str] = frozenset({"transformers", "trl", "peft", "axolotl", "llama_factory", "lmflow", "layers"})
"""Forms for plans that freeze; the others are for plans that take layers out, "words" for both."""


def exports_for(plan: Plan) -> tuple[Export, ...]:
    """The forms worth offering for this plan."""
    frees = plan.eof_layer is not None
    cuts = any(isinstance(operation, Prune | Skip) for operation in plan.operations)
    return tuple(
        export
        for export in EXPORTS.values()
        if export.format == "words" or (frees and export.format in FREEZING) or (cuts and export.format not in FREEZING)
    )


def export_text(plan: Plan, format: str) -> str:
    """The plan in one of the text forms.

    Raises:
        PlanError: the form is unknown, writes weights, or cannot express the plan.
    """
    found = EXPORTS.get(format)
    if found is None or found.write is None:
        texts = tuple(name for name, export in EXPORTS.items() if export.write is not None)
        raise PlanError('The form "{format}" is not one of the texts a plan can be written as: {allowed}.', format=format, allowed=texts)
    return found.write(plan)


def refusal(plan: Plan, format: str) -> Message | None:
    """Why a text form cannot express the plan; None: it can."""
    try:
        export_text(plan, format)
    except PlanError as exc:
        return exc.message
    return None


def _whole_layers(plan: Plan, tool: str) -> tuple[int, ...]:
    """The layers that go, where the plan takes out whole layers of the model's one stack and nothing else."""
    if any(isinstance(operation, Freeze) for operation in plan.operations) and not any(plan.removed.values()):
        raise _removes_nothing(tool)
    others = _others(plan)
    if others:
        raise PlanError(
            "{tool} knows whole layers only, and this plan takes out {what} alone. Skip them at run time (the Python script), export a "
            "Hugging Face folder with zeroed output projections (no faster), or make a plan of whole layers.",
            tool=tool,
            what=" / ".join(others),
        )
    removed = plan.removed["block"]
    if not removed:
        raise _removes_nothing(tool)
    outside = [block for block in removed if block >= plan.model.n_blocks]
    if outside or len(removed) == plan.model.n_blocks:
        raise PlanError(
            "The plan removes layers {blocks} of a model that has {n_blocks} (0 to {last}); at least one must stay. Make the plan again.",
            blocks=removed,
            n_blocks=plan.model.n_blocks,
            last=plan.model.n_blocks - 1,
        )
    return removed


def _others(plan: Plan) -> tuple[str, ...]:
    """Halves that go alone, by name."""
    whole = set(plan.removed["block"])
    return tuple(
        name
        for unit, name in (("attention", "attention"), ("mlp", "MLP"))
        if set(plan.removed[unit]) - whole  # type: ignore[index]
    )


def _removes_nothing(tool: str) -> PlanError:
    return PlanError(
        "There is nothing to write for {tool}: this plan takes no layer out. Choose a plan that skips or removes layers.", tool=tool
    )


def _kept_runs(n_blocks: int, removed: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Unbroken runs of layers that stay, as (first, one after the last)."""
    kept = sorted(set(range(n_blocks)) - set(removed))
    for _, run in itertools.groupby(enumerate(kept), key=lambda pair: pair[1] - pair[0]):
        blocks = [block for _, block in run]
        yield blocks[0], blocks[-1] + 1


def _mergekit_model(plan: Plan, model_path: str | None) -> str:
    """The model as a YAML flow mapping.

    A plain string would be taken apart at "+" (adapter) and "@" (revision), so the parts are named.
    """
    source = plan.model.source
    if model_path is None and source.kind not in ("hub", "folder"):
        raise PlanError(
            "mergekit opens a model folder or a hub model, and {name} is neither. Give the folder of a converted copy, or export a "
            "Hugging Face folder.",
            name=plan.model.name,
        )
    named = {"path": model_path or source.location}
    if model_path is None and source.kind == "hub":
        named["revision"] = plan.model.commit
    return "{model: {" + ", ".join(f"{name}: {yaml_string(text)}" for name, text in named.items()) + "}}"
