from pathlib import Path

import pytest

from embeddings.errors import ConfigError
from pipeline.config import PretrainConfig, TrainConfig, read_config

GOOD = """name: a-name
task: tagging
output: out
data:
  train: {file}
  validation: {file}
  test: {file}
embedding:
  source: {folder}
head:
  units: 7
training:
  epochs: 3
"""


@pytest.fixture
def write(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("{}")

    def write(old="", new=""):
        path = tmp_path / "config.yaml"
        text = GOOD.format(file=data, folder=tmp_path)
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def test_a_config_fills_what_is_not_said(write):
    config = read_config(TrainConfig, write())
    assert (config.head.units, config.head.encoder, config.training.epochs, config.seed) == (7, "lstm", 3, 1)
    assert config.tracking.alias == "champion"


def test_a_key_can_be_changed_from_the_command_line(write):
    config = read_config(TrainConfig, write(), ["training.epochs=9", "head.encoder=gru", "tracking.alias=new"])
    assert (config.training.epochs, config.head.encoder, config.tracking.alias) == (9, "gru", "new")


WRONG = {
    "typo in a key": (("units", "unitz"), "line 11: unknown key 'head.unitz'; did you mean 'units'?"),
    "unknown section": (
        ("training:", "extra: 1\ntraining:"),
        "line 12: unknown key 'extra'; expected one of name, task",
    ),
    "wrong type": (("epochs: 3", "epochs: many"), "line 13: 'training.epochs' is 'many'; expected a valid integer"),
    "wrong choice": (("tagging", "tagger"), "line 2: 'task' is 'tagger'; expected 'classification' or 'tagging'"),
    "missing key": (("  source: ", "  store: "), "line 8: key 'embedding.source' is missing"),
    "missing file": (("train: ", "train: no-"), "line 5: 'data.train': no such file: no-"),
    "missing biLM": (("  source: ", "  source: no"), "line 9: 'embedding.source': no such source: no"),
    "out of range": (("units: 7", "units: -3"), "line 11: 'head.units' is -3; expected greater than or equal to 1"),
    "what does not go together": (("units: 7", "pooling: last\n  encoder: dense"), "pooling 'last' needs a recurrent"),
    "no date": (("a-name", "2024-99-99"), "not YAML (month must be in 1..12"),
    "no YAML": (("name: a-name", "name: [a"), "line 2: not YAML"),
    "no keys": ((GOOD.split("\n", maxsplit=1)[0], "- a\n#"), "not YAML"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_config_names_the_line_and_the_key(write, change, message):
    with pytest.raises(ConfigError) as error:
        read_config(TrainConfig, write(*change))
    assert message in str(error.value)


def test_every_problem_is_told_at_once(write):
    with pytest.raises(ConfigError) as error:
        read_config(TrainConfig, write("units: 7", "depht: 2"), ["seed=x"])
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [("epochs", "expected key=value"), ("name.x=1", "'name' is a value"), ("seed=[", "is not a YAML value")],
)
def test_a_change_that_cannot_be_made_is_refused(write, change, message):
    with pytest.raises(ConfigError, match=message):
        read_config(TrainConfig, write(), [change])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read"):
        read_config(TrainConfig, tmp_path / "no.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(TrainConfig, tmp_path / "bytes.yaml")
    (tmp_path / "text.yaml").write_text("only text")
    with pytest.raises(ConfigError, match="found str; expected keys and values"):
        read_config(TrainConfig, tmp_path / "text.yaml")


def test_the_example_configs_are_valid(house, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo/bilm").mkdir(parents=True)
    kinds = {
        "characters": PretrainConfig,
        "docs-bilm": PretrainConfig,
        "docs-library": TrainConfig,
        "docs-code": TrainConfig,
    }
    assert {path.stem for path in (house / "configs").glob("*.yaml")} == kinds.keys()
    for name, kind in kinds.items():
        assert read_config(kind, Path(house / "configs" / f"{name}.yaml"))
