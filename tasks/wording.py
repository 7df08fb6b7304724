"""Numbers and facts of a report as people read them, one spelling for terminal, Markdown and HTML."""

import math
import signal

from storage import GOALS
from tasks.job import Job
from tasks.plan import Inputs, Plan, Skipped
from tasks.rounding import Rounded, Rounding
from tasks.units import format_bytes, format_count, format_seconds

RESIDENT = {"C": "only C stays in memory", "A": "the row panel of A stays in memory", "B": "the column panel of B stays in memory"}


def bound(value: float) -> str:
    """An upper bound, three digits, rounded up so that what is printed still holds.

    >>> bound(3.111e-7), bound(0.0), bound(math.inf), bound(9.996e-5)
    ('3.12e-07', '0', 'none', '1.00e-04')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "none"
    exponent = math.floor(math.log10(value))
    digits = math.ceil(value / 10.0 ** (exponent - 2) - 1e-9)
    return f"{digits * 10.0 ** (exponent - 2):.2e}"


def asked(value: float) -> str:
    """An error that was asked for: as given, or rounded up like a bound, so that a bound within it never prints above it.

    >>> asked(1e-3), asked(1.25e-6), asked(1.83171e-4)
    ('0.001', '1.25e-06', '1.84e-04')
    """
    short = f"{value:.3g}"
    return short if float(short) == value else bound(value)


def power_of_ten(text: str) -> str:
    """A number in e-notation as people write it.

    >>> power_of_ten("3.2e-07"), power_of_ten("none")
    ('3.2\u202f×\u202f10⁻⁷', 'none')
    """
    mantissa, mark, exponent = text.partition("e")
    if not mark or not exponent.lstrip("+-").isdigit():
        return text
    return f"{mantissa}\u202f×\u202f10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def change(predicted: float, measured: float) -> str:
    """Measured against predicted, in per cent.

    >>> change(10, 11), change(100, 99.9), change(1, 5), change(0, 3)
    ('+10 %', '±0 %', '5.0 x', '')
    >>> change(10, 9)
    '−10 %'
    """
    if predicted <= 0 or not math.isfinite(predicted):
        return ""
    ratio = measured / predicted
    if ratio >= 2:
        return f"{ratio:.1f} x" if ratio < 10 else f"{ratio:.0f} x"
    per_cent = round(100 * (ratio - 1))
    return f"{per_cent:+d} %".replace("-", "−") if per_cent else "±0 %"


def formula(job: Job) -> str:
    """The product that was asked for.

    >>> formula(Job(a="a", b="b", out="c", transpose_b=True, alpha=2.0)), formula(Job(a="a", b="a", out="c", transpose_a=True))
    ('C = 2 A Bᵀ', 'C = Aᵀ A')
    """
    alpha = "" if job.alpha == 1 else "-" if job.alpha == -1 else f"{job.alpha:g} "
    first, second = "A", "A" if job.a == job.b else "B"
    a, b = f"{first}{'ᵀ' * job.transpose_a}", f"{second}{'ᵀ' * job.transpose_b}"
    added = "" if job.add is None else f" {'-' if job.beta < 0 else '+'} {'' if abs(job.beta) == 1 else f'{abs(job.beta):g} '}C0"
    return f"C = {alpha}{a} {b}{added}"


def planned_rounding(rounding: Rounding) -> str:
    """What a plan does to values before storage; empty where nothing was asked.

    >>> planned_rounding(Rounding("auto", 2.0**-10)), planned_rounding(Rounding())
    ('values, to powers of two chosen for each row: adds at most 9.77e-04', '')
    """
    if rounding.mode == "no":
        return ""
    return rounding.why or f"values, to powers of two chosen for each row: adds at most {bound(rounding.share)}"


def done_rounding(rounded: Rounded) -> str:
    """What rounding did to a product; empty where nothing was asked.

    >>> done_rounding(Rounded("auto", 2e-3, 1e-3, 0.5))
    'to steps of at most 2^-1: 1.00e-03 of the error, 2.00e-03 allowed'
    """
    if rounded.mode == "no" or rounded.why:
        return rounded.why
    if rounded.largest_step == 0:
        return f"nothing: no row allows it, with {bound(rounded.share)} of the error"
    step = f"2^{math.frexp(rounded.largest_step)[1] - 1}"
    return f"to steps of at most {step}: {bound(rounded.measured)} of the error, {bound(rounded.share)} allowed"


def skipped_words(skipped: Skipped | None) -> str:
    """What a plan leaves out because it is known to be zero; empty where that is nothing.

    >>> skipped_words(Skipped(56, 64, 2**20, 7 * 10**9)), skipped_words(None)
    ('56 of 64 slabs are skipped: 7.00 GFLOP and 1.00 MiB less to read', '')
    """
    if skipped is None or not skipped.slabs:
        return ""
    less = f"{format_count(skipped.flops, 'FLOP')} and {format_bytes(skipped.bytes_read)} less to read"
    return f"{skipped.slabs:,} of {skipped.of:,} slabs are skipped: {less}"


def cached_words(inputs: Inputs | None) -> str:
    """What of the inputs is in the page cache, and what that is worth; empty where it is not known.

    >>> cached_words(Inputs(2**30, 1.0, 0.0, 0.8)), cached_words(Inputs(2**30, 0.0, 0.8, 0.0))
    ('all 1.00 GiB of the inputs, worth 0.800 s', 'nothing of the inputs: the run waits 0.800 s for 1.00 GiB from the disk')
    >>> cached_words(Inputs(2**30, 0.25, 0.6, 0.2)), cached_words(None)
    ('25 % of the inputs, worth 0.200 s: the run waits 0.600 s for 768 MiB from the disk', '')
    """
    if inputs is None:
        return ""
    if inputs.share == 1:
        return f"all {format_bytes(inputs.nbytes)} of the inputs, worth {format_seconds(inputs.saved)}"
    some = f"{100 * inputs.share:.0f} % of the inputs, worth {format_seconds(inputs.saved)}" if inputs.share else "nothing of the inputs"
    rest = format_bytes(round((1 - inputs.share) * inputs.nbytes))
    return f"{some}: the run waits {format_seconds(inputs.waiting)} for {rest} from the disk"


def confidence(value: float) -> str:
    """A probability in per cent, as many nines as it has.

    >>> confidence(0.999), confidence(0.95), confidence(1.0)
    ('99.9 %', '95 %', '100 %')
    """
    return f"{100 * value:.6g} %"


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "tile"), plural(12500, "tile")
    ('1 tile', '12,500 tiles')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ended(status: int) -> str:
    """How a process ended, by its exit status.

    >>> ended(-9), ended(-99), ended(1)
    ('killed by SIGKILL', 'killed by signal 99', 'ended with exit code 1')
    """
    if status >= 0:
        return f"ended with exit code {status}"
    known = -status in set(signal.Signals)
    return f"killed by {signal.Signals(-status).name if known else f'signal {-status}'}"


def codec_words(codec: str) -> str:
    """A plan's codec, or who will choose it.

    >>> codec_words("smallest")
    'smallest (the first tile decides)'
    """
    return f"{codec} (the first tile decides)" if codec in GOALS else codec


def files_line(plan: Plan) -> str:
    """How the product is cut into files."""
    chunks = f"chunks of {plan.chunk[0]} x {plan.chunk[1]}"
    return f"{chunks}, shards of {plan.shard[0]} x {plan.shard[1]}" if plan.shard else chunks


def parts_words(parts: int, codec: str) -> str:
    """How a tile is cut along k, and in which codec the sums travel.

    >>> parts_words(1, "none"), parts_words(4, "none")
    ('', 'each summed up in 4 parts of k, ')
    >>> parts_words(4, "blosc-zstd")
    'each summed up in 4 parts of k that travel as blosc-zstd, '
    """
    travel = f" that travel as {codec}" if codec != "none" else ""
    return f"each summed up in {parts} parts of k{travel}, " if parts > 1 else ""


def plan_line(plan: Plan) -> str:
    """The plan in one line."""
    tile, where = plan.tile, "GPU " if plan.device == "cuda" else ""
    return (
        f"{plan.arithmetic} by {plan.kernel}, {plural(plan.tiles, 'tile')} of {tile.rows} x {tile.cols} in slabs of depth {tile.depth}, "
        f"{parts_words(plan.parts, plan.sums_codec)}{RESIDENT[plan.residency]}, "
        f"{plural(plan.workers, where + 'worker')} with {plural(plan.threads_per_worker, 'thread')} each"
    )
