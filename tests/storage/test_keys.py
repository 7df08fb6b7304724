"""Keys are found by name in three places, refused where others could read them, and never shown."""

import base64
import copy
import logging
import os
import pickle
import secrets
import sys
import traceback
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import BadInput
from storage.keys import Key, check_key_id, resolve_key, variable

SECRET = bytes(range(32))


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GEMMFLOW_KEY")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMFLOW_KEYS", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder / f"{name}.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def everything_in(error: BaseException) -> str:
    """All that a handler of an error can see: messages, arguments, causes, contexts, frames are left out."""
    seen, pending = [], [error]
    while pending:
        one = pending.pop()
        seen += [repr(one), repr(one.args), repr(vars(one)), "".join(traceback.format_exception_only(one))]
        seen.append(repr(getattr(one, "object", None)))
        pending += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(seen)


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        f"  {SECRET.hex()}\n",
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(SECRET).decode(),
        base64.b64encode(SECRET).decode().rstrip("="),
    ],
)
def test_hex_and_base64_in_environment_and_file(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "in-file", text.encode())
    monkeypatch.setenv("GEMMFLOW_KEY_IN_ENVIRONMENT_2", text)
    assert resolve_key("in-file").reveal() == resolve_key("in-environment_2").reveal() == SECRET


@given(st.binary(min_size=32, max_size=32))
def test_any_secret_comes_back_from_any_spelling(secret: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for text in (secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode().rstrip("=")):
            patch.setenv("GEMMFLOW_KEY_X", text)
            assert resolve_key("x").reveal() == secret


def test_the_environment_goes_before_the_folder_and_the_folder_before_the_keyring(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_keyring(monkeypatch, {"k": "c" * 64})
    assert resolve_key("k").reveal() == bytes.fromhex("c" * 64)
    path = put(folder, "k", b"b" * 64)
    assert resolve_key("k").reveal() == bytes.fromhex("b" * 64)
    monkeypatch.setenv("GEMMFLOW_KEY_K", "a" * 64)
    assert resolve_key("k").reveal() == bytes.fromhex("a" * 64)
    monkeypatch.delenv("GEMMFLOW_KEY_K")
    path.unlink()
    assert resolve_key("k").reveal() == bytes.fromhex("c" * 64)


def test_a_missing_key_names_itself_and_the_three_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(BadInput) as caught:
        resolve_key("pay-roll")
    text = str(caught.value)
    for part in (
        "'pay-roll'",
        "GEMMFLOW_KEY_PAY_ROLL",
        f"pay-roll.key into {folder} (mode 600)",
        "service gemmflow, user pay-roll",
        "token_hex",
    ):
        assert part in text
    assert "not installed" in text and "\n" not in text
    monkeypatch.delenv("GEMMFLOW_KEYS")
    with pytest.raises(BadInput, match=r"pay-roll\.key into a folder and its path into GEMMFLOW_KEYS \(mode 600\)"):
        resolve_key("pay-roll")


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_a_wrong_length_is_named(size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_bytes(size)
    put(folder, "k", secret.hex().encode())
    with pytest.raises(BadInput, match=rf"k\.key holds {size} bytes, a key has 32"):
        resolve_key("k")
    monkeypatch.setenv("GEMMFLOW_KEY_K", base64.b64encode(secret).decode())
    with pytest.raises(BadInput, match=rf"variable GEMMFLOW_KEY_K holds {size} bytes, a key has 32"):
        resolve_key("k")


@pytest.mark.parametrize("content", [b"\xff" * 32, "ключ".encode(), b"not a key!", b"a" * 63 + b"?"])
def test_what_is_no_key_is_refused_and_never_shown(content: bytes, folder: Path) -> None:
    put(folder, "k", content)
    with pytest.raises(BadInput, match="neither hex nor base64") as caught:
        resolve_key("k")
    seen = everything_in(caught.value)
    for shown in (repr(content)[2:-1], content.decode("ascii", "replace"), content.decode("utf-8", "ignore") or "�"):
        assert shown not in seen


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o601, 0o620])
def test_a_file_that_others_can_open_is_refused(mode: int, folder: Path) -> None:
    path = put(folder, "k", SECRET.hex().encode(), mode)
    with pytest.raises(BadInput, match=rf"is open to other users \(mode {mode:03o}\): chmod 600 {path}"):
        resolve_key("k")
    path.chmod(0o400)
    assert resolve_key("k").reveal() == SECRET


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "k.key").mkdir(mode=0o700)
    with pytest.raises(BadInput, match=r"k\.key cannot be read \(Is a directory\)"):
        resolve_key("k")


@pytest.mark.parametrize("name", ["", "-a", "a/b", "../a", "a.b", "ä", "a b", "a\n", "a" * 65])
def test_names_that_could_be_paths_or_options_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="must be 1 to 64 letters"):
        check_key_id(name)
    with pytest.raises(BadInput, match="must be 1 to 64 letters"):
        resolve_key(name)


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_every_name_has_a_variable_that_shells_accept(name: str) -> None:
    check_key_id(name)
    assert variable(name).isidentifier() and variable(name).isupper()


class KeyringError(Exception):
    pass


def give_keyring(monkeypatch: pytest.MonkeyPatch, entries: dict[str, str], broken: bool = False) -> None:
    """A keyring in place of the operating system's."""
    module = ModuleType("keyring")

    def get_password(service: str, user: str) -> str | None:
        assert service == "gemmflow"
        if broken:
            raise KeyringError("no backend")
        return entries.get(user)

    module.get_password, module.errors = get_password, SimpleNamespace(KeyringError=KeyringError)
    monkeypatch.setitem(sys.modules, "keyring", module)


def test_the_keyring_is_asked_and_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    give_keyring(monkeypatch, {"k": SECRET.hex(), "short": "00"})
    assert resolve_key("k").reveal() == SECRET
    with pytest.raises(BadInput, match="keyring's entry gemmflow, short holds 1 bytes"):
        resolve_key("short")
    with pytest.raises(BadInput, match="'other' is not known") as caught:
        resolve_key("other")
    assert "not installed" not in str(caught.value)
    give_keyring(monkeypatch, {}, broken=True)
    with pytest.raises(BadInput, match="'k' is not known"):
        resolve_key("k")


def test_a_key_is_never_shown_sent_or_copied(caplog: pytest.LogCaptureFixture) -> None:
    key = Key(SECRET)
    logging.getLogger("x").warning("%s %r %s", key, key, {"key": key})
    for text in (repr(key), str(key), f"{key}", caplog.text):
        assert SECRET.hex() not in text and repr(SECRET)[2:-1] not in text
    for send in (pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy, lambda key: cloudpickle.dumps(lambda: key)):
        with pytest.raises(TypeError, match="never leaves its process"):
            send(key)
    with pytest.raises(TypeError):
        vars(key)
    with pytest.raises(ValueError, match="this one has 5"):
        Key(b"12345")
