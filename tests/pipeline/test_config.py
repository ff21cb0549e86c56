import pytest
import yaml

from embeddings.errors import ConfigError
from pipeline.config import Data, PretrainConfig, TrainConfig, read_config
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
    "wrong choice": (("tagging", "tagger"), "line 2: 'task' is 'tagger'; expected 'classification', 'tagging'"),
    "missing key": (("  source: ", "  store: "), "line 8: key 'embedding.source' is missing"),
    "missing file": (("train: ", "train: no-"), "line 5: 'data.train': no such file: no-"),
    "a file of a list is missing": (
        ("train: {file}", "train: [{file}, gone.csv]"),
        "line 5: 'data.train': no such file: gone.csv",
    ),
    "a file of a label is missing": (
        ("train: {file}", "train: {{a: gone.csv}}"),
        "line 5: 'data.train': no such file: gone.csv",
    ),
    "no file at all": (
        ("train: {file}", "train: []"),
        "line 5: 'data.train': found []; expected a file, a list of files, or",
    ),
    "a missing folder": (
        ("train: {file}", "folder: gone\n  train: a.csv"),
        "line 6: 'data.train': no such file: gone/a.csv",
    ),
    "no name on the hub": (("train: {file}", "train: hub:imdb"), "'hub:imdb' is no name on the hub; expected hub:NAME"),
    "no validation data": (
        ("  validation: {file}\n", ""),
        "line 4: 'data': no validation data; expected files in 'validation' or a share in 'split.validation'",
    ),
    "files and a share": (
        ("data:", "data:\n  split: {{validation: 0.1}}"),
        "line 4: 'data': 'validation' has files, and 'split.validation' draws it, too; expected one of them",
    ),
    "a share of all": (
        ("data:", "data:\n  split: {{validation: 1}}"),
        "'data.split.validation' is 1; expected less than 1",
    ),
    "shares of more than all": (
        ("data:", "data:\n  split: {{validation: 0.6, test: 0.5}}"),
        "line 5: 'data.split': validation and test data leave nothing to train on; expected shares below 1 together",
    ),
    "test data by share and by folds": (
        ("data:", "data:\n  split: {{folds: 3, test: 0.5}}"),
        "line 5: 'data.split': 'test' and 'folds' both make test data; expected one of them",
    ),
    "a fold too many": (("data:", "data:\n  split: {{folds: 3, fold: 4}}"), "fold 4 of 3 folds; expected 1 to 3"),
    "a typo in a split": (
        ("data:", "data:\n  split: {{fold_s: 3}}"),
        "unknown key 'data.split.fold_s'; did you mean 'folds'?",
    ),
    "no regular expression": (
        ("data:", "data:\n  pattern: (a"),
        "line 5: 'data.pattern': not a regular expression (missing )",
    ),
    "a pattern without columns": (
        ("data:", "data:\n  pattern: (a)"),
        "line 5: 'data.pattern': names no column; expected groups such as (?P<label>...) and (?P<text>...)",
    ),
    "a long delimiter": (("data:", "data:\n  delimiter: ab"), "line 5: 'data.delimiter' is 'ab'; expected"),
    "unknown format": (("data:", "data:\n  format: xls"), "line 5: 'data.format' is 'xls'; expected 'text', 'csv'"),
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
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["embedding.source=none", "embedding.weights=random"], "weights 'random' is for a biLM; the source is none"),
        (["embedding.source=none", "training.fine_tune=true"], "'training.fine_tune' trains a biLM"),
        (["embedding.vectors=no.txt"], "'embedding.vectors': no such file: no.txt; expected word vectors"),
        (["head.scheme=BIO", "head.constraints=BIOUL"], "constraints 'BIOUL' do not fit the scheme 'BIO'"),
        (["head.multi_label=true"], "multi_label is for classification; this is tagging"),
        (["head.pooling=last", "head.encoder=cnn"], "pooling 'last' needs a recurrent encoder, found encoder 'cnn'"),
        (["training.optimizer=adam", "training.momentum=0.9"], "momentum is for sgd, found optimizer 'adam'"),
    ],
)
def test_what_does_not_go_together_is_said(write, changes, message):
    with pytest.raises(ConfigError) as error:
        read_config(TrainConfig, write(), changes)
    assert message in str(error.value)
