import pytest
import typer

from flows import ending
from flows.ending import exit_code, failure_line
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


def test_what_lies_beside_out_is_said_to_be_kept_unless_the_run_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_unfinished", lambda traces: ["/d/C.gemmflow/r.1"])
    assert failure_line(Refused("x"), []) == "x"
    for error in (GemmflowError("x"), BadInput("x")):
        assert "is kept in /d/C.gemmflow/r.1" in failure_line(error, [])
