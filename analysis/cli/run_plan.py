"""`run-plan`: let a model answer a prompt with a plan carried out, and beside it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.cli import options
from analysis.cli.documents import read_plan
from analysis.cli.progress import shown_progress, stages_of
from analysis.cli.terminal import Terminal, examples, paragraphs, terminal_of
from analysis.contracts import Plan
from analysis.errors import InputError, ModelError, PlanError
from analysis.i18n import N_

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analysis.models.stack import LoadedModel
    from analysis.workload import Encoder

SHORT_HELP = N_("Answer a prompt with a plan carried out.")
HELP = paragraphs(
    N_("Let a model answer a prompt with a plan carried out, and on request beside it as it is."),
    N_("Examples:"),
    examples(
        'python -m analysis run-plan --plan plan.json --prompt "Enter an order of 40 bearings 6204."',
        'python -m analysis run-plan --plan plan.json --prompt "2 + 2 =" --new-tokens 8 --compare',
    ),
    N_("Answers are greedy: the likeliest token each time, so the same prompt gives the same answer."),
)


def run_plan(
    ctx: typer.Context,
    plan: options.PlanFile,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help=N_("What is asked."))],
    new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help=N_("Longest answer in tokens."))] = 64,
    compare: Annotated[bool, typer.Option("--compare", help=N_("Show the untouched model's answer beside it."))] = False,
    model: options.PlansModel = None,
    chat_template: options.ChatTemplate = True,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
) -> None:
    """Prints the answer, or both."""
    from analysis.models.load import describe_model, load_model
    from analysis.models.source import parse_source
    from analysis.planning import check_plan

    terminal = terminal_of(ctx)
    if not prompt.strip():
        raise InputError("--prompt is empty. Write what the model is asked.")
    if not prompt.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in prompt):
        raise InputError("--prompt holds bytes that are no text. Write it in the encoding of this terminal (UTF-8).")
    chosen = read_plan(plan, terminal)
    source = parse_source(model) if model else chosen.model.source
    with shown_progress(terminal) as show:
        card = describe_model(source, on_progress=stages_of(show))
        if problems := check_plan(chosen, card.info):
            raise PlanError.from_message(problems[0])
        if card.info.refusal is not None:
            raise ModelError.from_message(card.info.refusal)
        loaded = load_model(source, device=device, dtype=dtype, on_progress=stages_of(show))
    ids, encoder = _encoded(loaded, prompt, chat_template)
    _answer(loaded, chosen, _Asked(ids, encoder, new_tokens), compare, terminal)


@dataclass(frozen=True)
class _Asked:
    """A prompt as the model gets it."""

    ids: NDArray[np.int64]
    encoder: Encoder
    new_tokens: int

    def of(self, loaded: LoadedModel) -> str:
        """The model's answer, as it stands now."""
        from analysis.verification.answers import generate

        return generate(loaded.model, [self.ids], self.encoder, self.new_tokens)[0]


def _answer(loaded: LoadedModel, plan: Plan, asked: _Asked, compare: bool, terminal: Terminal) -> None:
    from analysis.surgery.apply import apply_plan

    if compare:
        typer.echo(terminal.t("Original:"))
        typer.echo(asked.of(loaded))
        typer.echo(terminal.t("Plan:"))
    with apply_plan(loaded, plan):
        typer.echo(asked.of(loaded))


def _encoded(loaded: LoadedModel, prompt: str, chat_template: bool) -> tuple[NDArray[np.int64], Encoder]:
    """The prompt's tokens.

    Raises:
        ModelError: the model writes no text, or has no tokenizer.
        InputError: the prompt is longer than the model can read.
    """
    from analysis.models.estimate import longest_prompt
    from analysis.models.head import Head
    from analysis.workload import Encoder, Example, Turn

    stack = loaded.stack()
    if not stack.info.causal or loaded.model.config.is_encoder_decoder or not Head(loaded, stack).exists:
        raise ModelError(
            "{model} does not write word after word, so it cannot answer a prompt. Verify the plan instead.", model=loaded.info.name
        )
    if loaded.tokenizer_folder is None:
        raise ModelError(
            "{model} has no tokenizer that could be read, so prompts cannot be run through it. Choose a model with a tokenizer.json.",
            model=loaded.info.name,
        )
    encoder, longest = Encoder.from_folder(loaded.tokenizer_folder), longest_prompt(loaded.info, 10**9)
    found = encoder.encode(Example(turns=(Turn("user", prompt),)), max_tokens=longest, chat_template=chat_template)
    if found.n_cut:
        raise InputError("The prompt is {n} tokens too long for this model. Shorten it.", n=found.n_cut)
    return found.input_ids, encoder
