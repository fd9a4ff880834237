"""Python scripts that carry a plan out. Everything that comes from a plan goes in as a literal made by `ascii`."""

from __future__ import annotations

from analysis.contracts import Plan

_PLAIN = '''\
"""Plan {id}: {words}.

Needs torch and transformers. The layers are taken out of the loaded model, and everything that the model's config lists
layer by layer is cut with them.
"""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = {model}
REVISION = {revision}
N_LAYERS = {n_blocks}
REMOVED = {removed}  # counted from 0

model = AutoModelForCausalLM.from_pretrained(MODEL, revision=REVISION, dtype="auto")
stacks = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == N_LAYERS]
if len(stacks) != 1:
    raise SystemExit(f"Expected one list of {{N_LAYERS}} layers in this model and found {{len(stacks)}}: is it the plan's model?")
if getattr(model.config, "scale_attn_by_inverse_layer_idx", False):
    raise SystemExit("This model scales attention by the number of the layer, which changes here: use an exported folder instead.")
layers = stacks[0]
for index in sorted(REMOVED, reverse=True):
    del layers[index]
for index, layer in enumerate(layers):
    for module in layer.modules():
        if hasattr(module, "layer_idx"):
            module.layer_idx = index  # its place in the KV cache
config = model.config.get_text_config()
for name, value in list(vars(config).items()):
    if isinstance(value, (list, tuple)) and len(value) == N_LAYERS:
        setattr(config, name, [item for index, item in enumerate(value) if index not in REMOVED])
config.num_hidden_layers = len(layers)

tokenizer = AutoTokenizer.from_pretrained(MODEL, revision=REVISION)
tokens = tokenizer("The order of 40 bearings", return_tensors="pt").to(model.device)
answer = model.generate(**tokens, max_new_tokens=32, do_sample=False)
print(tokenizer.decode(answer[0], skip_special_tokens=True))
'''

_WITH_SURGERY = '''\
"""Plan {id}: {words}.

Run it from this project's folder. The units are left out while the model runs; its weights stay as they are.
"""

import torch
from transformers import AutoTokenizer

from analysis.models.load import load_model
from analysis.planning import read_plan
from analysis.surgery.apply import apply_plan

PLAN = {plan}

plan = read_plan(PLAN.encode())
loaded = load_model(plan.model.source)
tokenizer = AutoTokenizer.from_pretrained(loaded.tokenizer_folder)
tokens = tokenizer("The order of 40 bearings", return_tensors="pt").to(loaded.device)
{run}'''


_ANSWER = """\
with apply_plan(loaded, plan) as lighter, torch.no_grad():
    answer = lighter.model.generate(**tokens, max_new_tokens=32, do_sample=False)
print(tokenizer.decode(answer[0], skip_special_tokens=True))
"""

_OUTPUT = """\
with apply_plan(loaded, plan) as lighter, torch.no_grad():
    output = lighter.model(**tokens)[0]  # this model writes no text
print(output.shape)
"""


def writes_text(plan: Plan) -> bool:
    """Whether the plan's model is one that generates."""
    return plan.model.architecture.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))


def plain_can(plan: Plan) -> bool:
    """Whether the model is a plain decoder, which the script without this project loads as `AutoModelForCausalLM`."""
    return plan.model.architecture.endswith(("ForCausalLM", "LMHeadModel"))


def plain(plan: Plan, words: str, removed: tuple[int, ...]) -> str:
    """A script for torch and transformers alone; `words` say what the plan does, `removed` are whole layers."""
    revision = plan.model.commit if plan.model.source.kind == "hub" else None
    return _PLAIN.format(
        id=plan.id,
        words=words,
        model=ascii(plan.model.source.location),
        revision=ascii(revision),
        n_blocks=plan.model.n_blocks,
        removed=ascii(list(removed)),
    )


def with_surgery(plan: Plan, words: str) -> str:
    """A script that runs the plan with this project's surgery; the plan goes in without its evidence."""
    bare = plan.model_copy(
        update={
            "projection": None,
            "verification": None,
            "trial": None,
            "business_case": None,
            "provenance": plan.provenance.model_copy(update={"reasons": (), "notes": ()}),
        }
    )
    return _WITH_SURGERY.format(id=plan.id, words=words, plan=ascii(bare.model_dump_json()), run=_ANSWER if writes_text(plan) else _OUTPUT)
