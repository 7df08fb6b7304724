"""One job on so many of one device: feasible or why not, how long each lane takes, which one is the bottleneck, and what it costs.

device lanes   compute, where products are bound by arithmetic; memory, where they are bound by the device's own memory
other lanes    link between host and device; storage, read; output, written
seconds        the slowest of (compute + memory, link, storage, output): they overlap (roofline; S. Williams, A. Waterman, D.
               Patterson 2009), and the same for both ends of the interval
usd            seconds of all devices that are billed: whole instances
"""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import TYPE_CHECKING

from tasks.catalogue.span import Span, add, scale, slowest
from tasks.catalogue.timing import gemm_time, is_bound_by_memory
from tasks.choice.demand import Demand, Team, Way, Work
from tasks.choice.site import UNSURE, USABLE, Site
from tasks.units import format_bytes

if TYPE_CHECKING:
    from tasks.catalogue.device import Device
    from tasks.catalogue.price import Price

HOUR = 3600.0

LINK_SHARE = 0.88
"""Of a link's nominal rate that copies reach (H200 over PCIe 5: 55.4 of 63 GB/s, S. Bekman, ml-engineering, network/README.md)."""


@dataclass(frozen=True)
class Lane:
    """What some of the time goes to, were it alone."""

    name: str
    """compute, memory, link, storage or output."""
    span: Span


@dataclass(frozen=True)
class Bill:
    """What is rented."""

    price: "Price"
    """The offer."""
    devices: int
    """That are paid for: whole instances."""

    @property
    def instances(self) -> int:
        """How many."""
        return self.devices // self.price.devices_per_instance

    @property
    def usd_per_hour(self) -> float:
        """Of all."""
        return self.devices * self.price.usd_per_hour


@dataclass(frozen=True)
class Estimate:
    """A job on a team of devices."""

    device: "Device"
    count: int
    why_not: str = ""
    """Empty where it is feasible."""
    way: Way | None = None
    """The arithmetic that is fastest here; None where it is not feasible."""
    lanes: tuple[Lane, ...] = ()
    seconds: Span | None = None
    """From the first read to the last write, start-up left out."""
    bill: Bill | None = None
    """None where no price is known."""
    notes: tuple[str, ...] = ()
    """What is assumed."""

    @property
    def feasible(self) -> bool:
        """Whether this team can do it."""
        return self.seconds is not None

    @property
    def usd(self) -> Span | None:
        """What it costs; None where no price is known."""
        return scale(self.seconds, self.bill.usd_per_hour / HOUR) if self.seconds is not None and self.bill is not None else None

    @property
    def bottleneck(self) -> str:
        """The lane that the job waits for."""
        device = sum(lane.span.expected for lane in self.lanes if lane.name in _DEVICE)
        others = {lane.name: lane.span.expected for lane in self.lanes if lane.name not in _DEVICE}
        slowest_other = max(others, key=others.__getitem__, default="")
        if slowest_other and others[slowest_other] > device:
            return slowest_other
        return max((lane for lane in self.lanes if lane.name in _DEVICE), key=lambda lane: lane.span.expected).name if self.lanes else ""


_DEVICE = ("compute", "memory")


def estimate(demand: Demand, team: Team, site: Site) -> Estimate:
    """The fastest way that this team has of doing the job, or why it has none."""
    refusals: list[str] = []
    found: list[Estimate] = []
    for way in demand.ways(team.device):
        why_not = _obstacle(demand, way, team)
        if why_not:
            refusals.append(why_not)
        else:
            found.append(_estimate(demand.work(way, team), way, team, site))
    if found:
        return min(found, key=lambda one: one.seconds.expected if one.seconds else 0.0)
    return Estimate(team.device, team.count, why_not="; ".join(dict.fromkeys(refusals)) or "no arithmetic keeps the error that was asked")


def fewest(demand: Demand, device: "Device") -> int | None:
    """Devices without which the job does not fit in their memory; None where no way is possible at any number."""
    possible = [way for way in demand.ways(device) if way.precision in device.peaks]
    if not possible or not device.memory_bytes:
        return 1 if possible else None
    return min(max(1, ceil(demand.resident_bytes(way) / (USABLE * device.memory_bytes))) for way in possible)


def _obstacle(demand: Demand, way: Way, team: Team) -> str:
    device = team.device
    if way.precision not in device.peaks:
        return f"{device.name} has no {way.precision}, or its rate is unknown"
    needed = demand.resident_bytes(way)
    room = None if device.memory_bytes is None else USABLE * device.memory_bytes * team.count
    if room is not None and needed > room:
        return f"{format_bytes(needed)} do not fit in {format_bytes(room)}, {USABLE:.0%} of the memory of {team.count} x {device.name}"
    return ""


def _estimate(work: Work, way: Way, team: Team, site: Site) -> Estimate:
    lanes = _device_lanes(work, way, team.device) + _other_lanes(work, team, site)
    seconds = slowest(_together(lanes), *(lane.span for lane in lanes if lane.name not in _DEVICE))
    bill = bill_for(team.device, team.count)
    apart = bill.instances if work.exchanged_bytes and bill is not None else 1
    if work.exchanged_bytes:
        seconds = _widened(seconds, work.exchanged_bytes if apart == 1 else inf, team.device)
    notes = work.notes + _notes(work, team, site) + ((_apart(apart),) if apart > 1 else ())
    return Estimate(team.device, team.count, way=way, lanes=lanes, seconds=seconds, bill=bill, notes=notes)


def _apart(instances: int) -> str:
    return f"{instances} instances tell each other what they share over a network of unknown rate: the interval has no upper end"


def _device_lanes(work: Work, way: Way, device: "Device") -> tuple[Lane, ...]:
    spans: dict[str, list[Span]] = {"compute": [], "memory": []}
    for share in work.shares:
        lane = "memory" if is_bound_by_memory(device, way.precision, share.gemm) else "compute"
        spans[lane].append(scale(gemm_time(device, way.precision, share.gemm), share.times))
    return tuple(Lane(name, add(*parts)) for name, parts in spans.items() if parts)


def _together(lanes: tuple[Lane, ...]) -> Span:
    return add(*(lane.span for lane in lanes if lane.name in _DEVICE))


def _other_lanes(work: Work, team: Team, site: Site) -> tuple[Lane, ...]:
    device = team.device
    link = device.link_bandwidth
    site = Site(device.storage["read"], device.storage["write"], assumed=False) if site.assumed and device.storage else site
    amounts = (
        ("link", work.link_bytes, link * LINK_SHARE * team.count if link else None),
        ("storage", work.read_bytes, site.read),
        ("output", work.written_bytes, site.write),
    )
    spans = {name: amount / rate for name, amount, rate in amounts if amount and rate}
    return tuple(Lane(name, _crossed(took) if name == "link" else _known(took, site.assumed)) for name, took in spans.items())


def _crossed(seconds: float) -> Span:
    """Over a link: at best at its nominal rate; at worst at half of it, where the host copies each byte once more before it is sent."""
    return Span(seconds, seconds * LINK_SHARE, seconds * LINK_SHARE * 2, "assumed")


def _known(seconds: float, assumed: bool) -> Span:
    return Span(seconds, seconds / UNSURE, seconds * UNSURE, "assumed") if assumed else Span(seconds, seconds, seconds, "stated")


def _widened(seconds: Span, exchanged: float, device: "Device") -> Span:
    """At worst, what devices tell each other crosses the hosts' links and overlaps with nothing."""
    if not device.link_bandwidth:
        return replace(seconds, high=float("inf"))
    return replace(seconds, high=seconds.high + exchanged / (device.link_bandwidth * LINK_SHARE))


def bill_for(device: "Device", count: int) -> Bill | None:
    """The cheapest offer for so many devices; None where no price is known."""
    offers = device.prices or ((device.price,) if device.price else ())
    bills = [Bill(offer, _whole(count, offer.devices_per_instance)) for offer in offers]
    return min(bills, key=lambda one: (one.usd_per_hour, one.devices), default=None)


def _notes(work: Work, team: Team, site: Site) -> tuple[str, ...]:
    notes = [site.words] if site.assumed and not team.device.storage and (work.read_bytes or work.written_bytes) else []
    if work.link_bytes and not team.device.link_bandwidth:
        notes.append(f"the link of {team.device.name} is unknown: taken as no bottleneck")
    if team.device.memory_bytes is None:
        notes.append(f"the memory of {team.device.name} is unknown: taken as enough")
    return tuple(notes)


def _whole(count: int, size: int) -> int:
    return ceil(count / size) * size
