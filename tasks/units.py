"""Numbers as people write and read them: bytes, rates, seconds, shapes."""

import re
from decimal import ROUND_CEILING, Context, Decimal

_FACTORS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "KI": 1024, "MI": 1024**2, "GI": 1024**3, "TI": 1024**4}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?\s*", re.IGNORECASE)


def parse_bytes(text: object) -> int:
    """Bytes of a size such as ``"4GiB"``, ``"1.5 GB"`` or ``1073741824``.

    Raises ValueError when `text` is no size.

    >>> parse_bytes("1.5KiB"), parse_bytes("2 MB"), parse_bytes(7)
    (1536, 2000000, 7)
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number with a unit, for example 4GiB or 512MiB")
    return int(Decimal(match[1]) * _FACTORS[(match[2] or "").upper()])


def format_bytes(count: float) -> str:
    """Bytes in binary units, three digits.

    >>> format_bytes(1536), format_bytes(3 * 1024**3), format_bytes(12)
    ('1.50 KiB', '3.00 GiB', '12 B')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    place = 0
    while round(abs(count)) >= 1024 and place < len(units) - 1:
        count, place = count / 1024, place + 1
    return f"{count:.{_digits(count) if place else 0}f} {units[place]}"


def format_count(count: float, unit: str) -> str:
    """A decimal quantity with its prefix, three digits.

    >>> format_count(1.0995e12, "FLOP"), format_count(120, "FLOP")
    ('1.10 TFLOP', '120 FLOP')
    """
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z")
    place = 0
    while round(abs(count)) >= 1000 and place < len(prefixes) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.{_digits(count) if place else 0}f} {prefixes[place]}{unit}"


def format_seconds(seconds: float) -> str:
    """A duration as people say it.

    >>> format_seconds(0.0123), format_seconds(75), format_seconds(7322)
    ('0.012 s', '1 min 15 s', '2 h 02 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.{3 if seconds < 1 else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def round_up(value: float) -> str:
    """Three digits, never below the value: whoever asks for what is printed asks for enough.

    >>> round_up(9.7748e-4), round_up(0.001), round_up(0.0)
    ('0.000978', '0.001', '0')
    """
    return f"{float(Context(prec=3, rounding=ROUND_CEILING).create_decimal(str(value))):.3g}" if value else "0"


def _digits(value: float) -> int:
    return 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
