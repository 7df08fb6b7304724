"""Which slab lies in which buffer: least recently used, in integers only.

The worker uses it to reuse its buffers. What it gives over a whole walk, the planner knows in closed form
(`tasks.walk.planned_chunks`); that is why bytes planned and bytes read agree.
"""

from collections import OrderedDict
from collections.abc import Hashable


class SlotTable:
    """`capacity` buffers; the key used longest ago gives way.

    >>> table = SlotTable(2)
    >>> [table.place(key) for key in ("a", "b", "a", "c", "b")]
    [(0, False), (1, False), (0, True), (1, False), (0, False)]
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a slot table needs at least one slot, not {capacity}")
        self.capacity = capacity
        self._slots: OrderedDict[Hashable, int] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        """Whether the key has a slot; it is used no less recently for being asked about."""
        return key in self._slots

    def place(self, key: Hashable) -> tuple[int, bool]:
        """The slot of `key` and whether it was there already; otherwise the caller fills the slot."""
        if key in self._slots:
            self._slots.move_to_end(key)
            return self._slots[key], True
        full = len(self._slots) == self.capacity
        slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
        self._slots[key] = slot
        return slot, False
