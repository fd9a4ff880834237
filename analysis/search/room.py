"""How much may travel at once on a device, and how far a GPU's queue may run ahead of whoever waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from analysis.contracts import SearchSettings
from analysis.models.stack import LoadedModel, Stack
from analysis.search.travel import Room

_MIB = 1 << 20
CPU_STREAM_BYTES = 512 * _MIB
CPU_BATCH, CPU_CALL, CPU_HEAD = (256, 1024), 1024, 256
CPU_CALL_FLOPS = 1e11
"""A call of a block stays near this, one or two seconds on two cores: whether to stop is asked between calls."""
GPU_BATCH, GPU_CALL, GPU_HEAD = (256, 2048), 65_536, 8_192
GPU_SHARE = 0.25
"""Share of a GPU's free memory for the states, and again for what a call of a block needs on top."""
CPU_GROUP = 16
"""Sets in a group on a CPU: what is finished is kept after each group."""
EVERYTHING = 1 << 30
BATCHES = 24
"""Batches are made so small that there are about so many: sets that race drop out between batches."""


def room_for(loaded: LoadedModel, stack: Stack, settings: SearchSettings, tokens: int) -> tuple[Room, int]:
    """The room on the model's device for a workload of so many tokens, and the padded tokens of one stream in a batch."""
    smallest, largest = GPU_BATCH if loaded.device.type == "cuda" else CPU_BATCH
    batch = settings.batch_tokens or min(max(tokens // BATCHES, smallest), largest)
    if loaded.device.type != "cuda":
        widest = max((block.n_parameters for block in stack.info.blocks), default=0)
        call = max(smallest, min(CPU_CALL, int(CPU_CALL_FLOPS / max(1, 2 * widest))))
        room = Room(settings.memory_bytes or CPU_STREAM_BYTES, call, CPU_GROUP, CPU_HEAD)
        return room, settings.batch_tokens or min(batch, call)
    free = GPU_SHARE * torch.cuda.mem_get_info(loaded.device)[0]
    call = min(GPU_CALL, max(1024, int(free / _bytes_per_token(stack, loaded))))
    head = min(GPU_HEAD, max(256, int(free / (6 * max(1, loaded.info.vocab_size) + 1))))
    return Room(settings.memory_bytes or int(free), call, EVERYTHING, head), batch


def _bytes_per_token(stack: Stack, loaded: LoadedModel) -> int:
    """What a token needs at most while a block runs: twice the widest moment of the MLP, and some states."""
    width = loaded.info.hidden_size
    mlp = max((block.mlp.n_parameters if block.mlp else block.n_parameters for block in stack.info.blocks), default=0)
    return int((2 * mlp / max(1, width) + 8 * width) * loaded.dtype.itemsize)


@dataclass
class Pace:
    """Asks whether to stop, and keeps a GPU at most a few calls behind, so that an answer means something."""

    device: torch.device
    check: Callable[[], None]
    _events: list[torch.cuda.Event] = field(default_factory=list)

    def step(self) -> None:
        """Called before each call of a block or of the head."""
        self.check()
        if self.device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._events.append(event)
        if len(self._events) > 32:
            self._events.pop(0).synchronize()
