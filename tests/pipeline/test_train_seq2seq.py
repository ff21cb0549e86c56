"""A model that turns words around, from a config to its answers."""

import itertools

import pytest
import yaml

from embeddings.errors import InputError
from models import Predictor
from pipeline.config import Seq2seqConfig, TrainConfig, read_config
from pipeline.evaluate import Evaluation, evaluate_stage
from pipeline.progress import one_line
from pipeline.train_seq2seq import train_seq2seq_stage

NAMES = ["ana", "rui", "eva", "zé"]


@pytest.fixture
def config(tmp_path, monkeypatch, mlflow_store):
    """Two names to the same in the other order; the words of the sources are those of the targets in capitals."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store(tmp_path))
    pairs = itertools.product(NAMES, repeat=2)
    rows = [f"{one.upper()} {other.upper()}\t{other} {one}" for one, other in pairs]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.tsv").write_text("\n".join(["source\ttarget", *rows]) + "\n", "utf-8")

    def made(changes=(), **sections):
        values = {
            "name": "turn",
            "task": "seq2seq",
            "output": str(tmp_path / "model"),
            "data": {split: str(tmp_path / f"{split}.tsv") for split in ("train", "validation", "test")}
            | {"tokenizer": "whitespace"},
            "head": {"units": 24, "decoder_units": 32, "dropout": 0.0, "max_length": 9, "decoder": "gru"},
            "training": {"epochs": 25, "patience": 25, "batch_size": 4, "learning_rate": 0.01, "schedule": "cosine"},
            "tracking": {"register_model": False},
        }
        for name, section in sections.items():
            values[name] = values.get(name, {}) | section
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        return read_config(TrainConfig, tmp_path / "config.yaml", list(changes))

    return made


def test_a_model_learns_to_translate_and_answers_from_its_folder(config, tiny_bilm_folder, served):
    inputs = [{"kind": "elmo", "projection": 4}, {"kind": "words", "dim": 16}]
    read = config(
        data={"target_tokenizer": "characters"}, head={"inputs": inputs}, embedding={"source": str(tiny_bilm_folder)}
    )
    assert isinstance(read, Seq2seqConfig)
    epochs = []
    trained = train_seq2seq_stage(read, epochs.append)
    assert trained.scores["exact_match"] > 0.9
    assert epochs[-1].loss < epochs[0].loss / 5 and epochs[-1].words_per_second > 0
    assert trained.kept_epoch == max(epochs, key=lambda epoch: (epoch.scores["chrf"], epoch.number)).number
    assert (trained.folder / "bilm").is_dir()
    predictor = Predictor.load(trained.folder)
    assert {"␣", "a", "é"} < set(predictor.description.labels)
    pairs = list(itertools.product(NAMES, repeat=2))
    answers = predictor.predict([f"{one} {other}".upper() for one, other in pairs])
    right = [answer.text == f"{other} {one}" for answer, (one, other) in zip(answers, pairs, strict=True)]
    assert sum(right) / len(right) == pytest.approx(trained.scores["exact_match"])
    assert one_line("ANA ANA", answers[0]) == answers[0].text
    client = served(trained.folder)
    response = client.post("/v1/models/turn:predict", json={"texts": ["ANA RUI"]}).json()
    assert response["task"] == "seq2seq"
    (translation,) = response["predictions"]
    (hypothesis,) = translation["hypotheses"]
    assert set(translation) == {"text", "hypotheses"} and translation["text"] == hypothesis["text"]
    report = evaluate_stage(Evaluation(model="turn", data=read.data.test), trained.folder)
    assert {name: found["value"] for name, found in report["scores"].items()} == pytest.approx(trained.scores)
    assert report["examples"] == len(pairs)


def test_pairs_without_a_target_are_named(config, tmp_path):
    (tmp_path / "validation.tsv").write_text("source\ttarget\nANA\t\n", "utf-8")
    with pytest.raises(InputError, match=r"validation\.tsv line 2: 'target' has no words"):
        train_seq2seq_stage(config())
