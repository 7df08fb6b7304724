"""Settings and cases say what they hold."""

from benchmarks.case import Case, Entry, Setting


def test_chunks_are_no_larger_than_the_product():
    assert Setting((100, 5, 5000)).chunks == (100, 2048)


def test_every_shape_of_a_case_is_named_once():
    entries = [Entry("x", "gemmflow", Setting((size, 2, 3))) for size in (1, 5, 1)]
    assert Case("x", "x", tuple(entries)).shapes == ((1, 2, 3), (5, 2, 3))
