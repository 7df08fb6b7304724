"""An object store as a folder: conditional writes, and failures on the way."""

import pickle
import threading
from collections.abc import Callable

import numpy as np
import pytest

from storage import BadInput, CorruptData, Unreachable
from storage.folder import Folder
from storage.objects import PART_BYTES, ObjectStore, object_store
from storage.objects_client import MOST_RETRIES, client_of
from tests.object_server import PAGE, Fault, Proxy

Flaky = tuple[ObjectStore, Proxy]
BODY = np.random.default_rng(3).integers(0, 256, 3 * PART_BYTES + 17, np.uint8).tobytes()


def read(store: ObjectStore, key: str, whole: bool = True) -> bytes:
    with store.opened(key, whole) as file:
        target = np.empty(file.size, np.uint8)
        assert file.read_at(target, 0) == file.size
    return target.tobytes()


def test_what_is_written_is_read(s3: ObjectStore) -> None:
    folder: Folder = s3
    etag = s3.put("a b/ü.zarr/c/0/0", BODY)
    assert read(s3, "a b/ü.zarr/c/0/0") == BODY
    assert s3.read_tagged("a b/ü.zarr/c/0/0") == (BODY, etag)
    assert folder.size("a b/ü.zarr/c/0/0") == len(BODY) and folder.holds("a b/ü.zarr/c/0/0") and not folder.holds("a b")
    assert folder.inside("a b").entries().folders == ["ü.zarr"]
    assert [listed.key for listed in s3.list()] == ["a b/ü.zarr/c/0/0"]
    assert [listed.key for listed in s3.list("a b/")] == ["a b/ü.zarr/c/0/0"]


def test_parts_are_read_in_order_and_out_of_order(s3: ObjectStore) -> None:
    s3.put("x", BODY)
    for whole in (True, False):
        with s3.opened("x", whole) as file:
            found = [np.empty(size, np.uint8) for size in (PART_BYTES + 5, 7, 100, 0)]
            places = [0, PART_BYTES + 5, 3, 9]
            assert [file.read_at(target, at) for target, at in zip(found, places, strict=True)] == [target.size for target in found]
            assert all(target.tobytes() == BODY[at : at + target.size] for target, at in zip(found, places, strict=True))
            assert file.read_at(np.empty(50, np.uint8), len(BODY) - 20) == 20
            assert file.read_at(np.empty(50, np.uint8), len(BODY)) == 0


def test_a_listing_of_many_pages_is_complete_and_deleting_is_idempotent(s3: ObjectStore) -> None:
    keys = sorted(f"c/{index}" for index in range(2 * PAGE + 3))
    threads = [threading.Thread(target=lambda part: [s3.put(key, b"") for key in part], args=(keys[first::4],)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [listed.key for listed in s3.list()] == keys
    s3.delete(*keys)
    s3.delete("c/0")
    assert not list(s3.list())


@pytest.mark.parametrize("fault", [Fault(cut=40), Fault(status=503), Fault(closed=True)])
def test_a_listing_that_breaks_off_goes_on(flaky: Flaky, fault: Fault) -> None:
    store, proxy = flaky
    keys = [f"a/{index}" for index in range(9)]
    for key in keys:
        store.put(key, b"")
    proxy.fail(fault, Fault(), fault)
    assert store.entries().folders == ["a"]
    assert [listed.key for listed in store.list()] == keys


def test_only_the_first_writer_creates(s3: ObjectStore) -> None:
    assert s3.put_if_absent("lease", b"one")
    assert s3.put_if_absent("lease", b"two") is None
    assert s3.read("lease").content == b"one"


def test_only_who_knows_the_present_content_replaces_it(s3: ObjectStore) -> None:
    first = s3.put("lease", b"one")
    second = s3.put_if_match("lease", b"two", first)
    assert second and second != first
    assert s3.put_if_match("lease", b"three", first) is None
    assert s3.put_if_match("gone", b"three", first) is None
    assert s3.read("lease").content == b"two"


@pytest.mark.parametrize("kind", ["create", "replace"])
def test_of_eight_writers_at_once_one_wins(s3: ObjectStore, kind: str) -> None:
    for turn in range(10):
        etag = s3.put(f"r{turn}", b"base") if kind == "replace" else ""
        barrier, won = threading.Barrier(8), list[int]()

        def race(writer: int, key: str = f"r{turn}", etag: str = etag, barrier: threading.Barrier = barrier, won: list[int] = won) -> None:
            barrier.wait()
            content = b"%d" % writer
            if s3.put_if_match(key, content, etag) if etag else s3.put_if_absent(key, content):
                won.append(writer)

        threads = [threading.Thread(target=race, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [b"%d" % writer for writer in won] == [s3.read(f"r{turn}").content]


def test_a_conditional_write_whose_answer_is_lost_is_known_as_ones_own(flaky: Flaky) -> None:
    store, proxy = flaky
    proxy.fail(Fault(lost=True))
    created = store.put_if_absent("lease", b"mine 1")
    assert created
    proxy.fail(Fault(lost=True))
    assert store.put_if_match("lease", b"mine 2", created)
    assert store.read("lease").content == b"mine 2"


@pytest.mark.parametrize("fault", [Fault(status=503, code="SlowDown"), Fault(status=500), Fault(closed=True), Fault(cut=100)])
def test_what_fails_a_few_times_is_tried_again(flaky: Flaky, fault: Fault) -> None:
    store, proxy = flaky
    store.put("x", BODY)
    proxy.fail(fault, fault)
    assert read(store, "x") == BODY
    assert len(proxy.seen) >= 3


def test_a_read_that_breaks_off_goes_on_where_it_stopped(flaky: Flaky) -> None:
    store, proxy = flaky
    store.put("x", BODY)
    proxy.fail(Fault(cut=PART_BYTES + 1))
    assert read(store, "x") == BODY
    assert [line.split("bytes=")[-1] for line in proxy.seen[1:]] == [f"{PART_BYTES + 1}-{len(BODY) - 1}"]


WITHOUT_END = [
    (Fault(status=503, code="SlowDown"), rf"answers 503 Service Unavailable, also when tried again {MOST_RETRIES} times"),
    (Fault(closed=True), r"breaks connections off, also when tried again"),
    (Fault(cut=0), r"breaks answers off"),
]


@pytest.mark.parametrize(("fault", "message"), [WITHOUT_END[0], *(pytest.param(*row, marks=pytest.mark.slow) for row in WITHOUT_END[1:])])
def test_what_always_fails_ends_in_one_line(flaky: Flaky, fault: Fault, message: str) -> None:
    store, proxy = flaky
    store.put("x", BODY)
    proxy.fail(*[fault] * 100)
    with pytest.raises(Unreachable, match=message) as caught:
        read(store, "x")
    assert "\n" not in str(caught.value) and f"{store.url}/x" in str(caught.value) and proxy.url in str(caught.value)
    assert len(proxy.seen) <= (MOST_RETRIES + 1) * 2


def test_an_object_that_changes_while_it_is_read_is_no_mixture(s3: ObjectStore) -> None:
    s3.put("x", BODY)
    with s3.opened("x", whole=False) as file:
        file.read_at(np.empty(10, np.uint8), 0)
        s3.put("x", BODY[::-1])
        with pytest.raises(CorruptData, match=f"{s3.url}/x was changed while it was read"):
            file.read_at(np.empty(10, np.uint8), 10)


def test_an_object_that_changes_after_a_break_is_no_mixture(flaky: Flaky) -> None:
    store, proxy = flaky
    store.put("x", BODY)
    proxy.fail(Fault(cut=PART_BYTES + 1))
    with store.opened("x") as file:
        store.put("x", BODY[::-1])
        target = np.empty(file.size, np.uint8)
        with pytest.raises((CorruptData, Unreachable)):
            file.read_at(target, 0)


ASKED: list[tuple[str, Callable[[ObjectStore], object]]] = [
    ("get", lambda store: store.read("x")),
    ("open", lambda store: read(store, "x")),
    ("put", lambda store: store.put("x", b"")),
    ("create", lambda store: store.put_if_absent("x", b"")),
    ("list", lambda store: list(store.list())),
    ("entries", lambda store: store.entries()),
]


@pytest.mark.parametrize(("name", "ask"), ASKED, ids=[name for name, _ in ASKED])
def test_a_missing_bucket_is_named_with_its_server(s3: ObjectStore, name: str, ask: Callable[[ObjectStore], object]) -> None:
    with pytest.raises(BadInput, match=rf"s3://nowhere/a.* no such bucket at {s3.endpoint}"):
        ask(object_store("s3://nowhere/a"))


@pytest.mark.parametrize(("name", "ask"), ASKED, ids=[name for name, _ in ASKED])
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "ExpiredToken"])
def test_refused_credentials_are_named_and_not_shown(flaky: Flaky, name: str, ask: Callable[[ObjectStore], object], code: str) -> None:
    store, proxy = flaky
    proxy.fail(*[Fault(status=403, code=code)] * 3)
    with pytest.raises(BadInput, match=rf"is denied by {proxy.url} \({code}\): check AWS_ACCESS_KEY_ID") as caught:
        ask(store)
    assert "hidden-value" not in str(caught.value)


def test_a_server_that_is_not_there_is_named(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:9 refuses connections, also when tried again"):
        object_store(s3.url).read("x")


def test_without_credentials_the_message_says_which(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    client_of.cache_clear()
    with pytest.raises((BadInput, Unreachable)) as caught:
        s3.read("x")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(caught.value)


def test_the_value_travels_without_credentials(s3: ObjectStore) -> None:
    s3.put("x", b"1")
    sent = pickle.dumps(s3)
    assert pickle.loads(sent) == s3 and b"hidden-value" not in sent and len(sent) < 300
    assert "hidden-value" not in repr(s3)
