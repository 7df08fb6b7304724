"""What Prefect keeps to itself and a run cannot do without: found by name, replaced for a while, left alone where a Prefect lacks it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def owner(place: str) -> object:
    """A module, or a class as `module:class`; None where there is none."""
    module, _, inside = place.partition(":")
    with suppress(ImportError):
        found = import_module(module)
        return getattr(found, inside, None) if inside else found
    return None


@contextmanager
def replaced(place: str, name: str, change: Callable[[F], F]) -> Generator[None]:
    """Within the block a function of an owner is what `change` makes of it."""
    home = owner(place)
    honest: F | None = getattr(home, name, None)
    if honest is None:
        yield
        return
    setattr(home, name, change(honest))
    try:
        yield
    finally:
        setattr(home, name, honest)
