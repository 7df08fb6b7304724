"""Devices by the names that people use."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from tasks.catalogue.device import Device
from tasks.errors import BadInput

VENDORS = ("nvidia", "amd", "intel", "google", "aws", "amazon")

MOST_NAMED = 5


def key(name: str) -> str:
    """What two ways to write one name have in common.

    >>> key("H100-SXM5-80GB") == key("h100 sxm5 80gb")
    True
    """
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def find(name: str, devices: Sequence[Device]) -> Device:
    """The device that is meant: by its name or another one of it, or by parts of the name that only it has.

    Raises BadInput where none or several could be meant, naming the nearest.
    """
    wanted = key(name)
    exact = [device for device in devices if wanted in _keys(device)]
    parts = [key(part) for part in re.split(r"[^A-Za-z0-9+]+", name) if part and part.lower() not in VENDORS]
    without = key("".join(parts))
    found = exact or [device for device in devices if without in _keys(device)]
    found = found or [device for device in devices if parts and any(all(part in one for part in parts) for one in _keys(device))]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(f"{name} may be {_listed(found)}: write more of the name")
    raise BadInput(f"{name} is not in the catalogue; the nearest are {_listed(_nearest(wanted, devices))}; or add it in a file of your own")


def _keys(device: Device) -> tuple[str, ...]:
    return (key(device.name), *(key(alias) for alias in device.aliases))


def _nearest(wanted: str, devices: Sequence[Device]) -> list[Device]:
    owners = {one: device for device in devices for one in _keys(device)}
    near = get_close_matches(wanted, owners, n=MOST_NAMED, cutoff=0.0)
    return list({owners[one].name: owners[one] for one in near}.values())


def _listed(devices: Sequence[Device]) -> str:
    names = [device.name for device in devices]
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
