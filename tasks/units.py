"""Numbers as people write and read them: bytes, rates, seconds, shapes."""

import re
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation

_FACTORS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "KI": 1024, "MI": 1024**2, "GI": 1024**3, "TI": 1024**4}
MOST = 10**30
"""No count that somebody means is above."""

_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(|s|min|h|d)\s*", re.IGNORECASE)
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


def parse_count(value: object) -> object:
    """A whole number as people write it; what is no text is returned as it is.

    Raises ValueError when a text is no whole number, or above MOST.

    >>> parse_count("4096"), parse_count("1e9"), parse_count("1_000"), parse_count("1.5e3")
    (4096, 1000000000, 1000, 1500)
    """
    if not isinstance(value, str):
        return value
    try:
        number = Decimal(value.strip().replace("_", ""))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a whole number: write for example 4096 or 1e9") from None
    if not number.is_finite() or abs(number) > MOST:
        raise ValueError(f"{value!r} is no count: at most {MOST:.0e}")
    if number != number.to_integral_value():
        raise ValueError(f"{value!r} is not a whole number: write for example 4096 or 1e9")
    return int(number)


def parse_seconds(text: object) -> float:
    """Seconds of a duration such as ``"90s"``, ``"30 min"``, ``"6h"``, ``"2d"`` or ``5400``.

    Raises ValueError when `text` is no duration.

    >>> parse_seconds("1.5h"), parse_seconds("2 d"), parse_seconds(7)
    (5400.0, 172800.0, 7.0)
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number with a unit, for example 90s, 30min, 6h or 2d")
    return float(match[1]) * _SECONDS[match[2].lower()]


def format_bytes(count: float) -> str:
    """Bytes in binary units, three digits.

    >>> format_bytes(1536), format_bytes(3 * 1024**3), format_bytes(12)
    ('1.50 KiB', '3.00 GiB', '12 B')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
    place = 0
    while round(abs(count)) >= 1024 and place < len(units) - 1:
        count, place = count / 1024, place + 1
    return f"{count:.{_digits(count) if place else 0}f} {units[place]}"


def format_count(count: float, unit: str) -> str:
    """A decimal quantity with its prefix, three digits.

    >>> format_count(1.0995e12, "FLOP"), format_count(120, "FLOP")
    ('1.10 TFLOP', '120 FLOP')
    """
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q")
    place = 0
    while round(abs(count)) >= 1000 and place < len(prefixes) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.{_digits(count) if place else 0}f} {prefixes[place]}{unit}"


def format_seconds(seconds: float) -> str:
    """A duration as people say it.

    >>> format_seconds(0.0123), format_seconds(75), format_seconds(7322)
    ('0.012 s', '1 min 15 s', '2 h 02 min')
    >>> format_seconds(3.5 * 86400), format_seconds(1e10)
    ('3 d 12 h', '317 years')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.{3 if seconds < 1 else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60:02d} min"
    days = round(seconds / 86400)
    return f"{hours // 24} d {hours % 24:02d} h" if days < 730 else f"{days / 365.25:,.0f} years"


def format_usd(amount: float) -> str:
    """US dollars, as people say them.

    >>> format_usd(0.004), format_usd(39.84), format_usd(1234567)
    ('0.004 $', '39.84 $', '1,234,567 $')
    """
    return f"{amount:,.0f} $" if amount >= 1000 else f"{amount:.2f} $" if amount >= 0.1 else f"{amount:.1g} $"


def round_up(value: float) -> str:
    """Three digits, never below the value: whoever asks for what is printed asks for enough.

    >>> round_up(9.7748e-4), round_up(0.001), round_up(0.0)
    ('0.000978', '0.001', '0')
    """
    return f"{float(Context(prec=3, rounding=ROUND_CEILING).create_decimal(str(value))):.3g}" if value else "0"


def _digits(value: float) -> int:
    return 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
