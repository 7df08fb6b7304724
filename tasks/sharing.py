"""A part of a machine: the layouts that fit some of its cores, with the rates of the whole, since the others are busy too."""

from dataclasses import replace

from tasks.hardware import Hardware


def with_cores(hardware: Hardware, cores: int) -> Hardware:
    """The hardware for a run that may use only so many cores; at least one worker with the fewest threads stays."""
    if cores >= hardware.cores:
        return hardware
    fitting = [layout for layout in hardware.layouts if layout.threads <= cores]
    least = min(hardware.layouts, key=lambda layout: layout.threads)
    kept = [replace(layout, workers=max(1, min(layout.workers, cores // layout.threads))) for layout in fitting or [least]]
    return replace(hardware, layouts=tuple(kept))
