"""YAML files that people write, read as plain values: what is wrong with one is a single line."""

from collections.abc import Hashable
from pathlib import Path

import yaml

from tasks.errors import BadInput


class _Loader(yaml.SafeLoader):
    """Refuses a field that is given twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """The mapping; raises ConstructorError."""
        seen: set[str] = set()
        for name in (name for name, _ in node.value if isinstance(name, yaml.ScalarNode) and name.value != "<<"):
            if name.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name.value} is given twice", name.start_mark)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, advice: str = "") -> object:
    """What a file says. Raises BadInput where it cannot be read, with `advice` at the end of the line, or is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}){advice}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no YAML: {error}") from None
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that there is not
        raise BadInput(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise BadInput(f"{path} is no YAML: it is nested too deeply") from None
