"""Files that people write: read as plain values, or refused in one line."""

from pathlib import Path

import pytest

from tasks.errors import BadInput
from tasks.yaml_file import read_yaml


def written(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_plain_values_and_anchors(tmp_path: Path) -> None:
    text = "\ufeffall: &all {a: ü, c: 1}\none: {<<: *all, b: [1, 2.5, 2026-01-31], c: 2}\n"
    assert str(read_yaml(written(tmp_path, text))) == (
        "{'all': {'a': 'ü', 'c': 1}, 'one': {'a': 'ü', 'c': 2, 'b': [1, 2.5, datetime.date(2026, 1, 31)]}}"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "while parsing a flow node"),
        ("a: 1\nb: 2\na: 3", 'a is given twice in "'),
        ("a: 1\nb: 2\na: 3", "line 3, column 1"),
        ("{[1, 2]: 3}", "found unhashable key"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 2026-13-01", "month must be in 1..12"),
        ("a: 1" + 5000 * "0", "Exceeds the limit"),
        (5000 * "[", "it is nested too deeply"),
        ("a\0b", "special characters are not allowed"),
        ("a: 1\n---\na: 2", "expected a single document"),
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput) as refused:
        read_yaml(path)
    message = str(refused.value)
    assert message.startswith(f"{path} is no YAML: ") and says in message and "\n" not in message


def test_what_cannot_be_read_is_one_line_with_the_advice(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no.yaml cannot be read \(No such file or directory\): name another$"):
        read_yaml(tmp_path / "no.yaml", ": name another")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"bytes.yaml is no YAML: 'utf-8' codec"):
        read_yaml(tmp_path / "bytes.yaml")
