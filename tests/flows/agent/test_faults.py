import doctest

import pytest

from flows.agent import faults
from flows.agent.faults import AgentError, fault_of
from tasks.errors import BadInput, NonFinite, NotCertified, Refused, TooLittleMemory


def test_the_example_of_the_module() -> None:
    assert doctest.testmod(faults).failed == 0


@pytest.mark.parametrize(
    ("error", "code", "fix"),
    [
        (BadInput("/C.zarr exists: choose another place or pass --overwrite"), "bad_input", "choose another place or pass overwrite"),
        (Refused("disk has 5 bytes free, the result needs 9: free space"), "refused", "free space"),
        (TooLittleMemory("memory of 64 MiB is too small"), "too_little_memory", "give more memory, or fewer workers, then analyze again"),
        (NonFinite("NaN in A"), "non_finite", "mend the input, or analyze with allow_nonfinite"),
        (NotCertified("1e-3 is more than 1e-6"), "not_certified", "analyze with a larger max_error, or guarantee certified"),
        (AgentError("busy", "16 plans", "wait"), "busy", "wait"),
        (OSError(28, "No space left on device", "/s/x"), "not_written", "tell the operator, then call again"),
        (ValueError("odd"), "internal", "tell the operator; the server's log says where"),
    ],
)
def test_every_error_has_code_cause_and_fix(error: Exception, code: str, fix: str) -> None:
    fault = fault_of(error)
    assert (fault.code, fault.fix) == (code, fix)
    assert fault.cause and "--" not in fault.cause + fault.fix


def test_a_message_of_many_lines_becomes_one() -> None:
    assert fault_of(BadInput("a\nb: c\nd")).model_dump() == {"code": "bad_input", "cause": "a b", "fix": "c d"}
