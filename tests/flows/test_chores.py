from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from flows.chores import Measuring, Mending, Stale

VALUES = (Mending, Measuring, Stale)


@pytest.mark.parametrize("value", VALUES)
def test_every_value_is_frozen_strict_and_explained(value: type[BaseModel]) -> None:
    assert value.model_config["frozen"] and value.model_config["extra"] == "forbid"
    assert all(field["description"] for field in value.model_json_schema()["properties"].values())
    with pytest.raises(ValidationError):
        value.model_validate({"speed": 9})


@pytest.mark.parametrize(("value", "wrong"), [(Measuring, {"cluster": "slurm"}), (Stale, {"days": -1}), (Stale, {"days": 4000})])
def test_limits_hold(value: type[BaseModel], wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        value.model_validate(wrong)


def test_a_repair_takes_a_cluster_file(tmp_path: Path) -> None:
    file = tmp_path / "here.yaml"
    file.write_text("kind: local\n")
    assert Mending(cluster=str(file)).cluster == str(file)
    with pytest.raises(ValidationError, match="is missing"):
        Mending(cluster=str(tmp_path / "none.yaml"))
