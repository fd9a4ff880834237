"""One token's trace: how far its state is from the right word at every position, and whether each block moves it the straight way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.contracts import CurveName
from analysis.models.final_norm import FinalNorm
from analysis.semantics.bases import BASES, Bases, Weigher


@dataclass(frozen=True)
class Tracer:
    """Measures tokens against their words. Curves with the final norm first, then those without."""

    bases: Bases
    norm: FinalNorm | None
    weigher: Weigher

    @classmethod
    def of(cls, bases: Bases, norm: FinalNorm | None, dtype: torch.dtype) -> Tracer:
        """Ready for states of a number format."""
        return cls(bases, norm, Weigher.of(bases.gram, dtype))

    @property
    def curves(self) -> tuple[CurveName, ...]:
        """The curves it gives, in order."""
        return curve_names(self.norm is not None)

    def forms(self, states: Tensor) -> list[Tensor]:
        """The states as the curves take them: through the final norm, and raw."""
        return [states] if self.norm is None else [self.norm(states), states]

    def measure(
        self, states: Float[Tensor, "n positions width"], directions: Float[Tensor, "n bases width"]
    ) -> tuple[Float[Tensor, "n curves positions"], Float[Tensor, "n curves blocks"]]:
        """Deviation at every position and alignment of every block, float64."""
        found = [self._of_form(form, directions) for form in self.forms(states)]
        return torch.cat([one for one, _ in found], dim=1), torch.cat([one for _, one in found], dim=1)

    def _of_form(self, states: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        wide = states.float()
        dots = torch.bmm(wide, directions.mT).mT  # [n, bases, P]
        step = wide[:, 1:] - wide[:, :-1]
        plain, white = Squares.plain(wide, step), Squares.of(wide, step, self.weigher(states))
        squares = [white if basis == "whitened" else plain for basis in BASES]
        both = Squares(*(torch.stack([getattr(one, name) for one in squares], dim=1) for name in ("state", "along", "step")))
        return trace(dots.double(), both)


@dataclass(frozen=True)
class Squares:
    """Inner products in some coordinates: state [.., P] |z|^2, along [.., L] (z' - z).z, step [.., L] |z' - z|^2."""

    state: Tensor
    along: Tensor
    step: Tensor

    @classmethod
    def plain(cls, states: Tensor, step: Tensor) -> Squares:
        """In the states' own coordinates. `step` [n, L, d] are the differences z' - z, taken first, so that nothing cancels."""
        return cls(_dots(states, states, 0)[0], _dots(step, states, 0)[0], _dots(step, step, 0)[0])

    @classmethod
    def of(cls, states: Tensor, step: Tensor, mapped: Tensor) -> Squares:
        """In others; `mapped` are the states times the coordinates' (symmetric) matrix, so step.(mapped' - mapped) is |z' - z|^2."""
        along, ahead = _dots(step, mapped, 0, 1)
        return cls(_dots(states, mapped, 0)[0], along, ahead - along)


def trace(dots: Float[Tensor, "*n positions"], squares: Squares) -> tuple[Tensor, Tensor]:
    """Deviation 1 - cos(z, s) [.., P], and the cosine between z' - z and |z| s - z [.., L], the straight way to the word.

    Args:
        dots: z.s with s of length 1.
        squares: of the same states in the same coordinates.

    >>> states, word = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([0.0, 1.0])
    >>> deviation, alignment = trace(states @ word, Squares.plain(states[None], states[None].diff(dim=1)))
    >>> [round(x, 3) for x in deviation[0].tolist()], [round(x, 3) for x in alignment[0].tolist()]
    ([1.0, 0.293], [0.707])
    """
    length = squares.state.clamp_min(0).sqrt()
    deviation = 1 - _ratio(dots, length)
    start = length[..., :-1]
    towards = start * (dots[..., 1:] - dots[..., :-1]) - squares.along
    way = (2 * squares.state[..., :-1] * deviation[..., :-1]).clamp_min(0).sqrt()
    alignment = _ratio(towards, way * squares.step.clamp_min(0).sqrt())
    return deviation, alignment.clamp(-1, 1)


def curve_names(with_norm: bool) -> tuple[CurveName, ...]:
    """The basis curves that can be had with and without the final norm."""
    raw: tuple[CurveName, ...] = ("literal_raw", "centred_raw", "whitened_raw")
    normed: tuple[CurveName, ...] = ("literal", "centred", "whitened")
    return (*normed, *raw) if with_norm else raw


def _dots(a: Float[Tensor, "n rows width"], b: Float[Tensor, "n more width"], *shifts: int) -> list[Float[Tensor, "n rows"]]:
    """a_i . b_(i + shift) for every shift, float64."""
    if a.is_cuda:
        return [found.double() for found in _diagonals(a, b, shifts)]
    return [torch.linalg.vecdot(a, b[:, shift : shift + a.shape[1]]).double() for shift in shifts]


def _diagonals(a: Tensor, b: Tensor, shifts: Sequence[int]) -> list[Tensor]:
    """The same out of one product of all with all: more arithmetic, but a GPU waits for memory, and this reads everything once."""
    products = torch.bmm(a, b.mT)
    return [products.diagonal(shift, 1, 2) for shift in shifts]


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, 0 where b is 0: a state or a step of no length points nowhere."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)
