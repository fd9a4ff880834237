"""The one place in a worker that holds a model."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analysis.contracts import DType, Message, ModelSource
from analysis.models.card import read_card

if TYPE_CHECKING:
    from analysis.models.stack import LoadedModel

Report = Callable[[Message], None]
Load = Callable[[ModelSource, str, DType, Report], "LoadedModel"]


def load_from_disk(source: ModelSource, device: str, dtype: DType, on_progress: Report) -> LoadedModel:
    """Loads a model; torch comes in here and not before."""
    from analysis.models.load import load_model

    return load_model(source, device=device, dtype=dtype, on_progress=on_progress)


class ModelSlot:
    """Holds at most one model. The old one is gone before the new one is loaded, so memory never has to hold both.

    Args:
        load: how a model is loaded.
        on_loading: told when a load begins (True) and ends (False).
    """

    def __init__(self, load: Load = load_from_disk, on_loading: Callable[[bool], None] = lambda _begins: None) -> None:
        self._load = load
        self._on_loading = on_loading
        self._key: tuple[ModelSource, str, DType] | None = None
        self._loaded: LoadedModel | None = None

    @property
    def model_name(self) -> str | None:
        """Name of the model that is held."""
        loaded = self._loaded
        return loaded.info.name if loaded is not None else None

    def load(self, source: ModelSource, device: str, dtype: DType, on_progress: Report = lambda _stage: None) -> LoadedModel:
        """The model, from memory if it is the one that is held and its files have not changed since."""
        key = (source, device, dtype)
        if self._loaded is not None and key == self._key and _unchanged(source, self._loaded):
            return self._loaded
        self.unload()
        self._on_loading(True)
        try:
            self._loaded = self._load(source, device, dtype, on_progress)
        finally:
            self._on_loading(False)
        self._key = key
        return self._loaded

    def fresh(self, source: ModelSource, device: str, dtype: DType, on_progress: Report = lambda _stage: None) -> LoadedModel:
        """A model of the caller's own, to be changed at will; the one that is held goes first."""
        self.unload()
        return self._load(source, device, dtype, on_progress)

    def unload(self) -> None:
        """Gives the model's memory back to the machine."""
        self._key = self._loaded = None
        free_memory()


def _unchanged(source: ModelSource, loaded: LoadedModel) -> bool:
    card = read_card(source)
    return card is not None and card.info.commit == loaded.info.commit


def free_memory() -> None:
    """Collects what nobody refers to and hands cached memory back, the accelerator's and the process's own."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc keeps freed pages otherwise


def memory_in_use() -> int | None:
    """Bytes this process holds: on the accelerator if it uses one, else in main memory; None: not known here."""
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if getattr(cuda, "is_initialized", bool)():  # the other thread may be half-way through importing torch
        return int(torch.cuda.memory_reserved())
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return None
