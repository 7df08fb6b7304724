"""The seal travels without a secret, its header tells damage from a wrong key, and another key takes over with the header alone."""

import json
import logging
import os
import pickle
import random
import re
import secrets
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from storage import BadInput, CorruptData
from storage.keys import HOW_TO_MAKE
from storage.seal import SEAL_HEADER, Seal, create_seal, read_seal, render_seal, rewrap, write_seal

ROOT = Path(__file__).resolve().parents[2]


def test_a_header_comes_back_and_holds_no_secret(tmp_path: Path, seal: Seal) -> None:
    write_seal(tmp_path, seal)
    assert read_seal(tmp_path) == seal
    document = json.loads((tmp_path / SEAL_HEADER).read_bytes())
    assert document.keys() == {"version", "algorithm", "array_id", "key_id", "wrapped_key", "crc32c"}
    assert (document["key_id"], document["algorithm"]) == ("k1", "AES-256-GCM")


def test_arrays_share_neither_id_nor_data_key(seal: Seal) -> None:
    others = [create_seal("k1") for _ in range(50)]
    assert len({one.array_id for one in (seal, *others)}) == len({one.wrapped_key for one in (seal, *others)}) == 51
    stored = np.frombuffer(b"".join(map(bytes, seal.open().seal("c/0/0", [b"x"]))), np.uint8)
    for other in others:
        with pytest.raises(ValueError, match="does not unseal"):
            other.open().unseal("c/0/0", stored)


def test_a_seal_opens_in_a_process_that_finds_the_key_by_itself(seal: Seal) -> None:
    stored = b"".join(map(bytes, seal.open().seal("c/0/0", [b"numbers"])))
    program = (
        "import pickle, sys, numpy as np\n"
        f"seal, stored = pickle.loads({pickle.dumps((seal, stored))!r})\n"
        "print(seal.open().unseal('c/0/0', np.frombuffer(stored, np.uint8)).tobytes().decode())"
    )

    def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert run({**os.environ}).stdout == "numbers\n"
    without = {name: value for name, value in os.environ.items() if not name.startswith("GEMMFLOW_KEY")}
    assert "BadInput: key 'k1' is not known on" in run(without).stderr


def test_nothing_secret_is_shown_sent_or_logged(seal: Seal, caplog: pytest.LogCaptureFixture) -> None:
    cipher = seal.open()
    logging.getLogger("x").warning("%s %r %s", seal, cipher, {"seal": seal})
    secret = bytes.fromhex(os.environ["GEMMFLOW_KEY_K1"])
    for content in (pickle.dumps(seal), cloudpickle.dumps(lambda: seal), render_seal(seal), repr(seal).encode(), caplog.text.encode()):
        for shown in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
            assert shown not in content
    with pytest.raises(TypeError, match="never leaves its process"):
        cloudpickle.dumps({"cipher": cipher})


def test_a_wrong_key_is_named(seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_KEY_K1", secrets.token_hex(32))
    with pytest.raises(BadInput, match=rf"key 'k1' is not the one that sealed the array \(id {seal.array_id}\)"):
        seal.open()
    with pytest.raises(BadInput, match="is not the one that sealed"):
        rewrap(seal, "k2")


def test_a_missing_key_is_named(seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    with pytest.raises(BadInput, match="key 'k1' is not known"):
        seal.open()
    with pytest.raises(BadInput, match="key 'k3' is not known"):
        create_seal("k3")


def test_the_key_is_looked_up_once_in_a_process(seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    cipher = seal.open()
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    assert replace(seal).open() is cipher


def test_another_name_or_array_does_not_open_a_wrapped_key(seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_KEY_K2", os.environ["GEMMFLOW_KEY_K1"])
    for forged in (replace(seal, key_id="k2"), replace(seal, array_id="0" * 32), replace(seal, wrapped_key="0" * 120)):
        with pytest.raises(BadInput, match="is not the one that sealed"):
            forged.open()


def test_another_key_takes_over_with_the_header_alone(tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.frombuffer(b"".join(map(bytes, seal.open().seal("c/0/0", [b"numbers"]))), np.uint8)
    write_seal(tmp_path, seal)
    write_seal(tmp_path, rewrap(read_seal(tmp_path), "k2"))
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    found = read_seal(tmp_path)
    assert (found.key_id, found.array_id) == ("k2", seal.array_id)
    assert found.open().unseal("c/0/0", stored).tobytes() == b"numbers"


def test_flipped_bits_of_a_header_are_refused_without_a_key(tmp_path: Path, seal: Seal) -> None:
    content = render_seal(seal)
    for bit in random.Random(1).sample(range(8 * len(content)), 500):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / SEAL_HEADER).write_bytes(changed)
        with pytest.raises((CorruptData, BadInput), match=r"is damaged|use a newer gemmflow"):
            read_seal(tmp_path)


def test_headers_of_other_kinds_are_named(tmp_path: Path, seal: Seal) -> None:
    with pytest.raises(BadInput, match="is no sealed array"):
        read_seal(tmp_path)
    (tmp_path / SEAL_HEADER).write_text('{"version": 2, "algorithm": "AES-256-GCM-SIV", "keys": []}')
    with pytest.raises(BadInput, match=r"is of version \(2, 'AES-256-GCM-SIV'\), .*use a newer gemmflow"):
        read_seal(tmp_path)
    for content in (b"", b"[]", b"{}", b"3", render_seal(seal)[:-5]):
        (tmp_path / SEAL_HEADER).write_bytes(content)
        with pytest.raises(CorruptData, match="is damaged: put a copy of it back"):
            read_seal(tmp_path)


@pytest.mark.parametrize("fields", [{"array_id": "ab"}, {"array_id": "A" * 32}, {"wrapped_key": "00"}, {"wrapped_key": "x" * 120}])
def test_a_seal_of_odd_parts_cannot_be_made(seal: Seal, fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="hex digits"):
        replace(seal, **fields)
    with pytest.raises(BadInput, match="must be 1 to 64 letters"):
        replace(seal, key_id="a/b")


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = Seal("ab" * 16, "k1", "0" * 120)
    monkeypatch.delitem(sys.modules, "storage.cipher", raising=False)
    monkeypatch.delattr("storage.cipher", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(BadInput, match=r"need the package cryptography: pip install cryptography"):
        seal.open()


def test_storage_loads_without_the_package() -> None:
    program = "import sys, storage; print([name for name in sys.modules if name.split('.')[0] in ('cryptography', 'keyring')])"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_the_page_on_sealing_shows_how_to_make_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = re.search(r"```sh\n(python .*?)```", (ROOT / "docs/sealing.md").read_text(), re.DOTALL)
    assert shell is not None and shell[1].strip() in HOW_TO_MAKE
    made = subprocess.run(shlex.split(shell[1].replace("python", sys.executable, 1)), capture_output=True, text=True, check=True)
    monkeypatch.setenv("GEMMFLOW_KEY_PAYROLL_2027", made.stdout.strip())
    create_seal("payroll-2027").open()
