"""Scratch buffers are reused, grow, and belong to one thread."""

from concurrent.futures import ThreadPoolExecutor

from storage.buffers import borrow, held_bytes


def in_fresh_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_buffer_is_reused_and_grows_to_the_largest_size() -> None:
    def use() -> tuple[bool, int]:
        first = borrow("a", 100)
        again = borrow("a", 50)
        borrow("b", 10)
        borrow("a", 300)
        return first.ctypes.data == again.ctypes.data and again.size == 50, held_bytes()

    assert in_fresh_thread(use) == (True, 310)


def test_threads_do_not_share_buffers() -> None:
    mine = borrow("shared", 64)
    mine[:] = 1
    in_fresh_thread(lambda: borrow("shared", 64).fill(2))
    assert (mine == 1).all()
