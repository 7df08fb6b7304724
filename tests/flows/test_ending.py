import pytest
import typer

from flows import ending
from flows.ending import exit_code
from tasks.errors import BadInput, GemmflowError, Interrupted, NonFinite, NotCertified, Refused


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("x"), 2),
        (Refused("x"), 3),
        (NotCertified("x"), 4),
        (NonFinite("x"), 1),
        (GemmflowError("x"), 1),
        (Interrupted("x"), 130),
        (typer.BadParameter("x"), 2),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(error) == code
    monkeypatch.setattr(ending, "stopping", lambda: True)
    assert exit_code(error) == 130
