"""The front of the package lists exactly what it offers."""

from types import ModuleType

import storage


def test_everything_that_is_imported_is_listed() -> None:
    public = {name for name, value in vars(storage).items() if not name.startswith("_") and not isinstance(value, ModuleType)}
    shadowing = {"publish"}  # a function with the name of its module
    assert public | shadowing == set(storage.__all__)
