"""A freezing plan in the words of trainers: transformers, TRL, PEFT, axolotl, LLaMA-Factory, LMFlow, and plain lists.

What a trainer cannot express is left out and said in the text. Names come from plans, so each is quoted by the rules of the
format it goes into. Every text says that re-entrant gradient checkpointing defeats the saving.
"""

from __future__ import annotations

import json
import re

from analysis.contracts import Freeze, Plan, Prune, Skip
from analysis.errors import PlanError
from analysis.reporting import freeze_snippets as snippets
from analysis.reporting.quoting import yaml_string

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_TRAP = (
    "Gradient checkpointing with use_reentrant=True, or model.enable_input_require_grads(), carries gradients through the",
    "frozen layers and defeats the saving: leave both off, or use use_reentrant=False.",
)


def transformers_script(plan: Plan) -> str:
    """A script that loads the model, freezes by parameter name and prints what trains.

    Raises:
        PlanError: the plan freezes nothing, or does more than freeze.
    """
    return snippets.TRANSFORMERS.format(**_values(plan, "transformers"), load=snippets.load(plan))


def trl_script(plan: Plan) -> str:
    """The same freezing before TRL's SFTTrainer, whose loss is taken on the completions only.

    Raises:
        PlanError: as for `transformers_script`.
    """
    return snippets.TRL.format(**_values(plan, "TRL"), load=snippets.load(plan))


def peft_script(plan: Plan) -> str:
    """A PEFT LoraConfig whose adapters stand in the layers after the last frozen one only.

    Raises:
        PlanError: as for `transformers_script`.
    """
    settings = {name: value for name, value in peft_config(plan).items() if name != "peft_type"}
    return snippets.PEFT.format(**_values(plan, "PEFT"), load=snippets.load(plan), settings=snippets.literal(settings))


def peft_config(plan: Plan) -> dict[str, object]:
    """The same as adapter_config.json holds it; without target_modules PEFT takes its own choice for the architecture.

    Raises:
        PlanError: as for `transformers_script`.
    """
    eof_layer, path = _freezing(plan, "PEFT")
    rank, alpha = _rank(plan)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if snippets.writes_words(plan) else None,
        "r": rank,
        "lora_alpha": alpha,
        "layers_to_transform": list(range(eof_layer + 1, plan.model.n_blocks)),
        "layers_pattern": [path],
        "fan_in_fan_out": plan.model.architecture.startswith(("GPT2", "OpenAIGPT")),  # their matrices are stored the other way round
    }


def peft_json(plan: Plan) -> str:
    """`peft_config` as a JSON text.

    Raises:
        PlanError: as for `transformers_script`.
    """
    return json.dumps(peft_config(plan), indent=2) + "\n"


def axolotl_yaml(plan: Plan) -> str:
    """axolotl's `unfrozen_parameters`: patterns of the names that train; all others are frozen.

    axolotl matches from the start of a name and takes every dot as a dot; the patterns read the same as ordinary ones.

    Raises:
        PlanError: as for `transformers_script`.
    """
    eof_layer, path = _freezing(plan, "axolotl")
    indices = "|".join(str(index) for index in range(eof_layer + 1, plan.model.n_blocks))
    norm = "|".join(snippets.FINAL_NORMS)
    root = path.rpartition(".")[0]
    lines = [
        *_comment(plan, eof_layer),
        "# For full fine-tuning (no adapter): everything that matches none of the patterns is frozen.",
        f"base_model: {yaml_string(snippets.model_name(plan))}",
        *([f"revision_of_model: {yaml_string(plan.model.commit)}"] if plan.model.source.kind == "hub" else []),
        "unfrozen_parameters:",
        f"  - {yaml_string(f'^{path}.({indices}).')}",
        f"  - {yaml_string(f'^{root}.({norm}).' if root else f'^({norm}).')}",
        "gradient_checkpointing: false",
        "",
    ]
    return "\n".join(lines)


def llama_factory_yaml(plan: Plan) -> str:
    """LLaMA-Factory's freeze tuning: a positive number trains the last layers.

    The final norm stays frozen there: `freeze_extra_modules: norm` would match every layer's own norms too.

    Raises:
        PlanError: as for `transformers_script`.
    """
    eof_layer, _ = _freezing(plan, "LLaMA-Factory")
    lines = [
        *_comment(plan, eof_layer),
        "# A positive number trains the last layers, a negative one the first.",
        "# Leave freeze_extra_modules empty: LLaMA-Factory looks for the name anywhere in a parameter's name, so that",
        '# "norm" would also free the norms of the frozen layers. The final norm stays as it is.',
        f"model_name_or_path: {yaml_string(snippets.model_name(plan))}",
        *([f"model_revision: {yaml_string(plan.model.commit)}"] if plan.model.source.kind == "hub" else []),
        "stage: sft",
        "do_train: true",
        "finetuning_type: freeze",
        f"freeze_trainable_layers: {plan.model.n_blocks - 1 - eof_layer}",
        "freeze_trainable_modules: all",
        "disable_gradient_checkpointing: true",
        "",
    ]
    return "\n".join(lines)


def lmflow_list(plan: Plan) -> str:
    """The layers that train, one name a line, as a callback in LMFlow's way switches them on.

    Raises:
        PlanError: as for `transformers_script`.
    """
    eof_layer, path = _freezing(plan, "LMFlow")
    lines = [
        *_comment(plan, eof_layer),
        "# LMFlow's own LISA draws its layers at random (--use_lisa, --lisa_activated_layers, --lisa_layers_attribute",
        f"# model.{path}). These are fixed: put them where its callback holds the drawn ones, and do not draw.",
        *(f"{path}.{index}" for index in range(eof_layer + 1, plan.model.n_blocks)),
        "",
    ]
    return "\n".join(lines)


def layers_json(plan: Plan) -> str:
    """Frozen and trained layers as plain JSON, for tools of one's own.

    Raises:
        PlanError: as for `transformers_script`.
    """
    eof_layer, path = _freezing(plan, "JSON")
    n_blocks = plan.model.n_blocks
    return (
        json.dumps(
            {
                "about": " ".join(("Layers are counted from 0.", *_TRAP)),
                "plan": plan.id,
                "model": {"name": plan.model.name, "commit": plan.model.commit, "stack": plan.model.stack, "path": path},
                "counted_from": 0,
                "n_layers": n_blocks,
                "eof_layer": eof_layer,
                "frozen": list(range(eof_layer + 1)),
                "trained": list(range(eof_layer + 1, n_blocks)),
                "frozen_beside": ["embeddings", "output head"],
                "trained_prefixes": [f"{path}.{index}." for index in range(eof_layer + 1, n_blocks)],
            },
            indent=2,
        )
        + "\n"
    )


def frozen_only(plan: Plan, tool: str) -> int:
    """The last frozen layer of a plan that freezes and does nothing else.

    Raises:
        PlanError: the plan freezes nothing, takes layers out as well, or leaves nothing to train.
    """
    frozen = [operation for operation in plan.operations if isinstance(operation, Freeze)]
    if not frozen:
        raise PlanError(
            "There is nothing to write for {tool}: this plan freezes no layer for training. Choose a plan that freezes layers.", tool=tool
        )
    if any(isinstance(operation, Prune | Skip) for operation in plan.operations):
        raise PlanError(
            "{tool} can be told which layers to freeze, but this plan also takes layers out. Export the lighter model as a Hugging Face "
            "folder first, and make a freezing plan for that.",
            tool=tool,
        )
    eof_layer = frozen[0].eof_layer
    if eof_layer > plan.model.n_blocks - 2:
        raise PlanError(
            "The plan freezes layers 0 to {eof} of a model that has {n_blocks}: at least the last one must train. Make the plan again.",
            eof=eof_layer,
            n_blocks=plan.model.n_blocks,
        )
    return eof_layer


def _freezing(plan: Plan, tool: str) -> tuple[int, str]:
    """The last frozen layer and where the layers are among the parameter names."""
    eof_layer, path = frozen_only(plan, tool), plan.model.stack_path
    if not path:
        raise PlanError(
            "The plan does not say where its layers are among the model's parameter names: it is from an older version. Make the plan "
            "again."
        )
    if not _PATH.fullmatch(path):
        raise PlanError(
            'The plan gives "{path}" as the place of its layers, which is no parameter name (letters, digits, dots). Make the plan again.',
            path=path[:80],
        )
    return eof_layer, path


def _values(plan: Plan, tool: str) -> dict[str, object]:
    """What every script is filled with."""
    eof_layer, path = _freezing(plan, tool)
    root = path.rpartition(".")[0]
    return {
        "head": "\n".join(snippets.said(plan, eof_layer, _TRAP)),
        "layers": ascii(path),
        "eof_layer": eof_layer,
        "n_blocks": plan.model.n_blocks,
        "norms": ascii(tuple(f"{root}.{name}." if root else f"{name}." for name in snippets.FINAL_NORMS)),
    }


def _comment(plan: Plan, eof_layer: int) -> list[str]:
    """The head of a text in which # starts a comment."""
    return [f"# {line}" if line else "#" for line in snippets.said(plan, eof_layer, _TRAP)]


def _rank(plan: Plan) -> tuple[int, int]:
    """LoRA's rank and alpha: as tried, else as projected, else the product's default."""
    if plan.trial is not None:
        return plan.trial.settings.lora_rank, plan.trial.settings.lora_alpha
    training = plan.projection.training if plan.projection else None
    rank = training.shape.lora_rank if training else 16
    return rank, 2 * rank
