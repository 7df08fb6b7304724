"""Publishing on an object store: one driver does, all or nothing shows, and what was cut off is done again or cleaned."""

import numpy as np
import pytest

from storage import (
    BadInput,
    Refused,
    TakenOver,
    site_of,
)
from storage import object_lease as lease_module
from storage.object_lease import read_lease
from storage.object_output import (
    certify_objects,
    check_object_out,
    create_object_staging,
    home_of,
    publish_objects,
    take_over_object_staging,
)
from storage.objects import ObjectStore
from tests.object_server import Fault
from tests.storage.test_object_output import SPEC, Flaky, finish, read, write


def test_an_old_driver_that_wakes_up_does_not_publish(s3: ObjectStore, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 3600.0)
    old, old_lease, _ = create_object_staging(s3, SPEC, "run1")
    records = write(old, values)
    certify_objects(old, {}, records)
    seen = read_lease(old.home)
    assert seen is not None
    staging, lease, _ = take_over_object_staging(s3, seen, SPEC)
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", -1.0)
    with pytest.raises(TakenOver, match="taken over by another one"):
        publish_objects(old, old_lease)
    assert not list(s3.list()), "nothing was copied"
    monkeypatch.setattr(lease_module, "HEARTBEAT_SECONDS", 3600.0)
    finish(staging, lease, records)
    assert read(s3).tobytes() == values.tobytes()


def test_a_publish_that_was_cut_off_is_done_again(flaky: Flaky, values: np.ndarray) -> None:
    store, proxy = flaky
    staging, lease, _ = create_object_staging(store, SPEC, "run1")
    records = write(staging, values)
    certify_objects(staging, {}, records)
    for requests in (1, 5, 9, 13, 15, 17):
        proxy.fail(*[Fault()] * requests, *[Fault(status=403, code="AccessDenied")] * 40)
        with pytest.raises(BadInput, match="is denied"):
            publish_objects(staging, lease)
        proxy.fail()
        assert not store.holds("zarr.json")
        check_object_out(store, overwrite=False)
    publish_objects(staging, lease)
    assert read(store).tobytes() == values.tobytes()


def test_what_a_cut_off_publish_had_copied_is_cleaned(flaky: Flaky, values: np.ndarray) -> None:
    store, proxy = flaky
    staging, lease, journal = create_object_staging(store, SPEC, "run1")
    journal.close()
    certify_objects(staging, {}, write(staging, values))
    store.put("c/9/9", b"somebody else's")
    proxy.fail(*[Fault()] * 8, *[Fault(status=403, code="AccessDenied")] * 40)
    with pytest.raises(BadInput, match="is denied"):
        publish_objects(staging, lease)
    proxy.fail()
    assert len(list(store.list())) > 2
    lease.release()
    assert site_of(store.url).clean() == [home_of(store).url]
    assert [listed.key for listed in store.list()] == ["c/9/9"] and not list(home_of(store).list())


def test_an_out_that_appears_meanwhile_is_kept(s3: ObjectStore, values: np.ndarray) -> None:
    staging, lease, _ = create_object_staging(s3, SPEC, "run1")
    certify_objects(staging, {}, write(staging, values))
    s3.put("zarr.json", b"another one's")
    with pytest.raises(Refused, match="appeared during the run"):
        publish_objects(staging, lease)
    assert s3.read("zarr.json").content == b"another one's"
    lease.release()
