"""What a process holds, and held since it was asked to forget."""

import subprocess
import sys

from tasks.resident import idle_bytes, peak_resident_bytes, resident_bytes

MIB = 2**20


def test_the_peak_counts_from_where_it_was_forgotten():
    """In a process of its own, so that the peak of this one does not matter."""
    program = """
from tasks.resident import forget_peak, peak_resident_bytes
before = peak_resident_bytes()
held = bytearray(b"x") * (200 << 20)
full = peak_resident_bytes()
del held
forget_peak()
print(before, full, peak_resident_bytes())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, full, after = map(int, done.stdout.split())
    assert full - before >= 195 * MIB
    assert after - before < 20 * MIB


def test_what_is_idle_is_resident_and_below_the_peak():
    assert 0 < idle_bytes() <= peak_resident_bytes() + MIB
    assert 0 < resident_bytes() <= peak_resident_bytes() + MIB


def test_the_peak_is_this_processs_own():
    """Not that of a large process which started it."""
    ballast = bytearray(b"x") * (400 * MIB)
    program = "from tasks.resident import peak_resident_bytes as peak; print(peak())"
    peak = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert 5 * MIB < peak < len(ballast)
