"""Python scripts that freeze a model's first layers before training. What comes from a plan goes in as a literal made by `ascii`."""

from __future__ import annotations

import pprint
import re
from collections.abc import Mapping, Sequence

from analysis.contracts import Plan

FINAL_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "final_norm", "norm_f", "ln_out")
"""What the norm between the last layer and the output head is called in transformers' models."""

PLACEHOLDER = "PATH/TO/MODEL"

_FREEZE = """\
LAYERS = {layers}  # where the layers are among the parameter names
FINAL_NORM = {norms}
N_LAYERS = {n_blocks}
EOF_LAYER = {eof_layer}  # the last frozen layer, counted from 0; -1: none


def freeze(model):
    \"\"\"Frozen: the embeddings, layers 0 to EOF_LAYER and the output head. The layers after it and the final norm train.\"\"\"
    found = len(model.get_submodule(LAYERS))
    if found != N_LAYERS:
        raise SystemExit(f"Expected {{N_LAYERS}} layers in {{LAYERS}} and found {{found}}: is it the plan's model?")
    trained = tuple(f"{{LAYERS}}.{{index}}." for index in range(EOF_LAYER + 1, N_LAYERS))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(trained + FINAL_NORM))


def tell(model):
    \"\"\"Prints what trains.\"\"\"
    sizes = {{name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}}
    total = sum(parameter.numel() for parameter in model.parameters())
    print(f"{{sum(sizes.values()):,}} of {{total:,}} weights train, in layers {{EOF_LAYER + 1}} to {{N_LAYERS - 1}} and the final norm")


"""

TRANSFORMERS = (
    '"""{head}\n\nNeeds torch and transformers.\n"""\n\n'
    "import torch\n"
    "import transformers\n\n"
    + _FREEZE
    + "{load}"
    + """\
freeze(model)
tell(model)
# Now hand `model` to transformers.Trainer or to a loop of your own, for example:
# trainer = transformers.Trainer(model=model, args=transformers.TrainingArguments(..., gradient_checkpointing=False), ...)
# optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-5)
"""
)

TRL = (
    '"""{head}\n\nNeeds torch, transformers, datasets and trl. DATA holds one JSON object a line with "prompt" and "completion".\n"""\n\n'
    "import torch\n"
    "import transformers\n"
    "from datasets import load_dataset\n"
    "from trl import SFTConfig, SFTTrainer\n\n"
    'DATA = "examples.jsonl"\n'
    'OUTPUT = "fine-tuned"\n'
    + _FREEZE
    + "{load}"
    + """\
freeze(model)
tell(model)
settings = SFTConfig(
    output_dir=OUTPUT,
    completion_only_loss=True,  # the loss is taken on the responses only
    gradient_checkpointing=False,  # on by default in TRL; the frozen layers keep nothing that it could save
    learning_rate=3e-5,
    num_train_epochs=3,
    bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
)
trainer = SFTTrainer(
    model=model,
    args=settings,
    train_dataset=load_dataset("json", data_files=DATA, split="train"),
    processing_class=transformers.AutoTokenizer.from_pretrained(MODEL, revision=REVISION),
)
if __name__ == "__main__":
    trainer.train()
    trainer.save_model(OUTPUT)
"""
)

PEFT = (
    '"""{head}\n\nNeeds torch, transformers and peft. Adapters stand only in the layers after the last frozen one.\n"""\n\n'
    "import torch\n"
    "import transformers\n"
    "from peft import LoraConfig, get_peft_model\n"
    "from transformers.pytorch_utils import Conv1D\n\n"
    "LAYERS = {layers}  # where the layers are among the parameter names\n"
    "LORA = {settings}\n\n"
    "{load}"
    """\
# Every matrix of the layers; a shorter list takes less memory. A list it must be: layers_to_transform does not go with "all-linear".
matrices = {{
    name.rpartition(".")[2]
    for name, module in model.get_submodule(LAYERS).named_modules()
    if isinstance(module, (torch.nn.Linear, Conv1D))
}}
model = get_peft_model(model, LoraConfig(**LORA, target_modules=sorted(matrices)))
model.print_trainable_parameters()
"""
)

_LOAD = """\
MODEL = {model}
REVISION = {revision}
model = transformers.{loader}.from_pretrained(MODEL, revision=REVISION, dtype=torch.float32)
"""


def load(plan: Plan) -> str:
    """The lines that load the plan's model, pinned to its commit where it is from the hub."""
    architecture = plan.model.architecture
    known = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", architecture) and not writes_words(plan)
    revision = plan.model.commit if plan.model.source.kind == "hub" else None
    return _LOAD.format(model=ascii(model_name(plan)), revision=ascii(revision), loader=architecture if known else "AutoModelForCausalLM")


def model_name(plan: Plan) -> str:
    """Where trainers find the model; a placeholder where the plan's own place is none they could open."""
    source = plan.model.source
    return source.location if source.kind in ("hub", "folder") and source.location else PLACEHOLDER


def writes_words(plan: Plan) -> bool:
    """Whether the model is a plain decoder with its head."""
    return plan.model.architecture.endswith(("ForCausalLM", "LMHeadModel"))


def said(plan: Plan, eof_layer: int, trap: Sequence[str]) -> list[str]:
    """The head of every text, as plain ASCII lines in which no name of a plan stands."""
    first, last = eof_layer + 1, plan.model.n_blocks - 1
    frozen = f"freeze layers 0 to {eof_layer}" if eof_layer >= 0 else "freeze no layer"
    where = [f"Put the model's folder or hub name in the place of {PLACEHOLDER}."] if model_name(plan) == PLACEHOLDER else []
    return [
        f"Plan {plan.id}: {frozen}, train {first} to {last}; counted from 0. Embeddings and output head stay frozen.",
        *where,
        *trap,
    ]


def literal(settings: Mapping[str, object]) -> str:
    """A mapping as a Python literal that is also easy to read."""
    return pprint.pformat(dict(settings), width=110, compact=True, sort_dicts=False)
