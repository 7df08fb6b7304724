"""What number types hold: how they round, how small and how large values may be, and which integers are exact.

tf32 is float32 of which matrix units read 11 significant bits. numpy's names otherwise, and bfloat16.
"""

import numpy as np

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "tf32": 2.0**-10}
"""Largest relative error of a conversion: half the distance from 1 to the next number, all of it for tf32, which truncates."""

SMALLEST_NORMAL = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126, "tf32": 2.0**-126}
"""What is smaller may be flushed to zero by some kernel, so the underflow term counts it as lost."""

HALF_SUBNORMAL = {"float64": 2.0**-1074, "float32": 2.0**-150, "float16": 2.0**-25}
"""Largest absolute error of rounding a tiny value to nearest with gradual underflow."""

SIGNIFICAND_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8, "tf32": 11}
"""Integers up to 2**bits are exact."""

INTEGER_BITS = {"int8": 7, "int32": 31}
"""Integers below 2**bits in magnitude are exact, in the integer types that products are made of."""

NARROW = ("bfloat16", "float16")
"""Types that operands are always scaled for, so that no loss is absolute; float32 from float64 alone."""

LARGEST_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127, "tf32": 127}
"""Powers of two up to this are finite."""


_UNKNOWN_TO_NUMPY = {"bfloat16": 2, "tf32": 4, "fp8": 1}
"""Bytes of an element in memory."""


def width(name: str) -> int:
    """Bytes of an element of this type in memory.

    >>> width("float64"), width("bfloat16"), width("tf32")
    (8, 2, 4)
    """
    return _UNKNOWN_TO_NUMPY[name] if name in _UNKNOWN_TO_NUMPY else np.dtype(name).itemsize


def is_integer(name: str) -> bool:
    """Whether it is a type of integers.

    >>> is_integer("uint8"), is_integer("bfloat16")
    (True, False)
    """
    return name not in _UNKNOWN_TO_NUMPY and np.dtype(name).kind in "iu"


def result_type(dtypes: tuple[str, str]) -> str:
    """numpy's type of a product of these; bfloat16, which numpy does not know, goes with the others as float32.

    >>> result_type(("int8", "float32")), result_type(("int64", "uint64")), result_type(("bfloat16", "bfloat16"))
    ('float32', 'float64', 'float32')
    """
    return np.result_type(*(np.dtype("float32" if name == "bfloat16" else name) for name in dtypes)).name


def natural_arithmetic(dtypes: tuple[str, str]) -> str:
    """The arithmetic of the inputs' result type: float32 for float16 and float32, float64 for all else.

    >>> natural_arithmetic(("float16", "float32")), natural_arithmetic(("int8", "int8"))
    ('float32', 'float64')
    """
    return "float32" if result_type(dtypes) in ("float16", "float32") else "float64"


def largest_magnitude(dtype: str) -> int:
    """Largest absolute value of an integer type.

    >>> largest_magnitude("int8"), largest_magnitude("uint8")
    (128, 255)
    """
    info = np.iinfo(dtype)
    return max(-int(info.min), int(info.max))


def largest_sum(k: int, inputs: tuple[str, str]) -> int:
    """Largest magnitude of a sum of k products of integers of these types.

    >>> largest_sum(2, ("int8", "uint8"))
    65280
    """
    return k * largest_magnitude(inputs[0]) * largest_magnitude(inputs[1])


def holds_integers(output: str, largest: int) -> bool:
    """Whether a stored type holds every integer up to `largest` exactly.

    >>> holds_integers("float32", 2**24), holds_integers("float32", 2**24 + 1), holds_integers("int64", 2**53)
    (True, False, True)
    """
    return largest <= (2**63 - 1 if output == "int64" else last_exact_integer(output))


def rounding(source: str, target: str) -> float:
    """Unit roundoff of converting a value of type `source` to `target`; 0 where every value survives.

    Libraries convert float64 to 16 bits by way of float32: (1 + u)(1 + 2^-24) - 1 is below u + 2^-23.

    >>> rounding("float16", "float32"), rounding("int16", "float32"), rounding("float32", "bfloat16") == 2.0**-8
    (0.0, 0.0, True)
    """
    if target not in UNIT_ROUNDOFF or fits(source, target):
        return 0.0
    by_float32 = source == "float64" and SIGNIFICAND_BITS[target] < SIGNIFICAND_BITS["float32"]
    return UNIT_ROUNDOFF[target] + (2 * UNIT_ROUNDOFF["float32"] if by_float32 else 0.0)


def fits(source: str, target: str) -> bool:
    """Whether a narrow type holds every significand of another one.

    >>> fits("int8", "int8"), fits("uint8", "int8"), fits("float16", "tf32")
    (True, False, True)
    """
    if target in INTEGER_BITS:
        return source == target
    return bits(source) <= SIGNIFICAND_BITS[target]


def within(source: str, target: str) -> bool:
    """Whether no finite value of a type overflows or becomes subnormal in another one."""
    if is_integer(source):
        return largest_magnitude(source) < 2 ** LARGEST_EXPONENT[target]
    return SMALLEST_NORMAL[source] * 2.0**-10 > SMALLEST_NORMAL[target]


def last_exact_integer(dtype: str) -> int:
    """Largest integer up to which all are exact.

    >>> last_exact_integer("int8"), last_exact_integer("bfloat16")
    (127, 256)
    """
    return 2 ** INTEGER_BITS[dtype] - 1 if dtype in INTEGER_BITS else 2 ** SIGNIFICAND_BITS[dtype]


def bits(dtype: str) -> int:
    """Bits of a significand, or of the largest magnitude of an integer type but for the lowest integer of a signed one.

    >>> bits("float32"), bits("int8"), bits("uint8")
    (24, 7, 8)
    """
    if dtype in SIGNIFICAND_BITS:
        return SIGNIFICAND_BITS[dtype]
    return largest_magnitude(dtype).bit_length() - (0 if dtype.startswith("u") else 1)
