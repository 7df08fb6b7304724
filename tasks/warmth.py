"""Where the bytes of A and B are when a job is planned: in the page cache, or not.

What is in the cache now changes what is predicted, never what is planned: the same call makes the same plan, and the same bits. Plans are
compared for inputs as they usually are, `settled`: in the cache where the machine can hold them, and otherwise not.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storage import cached
from tasks.hardware import Hardware, available_memory
from tasks.symmetry import same_matrix

if TYPE_CHECKING:
    from storage import Cached
    from tasks.problem import Operand, Problem

HERE = ("local", "cuda")
"""Clusters whose workers read through this host's page cache."""


@dataclass(frozen=True)
class Warmth:
    """The files of A and B on this host."""

    nbytes: tuple[int, int]
    """Bytes of the files of A, and of B; 0 where they are not on this host."""
    cold: tuple[float, float]
    """Of these bytes not in the page cache."""
    room: int
    """Bytes of memory that are free, or would be if the page cache held nothing."""
    shared: bool = False
    """Whether A and B are the same files."""

    def __post_init__(self) -> None:
        if min(*self.nbytes, self.room) < 0 or not all(0 <= share <= 1 for share in self.cold):
            raise ValueError(f"{self.cold} of {self.nbytes} bytes with room for {self.room} are no state of a page cache")

    @property
    def total(self) -> int:
        """Bytes of all files, each counted once."""
        return max(self.nbytes) if self.shared else sum(self.nbytes)

    @property
    def cold_bytes(self) -> float:
        """Those that are not in the page cache."""
        of_a, of_b = (nbytes * share for nbytes, share in zip(self.nbytes, self.cold, strict=True))
        return of_a if self.shared else of_a + of_b


def warmth_of(cluster: str, a: "Operand", b: "Operand") -> Warmth | None:
    """What a few milliseconds tell; None where workers elsewhere will read, or nothing of A and B is in files of this host."""
    if cluster not in HERE:
        return None
    shared = same_matrix(a.matrix, b.matrix)
    of_a = cached(a.matrix)
    of_b = of_a if shared else cached(b.matrix)
    if of_a is None and of_b is None:
        return None
    nbytes, room = tuple(found.nbytes if found else 0 for found in (of_a, of_b)), available_memory()
    taken = Warmth((nbytes[0], nbytes[1]), (0.0, 0.0), room, shared)
    return replace(taken, cold=(_cold(of_a, taken), _cold(of_b, taken)))


def settled(problem: "Problem", hardware: Hardware) -> "Problem":
    """The problem as plans are compared for it: nothing is cold where the machine's memory holds all of it, and all where it does not."""
    warmth = problem.warmth
    if warmth is None or warmth.total <= hardware.memory_bytes:
        return replace(problem, warmth=None)
    return replace(problem, warmth=replace(warmth, cold=(1.0, 1.0), room=hardware.memory_bytes))


def _cold(found: "Cached | None", taken: Warmth) -> float:
    """The share that is not in the cache; what is most likely where nobody knows."""
    if found is None:
        return 0.0
    if found.share is None:
        return float(taken.total > taken.room)
    return 1.0 - found.share
