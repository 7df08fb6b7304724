"""Sealed runs on two workers: who lacks the key is named first, nothing plain is stored, and a killed run goes on."""

import pickle
import secrets
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import storage.seal
from storage import Refused, discard, find_seal, find_staging, open_matrix, open_result
from tasks.checkup import Ask, check_up
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import BadInput, ClusterMismatch, GemmflowError
from tasks.export import change_key, export
from tasks.handshake import check_seal
from tasks.hardware import cache_folder
from tasks.planner import make_plan
from tasks.prepare import end, prepare
from tasks.publish import publish
from tasks.recipe import make_recipe
from tasks.repair import repair
from tasks.resume import find_unfinished, plan_or_resume
from tasks.run import multiply
from tasks.survey import survey
from tasks.verify import verify
from tests.tasks.test_run import planned, store

pytest.importorskip("cryptography")

KEYS = {f"GEMMFLOW_KEY_K{n}": secrets.token_hex(32) for n in (1, 2)}


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        for name, key in KEYS.items():
            patch.setenv(name, key)
        with open_cluster(ClusterSpec("local", 2, 1)) as opened:
            yield opened


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    storage.seal._opened.cache_clear()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    store(tmp_path / "A", rng.standard_normal((400, 256)).astype("float32"))
    store(tmp_path / "B", rng.standard_normal((256, 300)).astype("float32"))
    return tmp_path


def computed(folder, cluster, **fields):
    run = prepare(*planned(folder, **fields), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    return publish(run, outcome, verify(run, outcome)), outcome


def values(out):
    matrix = open_matrix(out)
    read = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(read, slice(None), slice(None))
    return read


def test_a_sealed_product_is_the_plain_one(folder, cluster):
    stored, _ = computed(folder, cluster, codec="zstd", seal="k1")
    sealed = values(folder / "C")
    assert stored.bytes_stored == sum(path.stat().st_size for path in (folder / "C/c").rglob("*") if path.is_file())
    checked = check_up(folder / "C", Ask(full=True, against_inputs=True, expect_root=stored.root))
    assert checked.sound and checked.bytes_stored == stored.bytes_stored
    exported = export(folder / "C", folder / "P", overwrite=False)
    assert exported.root == stored.root and check_up(folder / "P", Ask(full=True)).sound
    computed(folder, cluster, codec="zstd", overwrite=True)
    assert find_seal(folder / "C") is None and (values(folder / "C") == sealed).all() and (values(folder / "P") == sealed).all()
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C", "P"]


def test_an_older_result_put_back_is_known_by_the_root_that_was_kept(folder, cluster):
    first, _ = computed(folder, cluster, seal="k1")
    (folder / "C").rename(folder / "old")
    second, _ = computed(folder, cluster, seal="k1")
    (folder / "C").rename(folder / "new")
    (folder / "old").rename(folder / "C")
    assert first.root != second.root and check_up(folder / "C").sound
    assert not check_up(folder / "C", Ask(expect_root=second.root)).sound


def content_of(path):
    """What a file holds; nothing where it was the temporary one of a tile in flight, renamed meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        assert path.suffix == ".partial"
        return b""


def test_a_killed_run_goes_on_with_its_key_only(folder, cluster, monkeypatch):
    asked = planned(folder, seal="k1", codec="auto")
    run = prepare(*asked, cluster)

    def stop_soon(progress):
        if progress.tiles_done == 9:
            raise GemmflowError("killed")

    with pytest.raises(GemmflowError, match="killed"):
        multiply(run, cluster, stop_soon)
    end(run)
    left = [path for path in (folder / "C.gemmflow").rglob("*") if path.is_file()]
    plain = (b"shape", b"float32", b"square_a", str(folder / "A").encode(), KEYS["GEMMFLOW_KEY_K1"].encode())
    assert {"journal", "codec", "gemmflow-seal.json"} <= {path.name for path in left}
    for path in left:
        content = content_of(path)
        assert not [part for part in plain if part in content], path
    job, problem, hardware, plan = asked
    for other in (None, "k2"):
        with pytest.raises(Refused, match=f"differs: seal was k1, now it is {other or 'not set'}; ask the same"):
            find_unfinished(job.model_copy(update={"seal": other}))
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    storage.seal._opened.cache_clear()
    with pytest.raises(BadInput, match="key 'k1' is not known on"):
        find_unfinished(job)
    monkeypatch.setenv("GEMMFLOW_KEY_K1", KEYS["GEMMFLOW_KEY_K2"])
    with pytest.raises(BadInput, match="is not the one that sealed"):
        find_unfinished(job)
    storage.seal._opened.cache_clear()
    monkeypatch.setenv("GEMMFLOW_KEY_K1", KEYS["GEMMFLOW_KEY_K1"])
    assert plan_or_resume(job, problem, hardware) == plan
    again = prepare(*asked, cluster)
    assert len(again.resumed) == 9 and again.staging.seal == run.staging.seal and again.staging.epoch == 2
    outcome = multiply(again, cluster, lambda _: None)
    publish(again, outcome, verify(again, outcome))
    assert outcome.resumed == 9 and check_up(folder / "C", Ask(full=True, against_inputs=True)).sound
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C"]


def test_a_sealed_result_is_repaired_in_place(folder, cluster):
    stored, _ = computed(folder, cluster, seal="k1")
    before = values(folder / "C")
    for key, other in (("c/0/0", "c/0/1"), ("c/3/2", "c/0/1")):
        (folder / "C" / key).write_bytes((folder / "C" / other).read_bytes())
    for name in ("gemmflow-seal.json", "gemmflow/manifest"):
        (folder / "C" / name).unlink()
    assert not check_up(folder / "C").sound
    repaired = repair(folder / "C", False, (lambda kind, plan: nullcontext(cluster), lambda _: None))
    assert repaired.proved and repaired.root == stored.root and repaired.tiles == ((0, 0), (3, 2))
    assert set(repaired.damages) == {"gemmflow/manifest", "gemmflow-seal.json", "c/0/0", "c/3/2"}
    assert check_up(folder / "C", Ask(full=True)).sound and (values(folder / "C") == before).all()
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C"]


@pytest.mark.parametrize("kept", [False, True])
def test_only_what_finished_something_stands_in_the_way_of_a_repair(folder, cluster, kept):
    stored, _ = computed(folder, cluster, seal="k1")
    (folder / "C" / "c/0/0").unlink()
    run = prepare(*planned(folder, seal="k1", overwrite=True), cluster)
    if kept:
        (sums := Path(run.staging.folder) / "sums").mkdir()
        (sums / "0-0").write_bytes(b"a sum")
    end(run)
    means = (lambda kind, plan: nullcontext(cluster), lambda _: None)
    if kept:
        with pytest.raises(Refused, match=f"unfinished run in {run.staging.folder}: finish it"):
            repair(folder / "C", False, means)
    else:
        assert repair(folder / "C", False, means).root == stored.root
    assert Path(run.staging.folder).is_dir() == kept


def test_an_unfinished_plain_run_is_not_gone_on_with_sealed(folder, cluster):
    asked = planned(folder)
    run = prepare(*asked, cluster)
    (sums := Path(run.staging.folder) / "sums").mkdir()
    (sums / "0-0").write_bytes(b"a sum")  # else there is nothing to go on with
    end(run)
    with pytest.raises(Refused, match="seal was not set, now it is k1"):
        plan_or_resume(asked[0].model_copy(update={"seal": "k1"}), *asked[1:3])


def test_a_worker_without_the_key_is_named_before_anything_is_computed(folder, cluster, monkeypatch):
    monkeypatch.setenv("GEMMFLOW_KEY_DRIVER_ONLY", secrets.token_hex(32))
    with pytest.raises(ClusterMismatch, match=r"^worker tls://\S+: key 'driver-only' is not known on \S+: set GEMMFLOW_KEY_DRIVER_ONLY"):
        prepare(*planned(folder, seal="driver-only"), cluster)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B"]


def test_a_worker_with_another_key_of_that_name_is_named(folder, cluster, monkeypatch):
    monkeypatch.setenv("GEMMFLOW_KEY_K1", secrets.token_hex(32))
    with pytest.raises(ClusterMismatch, match=r"^worker tls://\S+: key 'k1' is not the one that sealed the array") as raised:
        prepare(*planned(folder, seal="k1"), cluster)
    assert raised.value.exit_code == 2
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B"]


def test_a_key_that_nobody_has_is_found_by_the_survey(folder):
    job = planned(folder)[0].model_copy(update={"seal": "nobody"})
    with pytest.raises(BadInput, match="key 'nobody' is not known on"):
        survey(job)


def test_no_key_travels(folder, cluster):
    run = prepare(*planned(folder, seal="k1"), cluster)
    job, problem, _, plan = planned(folder, seal="k1")
    sent = pickle.dumps((make_recipe(job, problem, plan, run.staging), problem, plan, job))
    secret = KEYS["GEMMFLOW_KEY_K1"]
    assert run.staging.seal is not None
    data_key = storage.seal._data_key(run.staging.seal).reveal()
    for part in (secret.encode(), bytes.fromhex(secret), data_key, data_key.hex().encode()):
        assert part not in sent and part.hex().encode() not in sent
    check_seal(cluster, run.staging.seal)
    end(run)
    discard(run.staging)


def test_own_workers_never_spill(cluster):
    def settings():
        import dask.config

        return [dask.config.get(f"distributed.worker.memory.{name}") for name in ("target", "spill")]

    assert set(map(tuple, cluster.client.run(settings).values())) == {(False, False)}


def test_another_key_opens_the_same_result(folder, cluster, monkeypatch):
    stored, _ = computed(folder, cluster, seal="k1")
    assert change_key(folder / "C", "k2") == "k1"
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    storage.seal._opened.cache_clear()
    assert check_up(folder / "C", Ask(full=True)).root == stored.root
    with pytest.raises(BadInput, match="key 'k1' is not known"):
        change_key(folder / "C", "k1")
    with open_result(folder / "C") as result:
        assert result.seal is not None and result.seal.key_id == "k2"
    with pytest.raises(BadInput, match="is not sealed: it has no key to change"):
        change_key(folder / "A", "k2")


def test_an_export_refuses_what_it_would_destroy(folder, cluster):
    computed(folder, cluster, seal="k1")
    with pytest.raises(BadInput, match="A exists"):
        export(folder / "C", folder / "A", overwrite=False)
    with pytest.raises(BadInput, match="lies inside the input"):
        export(folder / "C", folder / "C/P", overwrite=False)
    chunk = folder / "C/c/3/2"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with pytest.raises(GemmflowError, match=r"C chunk c/3/2 .* gemmflow repair"):
        export(folder / "C", folder / "A", overwrite=True)
    assert find_staging(folder / "A") is None and values(folder / "A").shape == (400, 256)


def test_an_export_that_was_killed_is_begun_afresh(folder, cluster, monkeypatch):
    computed(folder, cluster, seal="k1")
    with monkeypatch.context() as patch:
        for name in ("unseal_into", "discard"):
            patch.setattr(f"tasks.export.{name}", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export(folder / "C", folder / "P", overwrite=False)
    left = find_staging(folder / "P")
    assert left is not None
    export(folder / "C", folder / "P", overwrite=False)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C", "P"]


def test_a_sealed_result_is_an_input(folder, cluster):
    computed(folder, cluster, seal="k1")
    product = values(folder / "C").astype(float)
    (folder / "C").rename(folder / "S")
    asked = planned(folder)
    job = asked[0].model_copy(update={"a": str(folder / "S"), "b": str(folder / "S"), "transpose_b": True, "seal": "k2"})
    problem = survey(job)
    run = prepare(job, problem, asked[2], make_plan(job, problem, asked[2]), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    publish(run, outcome, verify(run, outcome))
    error = np.linalg.norm(values(folder / "C") - product @ product.T) / np.linalg.norm(product) ** 2
    assert error < 1e-6


def test_the_plan_counts_what_sealing_holds(folder):
    job, problem, hardware, _ = planned(folder)
    plain, sealed = (
        make_plan(job.model_copy(update={"seal": seal}), problem, hardware).predicted.peak_memory_bytes for seal in (None, "k1")
    )
    assert sealed > plain


def test_nothing_of_it_is_cached():
    for path in Path(cache_folder()).rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [key for key in KEYS.values() if key.encode() in content]
