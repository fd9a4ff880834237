"""A small saved model and a workload that can be learnt, for the tests of whole trials."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.contracts import Freeze, ModelInfo, ModelRef, Plan, Provenance, TrialRequest, TrialSettings
from tests.verification.tiny_verification import WORDS

QUICK = TrialSettings(
    device="cpu",
    epochs=2,
    batch_size=8,
    learning_rates=(1e-2,),
    lora_learning_rates=(3e-2,),
    lora_rank=4,
    points=3,
    replicates=200,
    max_tokens=64,
    cache="memory",
)


def rows(n: int = 60) -> list[dict[str, Any]]:
    """The answer is the first word asked for, then "ok": easily learnt."""
    triples = itertools.islice(itertools.product(WORDS[3:], repeat=3), 7, None, 29)
    return [
        {
            "prompt": " ".join(words[: 2 + number % 2]),
            "response": f"{words[0]} ok",
            "slice": ("orders", "mail")[number % 2],
        }
        for number, words in enumerate(itertools.islice(triples, n))
    ]


def write(folder: Path, made: Sequence[Mapping[str, Any]], name: str = "prompts.jsonl") -> str:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in made), encoding="utf-8")
    return str(path)


def plan_for(info: ModelInfo, eof_layer: int = 1) -> Plan:
    stack = info.stacks[0]
    reference = ModelRef(
        name=info.name, source=info.source, commit=info.commit, architecture=info.architecture, n_blocks=stack.n_blocks, stack=stack.name
    )
    return Plan(
        name="Freeze",
        model=reference,
        operations=(Freeze(eof_layer=eof_layer),),
        provenance=Provenance(criterion="by hand", amount="by hand"),
    )


def request(plan: Plan, path: str | Sequence[str], settings: TrialSettings = QUICK, **changes: Any) -> TrialRequest:
    paths = (path,) if isinstance(path, str) else tuple(path)
    return TrialRequest(model=plan.model.source, workload_paths=paths, plan=plan, settings=settings.model_copy(update=changes))
