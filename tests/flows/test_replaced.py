"""On a module and a class of this file's own; on Prefect's: test_slot, test_lasting."""

import pytest

from flows.replaced import owner, replaced


class Home:
    @staticmethod
    def answer() -> int:
        return 1


def one_more(honest):
    return lambda: honest() + 1


def test_a_function_is_another_one_within_the_block_and_when_it_fails() -> None:
    with pytest.raises(ValueError, match="within"), replaced(f"{__name__}:Home", "answer", one_more):
        assert Home.answer() == 2
        raise ValueError("within")
    assert Home.answer() == 1


@pytest.mark.parametrize(("place", "name"), [("no_such_module", "answer"), (f"{__name__}:Homes", "answer"), (f"{__name__}:Home", "ask")])
def test_what_is_not_there_is_left_alone(place: str, name: str) -> None:
    with replaced(place, name, one_more):
        assert Home.answer() == 1 and not hasattr(Home, "ask")


def test_an_owner_is_a_module_or_a_class_of_one() -> None:
    assert owner("flows.replaced").replaced is replaced and owner(f"{__name__}:Home") is Home
    assert owner("no_such_module") is None is owner(f"{__name__}:Homes")
