import pytest
import yaml

from embeddings.bundled import DEFAULT
from embeddings.errors import ConfigError
from pipeline.config import PretrainConfig, TrainConfig, read_config
from pipeline.data_config import Data
from pipeline.data_hub import hub_parts

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
        assert old in GOOD
        path.write_text(GOOD.replace(old, new, 1).format(file=data, folder=tmp_path))
        return path

    return write


def test_a_config_fills_what_is_not_said(write):
    config = read_config(TrainConfig, write())
    assert (config.head.units, config.head.encoder, config.training.epochs, config.seed) == (7, "lstm", 3, 1)
    assert config.tracking.alias is None


def test_without_a_source_it_is_the_bilm_that_comes_with_telmo(write):
    config = read_config(TrainConfig, write("embedding:\n  source: {folder}\n"))
    assert config.embedding.source == DEFAULT


def test_a_key_can_be_changed_from_the_command_line(write):
    config = read_config(TrainConfig, write(), ["training.epochs=9", "head.encoder=gru", "tracking.alias=new"])
    assert (config.training.epochs, config.head.encoder, config.tracking.alias) == (9, "gru", "new")


def test_every_problem_is_told_at_once(write):
    with pytest.raises(ConfigError) as error:
        read_config(TrainConfig, write("units: 7", "depht: 2"), ["seed=x"])
    assert len(str(error.value).splitlines()) == 2


def test_a_change_is_not_blamed_on_the_file(write):
    for change, known in (
        ("training.epochs=x", "'training.epochs' is 'x'"),
        ("data={}", "key 'data.train' is missing"),
    ):
        with pytest.raises(ConfigError) as error:
            read_config(TrainConfig, write(), ["training.epochs=2", change])
        assert str(error.value).startswith(f"--set {change}: {known}")
    with pytest.raises(ConfigError, match=r"config\.yaml line 11: 'head\.units' is 'x'"):
        read_config(TrainConfig, write("units: 7", "units: x"), ["head.depth=2"])
    # Either of two that do not go together may be the wrong one.
    with pytest.raises(
        ConfigError, match=r"config\.yaml line 10 with --set head\.encoder=none: 'head': pooling 'last'"
    ):
        read_config(TrainConfig, write("units: 7", "pooling: last"), ["seed=2", "head.encoder=none"])
    with pytest.raises(
        ConfigError, match=r"(?m)^--set training\.class_weights\.a=-1: 'training\.class_weights\.a' is -1"
    ):
        read_config(TrainConfig, write("epochs: 3", "class_weights: {{b: 1.0}}"), ["training.class_weights.a=-1"])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read"):
        read_config(TrainConfig, tmp_path / "no.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(TrainConfig, tmp_path / "bytes.yaml")
    (tmp_path / "text.yaml").write_text("only text")
    with pytest.raises(ConfigError, match="found str; expected keys and values"):
        read_config(TrainConfig, tmp_path / "text.yaml")
    (tmp_path / "empty.yaml").touch()
    with pytest.raises(ConfigError, match="found nothing; expected keys and values"):
        read_config(TrainConfig, tmp_path / "empty.yaml")


PRETRAINED = {"characters", "docs-bilm"}
"""The configs for `telmo pretrain`."""


def test_the_example_configs_are_valid(house, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo/bilm").mkdir(parents=True)
    for path in (house / "configs").glob("*.yaml"):
        data = yaml.safe_load(path.read_text()).get("data", {})
        for files in (data.get(split) for split in ("train", "validation", "test")):
            for name in files.values() if isinstance(files, dict) else [files] if files else []:
                file = tmp_path / data.get("folder", ".") / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        read_config(PretrainConfig if path.stem in PRETRAINED else TrainConfig, path)


def test_a_file_is_named_by_folder_and_label(tmp_path):
    (tmp_path / "a.txt").touch()
    split = {"validation": 0.1, "test": 0.1}
    data = Data(folder=tmp_path, train={1: "a.txt", "b": "docs:library/train"}, split=split)
    assert data.files("train") == [("1", f"{tmp_path}/a.txt"), ("b", "docs:library/train")]
    assert data.files("test") == []
    names = ["hub:nyu-mll/glue@1.0:sst2:train[:10]", str(tmp_path / "a.txt")]
    assert [name for _, name in Data(folder="elsewhere", train=names, split=split).files("train")] == names


def test_the_parts_of_a_name_on_the_hub():
    assert hub_parts("hub:imdb:test") == ("imdb", None, None, "test")
    assert hub_parts("hub:nyu-mll/glue@1.0:sst2:train[10:20]") == ("nyu-mll/glue", "1.0", "sst2", "train[10:20]")
    for wrong in ("hub:imdb", "hub::train", "hub:a:b:c:d", "hub:a:"):
        with pytest.raises(ValueError, match="is no name on the hub"):
            hub_parts(wrong)


def test_one_key_says_what_is_below_the_head(write, tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2\n")
    for source, kind, vectors in (
        (tmp_path, "bilm", None),
        ("none", "none", None),
        ("tfidf", "tfidf", None),
        (tmp_path / "glove.txt", "vectors", str(tmp_path / "glove.txt")),
    ):
        embedding = read_config(TrainConfig, write(), [f"embedding.source={source}"]).embedding
        assert (embedding.kind, embedding.vectors_file) == (kind, vectors)
