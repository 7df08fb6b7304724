"""Devices for tests of choices, in round numbers."""

from tasks.catalogue import Device, Price

GB = 10**9
TERA = 1e12


def gpu(name: str = "big", price: float | None = 7.0, memory: int | None = 80 * GB, per_instance: int = 1) -> Device:
    peaks = {"bfloat16": 1000 * TERA, "tf32": 500 * TERA, "float32": 60 * TERA, "float64": 30 * TERA}
    return Device(name, "NVIDIA", "dc-gpu", peaks, memory, 3000 * GB, 60 * GB, priced(price, per_instance))


def cheap_gpu() -> Device:
    return Device("small", "NVIDIA", "dc-gpu", {"float16": 65 * TERA, "float32": 8 * TERA}, 16 * GB, 320 * GB, 16 * GB, priced(0.5))


def processor(price: float | None = 4.0) -> Device:
    return Device("cores", "AMD", "cpu", {"float32": 7 * TERA, "float64": 3.5 * TERA}, 700 * GB, 460 * GB, None, priced(price))


def other() -> Device:
    return Device("tensor", "Google", "tpu", {"bfloat16": 275 * TERA}, 32 * GB, 1200 * GB, None, priced(3.0))


def priced(amount: float | None, per_instance: int = 1) -> Price | None:
    return None if amount is None else Price(amount, per_instance, instance="x1.large", provider="aws", region="r1", date="2026-07-20")
