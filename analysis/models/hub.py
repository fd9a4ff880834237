"""Models from the hub: resolved to a commit first, and only files that cannot carry programs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from analysis.contracts import Message, ModelSource
from analysis.errors import ModelError, ResourceError, StrataError
from analysis.models.sample import Report, silent

DESCRIPTION = ("*.json", "tokenizer*", "*.model", "*.txt", "*.jinja")
EVERYTHING = ("*.safetensors", *DESCRIPTION)
SECOND_COPIES = ("consolidated*", "original/*", "onnx/*", "openvino/*")


def fetch(source: ModelSource, *, weights: bool, on_progress: Report = silent) -> Path:
    """The snapshot folder of a hub model; its name is the commit. Without a network, the snapshot that is there.

    The machine's own login (or HF_TOKEN) is used where a model asks for one; it is never stored.

    Raises:
        ModelError: there is no such model or revision, it needs a login this machine does not have, or it cannot be reached
            and is not on this machine yet.
        ResourceError: the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    on_progress(Message(id="Fetching {model}", values={"model": source.location}))
    wanted = EVERYTHING if weights else DESCRIPTION
    try:
        folder = Path(
            snapshot_download(source.location, revision=source.revision, allow_patterns=list(wanted), ignore_patterns=list(SECOND_COPIES))
        )
    except (OSError, HFValidationError) as exc:
        raise _in_words(source, exc) from exc
    if weights and not any(folder.glob("*.safetensors")):
        raise ModelError(
            "{model} has no safetensors files on the hub, or they are not on this machine and the hub cannot be reached. "
            "Choose a model with safetensors files, or connect to the network.",
            model=source.location,
        )
    return folder


def _in_words(source: ModelSource, exc: Exception) -> StrataError:
    """The hub's refusal as one sentence. A gated model is also 'not found' to the library, so it is asked first."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    model = source.location
    if isinstance(exc, GatedRepoError):
        return ModelError(
            "{model} asks for consent on the hub before it can be fetched. Accept its terms there, log in on this machine "
            "(hf auth login) or set HF_TOKEN, and try again.",
            model=model,
        )
    if isinstance(exc, RevisionNotFoundError):
        revision = str(source.revision)
        return ModelError("{model} has no revision {revision}. Name a branch, a tag or a commit of it.", model=model, revision=revision)
    if isinstance(exc, RepositoryNotFoundError | HFValidationError):
        return ModelError(
            "The hub has no model {model} that this machine may see. Check the name; for a private model, log in on this "
            "machine (hf auth login) or set HF_TOKEN.",
            model=model,
        )
    if isinstance(exc, LocalEntryNotFoundError):
        return ModelError(
            "{model} is not on this machine and the hub cannot be reached. Connect to the network, or give the path of a "
            "folder that holds the model.",
            model=model,
        )
    number = exc.errno if isinstance(exc, OSError) else None
    kind = ResourceError if number in (errno.ENOSPC, errno.EDQUOT) else ModelError
    reason = os.strerror(number) if number is not None else type(exc).__name__
    return kind("{model} could not be fetched: {reason}. Check network and disk, and try again.", model=model, reason=reason)
