"""Models from the hub: resolved to a commit first, and only files that cannot carry programs."""

from __future__ import annotations

from pathlib import Path

from analysis.contracts import Message, ModelSource
from analysis.errors import ModelError, ResourceError
from analysis.models.sample import Report, silent

DESCRIPTION = ("*.json", "tokenizer*", "*.model", "*.txt", "*.jinja")
EVERYTHING = ("*.safetensors", *DESCRIPTION)
SECOND_COPIES = ("consolidated*", "original/*", "onnx/*", "openvino/*")


def fetch(source: ModelSource, *, weights: bool, on_progress: Report = silent) -> Path:
    """The snapshot folder of a hub model; its name is the commit. Without a network, the snapshot that is there.

    The machine's own login (or HF_TOKEN) is used where a model asks for one; it is never stored.

    Raises:
        ModelError: there is no such model or revision, or it needs a login this machine does not have.
        ResourceError: it cannot be reached and is not on this machine yet, or the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    on_progress(Message(id="Fetching {model}", values={"model": source.location}))
    try:
        folder = snapshot_download(
            source.location,
            revision=source.revision,
            allow_patterns=list(EVERYTHING if weights else DESCRIPTION),
            ignore_patterns=list(SECOND_COPIES),
        )
    except GatedRepoError as exc:
        raise ModelError(
            "{model} asks for consent on the hub before it can be fetched. Accept its terms there, log in on this machine "
            "(hf auth login) or set HF_TOKEN, and try again.",
            model=source.location,
        ) from exc
    except RevisionNotFoundError as exc:
        raise ModelError(
            "{model} has no revision {revision}. Name a branch, a tag or a commit of it.",
            model=source.location,
            revision=str(source.revision),
        ) from exc
    except RepositoryNotFoundError as exc:
        raise ModelError(
            "The hub has no model {model} that this machine may see. Check the name; for a private model, log in on this "
            "machine (hf auth login) or set HF_TOKEN.",
            model=source.location,
        ) from exc
    except LocalEntryNotFoundError as exc:
        raise ResourceError(
            "{model} is not on this machine and the hub cannot be reached. Connect to the network, or give the path of a "
            "folder that holds the model.",
            model=source.location,
        ) from exc
    except OSError as exc:
        raise ResourceError(
            "{model} could not be fetched: {reason}. Check network and disk, and try again.",
            model=source.location,
            reason=type(exc).__name__,
        ) from exc
    if weights and not any(Path(folder).glob("*.safetensors")):
        raise ModelError(
            "{model} has no safetensors files on the hub, or they are not on this machine and the hub cannot be reached. "
            "Choose a model with safetensors files, or connect to the network.",
            model=source.location,
        )
    return Path(folder)
