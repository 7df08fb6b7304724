"""Roofline: how fast the run was against what multiplying, reading and writing allow (Williams, Waterman, Patterson 2009).

The ceiling is the measured GEMM rate of all workers. Each byte that is read or written buys a number of operations, its
intensity; a channel of b bytes/s lets a run of intensity x reach at most b x FLOP/s. A run has one speed and two intensities,
one against the bytes it read and one against those it wrote, each below its own slope.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes

from tasks.figures import INK, Canvas, Chart, Key, Style, draw, say
from tasks.report import Report
from tasks.units import format_count

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Limits:
    """What the workers of a plan can do together."""

    flops: float
    """FLOP/s of the GEMM kernel."""
    read: float
    """Decoded bytes/s of reading A and B."""
    write: float
    """Decoded bytes/s of encoding and writing C."""


@dataclass(frozen=True)
class _Channel:
    name: str
    ink: str
    rate: float
    """Bytes/s; 0 where it was not measured."""
    intensity: float
    """FLOP of the run for each byte that went through."""


def limits(report: Report) -> Limits:
    """Measured rates of the plan's layout times its workers; 0 where a rate was not measured."""
    run, plan = report.run, report.run.plan
    rates = run.hardware.layout(plan.workers, plan.threads_per_worker).rates
    decode = min(rates.decode.get(operand.matrix.codec, 0.0) for operand in (run.problem.a, run.problem.b))
    encode = rates.encode.get(report.stored.codec, 0.0)
    ratio = max(report.stored.ratio, 1e-9)
    return Limits(
        flops=plan.workers * rates.flops.get(plan.arithmetic, 0.0),
        read=plan.workers * decode,
        write=plan.workers * _in_turn(encode, rates.write * ratio),
    )


def roofline(report: Report) -> Chart:
    """The run's point under its ceiling and slopes."""
    limit, speed = limits(report), report.flops_done / max(report.outcome.seconds, 1e-9)
    channels = _channels(report, limit)
    knees = [limit.flops / channel.rate for channel in channels if channel.rate and limit.flops]
    places = [channel.intensity for channel in channels] + knees
    left, right = min(places) / 10, max(places) * 10
    bottom, top = min(limit.flops or speed, speed) / 40, max(limit.flops, speed) * 3

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        for channel in channels:
            _paint_channel(axes, channel, limit, speed)
        if limit.flops:
            axes.plot([left, right], [limit.flops] * 2, color=INK["multiply"], linewidth=2)
            say(axes, f"GEMM of all workers, {format_count(limit.flops, 'FLOP/s')}", (right, limit.flops), Style("right", (0, 9)))
        axes.plot([channels[0].intensity, right], [speed, speed], color=INK["text"], linewidth=1, alpha=0.4)
        say(axes, f"this run, {format_count(speed, 'FLOP/s')}", (right, speed), Style("right", (0, -10), bold=True))
        axes.minorticks_off()
        axes.grid(True, alpha=0.6)
        axes.xaxis.set_major_formatter(lambda value, _: decade(value))
        axes.yaxis.set_major_formatter(lambda value, _: decade(value))
        axes.set_xlabel("FLOP per byte")
        axes.set_ylabel("FLOP/s")

    svg = draw("roofline", Canvas(400, 260, left=56, bottom=40), paint, "Roofline of the run")
    legend = tuple(Key(channel.name, channel.ink, format_count(channel.rate, "B/s") if channel.rate else "") for channel in channels)
    return Chart("roofline", "Roofline", _note(limit, speed), svg, legend=legend)


def decade(value: float) -> str:
    """A mark of a logarithmic axis.

    >>> decade(1e4), decade(1e11), decade(0.1)
    ('10 k', '100 G', '0.1')
    """
    size, prefix = next(((size, prefix) for size, prefix in _PREFIXES if value >= size), (1.0, ""))
    return f"{value / size:g} {prefix}".strip()


def _channels(report: Report, limit: Limits) -> tuple[_Channel, _Channel]:
    read, written = (report.flops_done / max(1, count) for count in (report.measured.bytes_read, report.measured.bytes_written))
    return _Channel("reading A and B", "read", limit.read, read), _Channel("encoding and writing C", "write", limit.write, written)


def _paint_channel(axes: Axes, channel: _Channel, limit: Limits, speed: float) -> None:
    (left, right), ink = axes.get_xlim(), INK[channel.ink]
    if channel.rate:
        knee = limit.flops / channel.rate if limit.flops else right
        axes.plot([left, knee], [left * channel.rate, knee * channel.rate], color=ink, linewidth=2)
    axes.plot([channel.intensity] * 2, [axes.get_ylim()[0], speed], color=ink, linewidth=1, dashes=(2, 3))
    axes.plot(channel.intensity, speed, "o", color=ink, markersize=9, markeredgecolor=INK["card"], markeredgewidth=1.5, zorder=5)


def _in_turn(first: float, second: float) -> float:
    return 1 / (1 / first + 1 / second) if first > 0 and second > 0 else 0.0


def _note(limit: Limits, speed: float) -> str:
    share = f"{100 * speed / limit.flops:.0f} % of what the GEMM kernel alone reaches. " if limit.flops else ""
    return f"{share}Both axes are logarithmic; a dot near its slope would mean that reading or writing sets the pace, not arithmetic."
