import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from embeddings.archive import open_tree
from embeddings.errors import SourceError
from models import Predictor
from models.allennlp import convert_archive, is_archive

torch = pytest.importorskip("torch")

NAMES = ["simple_tagger", "crf_tagger", "bcn"]


@pytest.fixture(scope="session")
def archives(shared):
    return shared / "fixtures" / "allennlp"


@pytest.fixture(scope="session")
def unpacked(archives, tmp_path_factory):
    """The files of each archive."""
    folder = tmp_path_factory.mktemp("archives")
    for name in NAMES:
        shutil.unpack_archive(archives / f"{name}.tar.gz", folder / name, filter="data")
    return folder


@pytest.fixture(scope="session")
def converted(archives, tmp_path_factory):
    """The model folder of each archive."""
    folder = tmp_path_factory.mktemp("converted")
    for name in NAMES:
        convert_archive(archives / f"{name}.tar.gz", folder / name)
    return folder


@pytest.fixture(scope="session")
def predictors(converted):
    return {name: Predictor.load(converted / name) for name in NAMES}


@pytest.fixture
def expected(archives):
    def read(name):
        return json.loads((archives / f"{name}.expected.json").read_text("utf-8"))["predictions"]

    return read


def numbers(logits):
    """Those of a text, or of each of its words, in the order of the labels."""
    return list(logits.values()) if isinstance(logits, dict) else [list(word.values()) for word in logits]


def assert_same(name, answers, expected):
    """`answers` are the fields of predictions."""
    for answer, truth in zip(answers, expected, strict=True):
        assert answer["label" if name == "bcn" else "tags"] == truth["label" if name == "bcn" else "tags"]
        np.testing.assert_allclose(numbers(answer["logits"]), truth["logits"], atol=1e-4)
        if name == "bcn":
            order = sorted(answer["probabilities"])
            got = [answer["probabilities"][label] for label in order]
            assert order == list("01234")
            np.testing.assert_allclose(sorted(got), sorted(truth["class_probabilities"]), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_allennlp(predictors, expected, name):
    texts = [truth["tokens"] for truth in expected(name)]
    answers = [vars(answer) for answer in predictors[name].predict(texts, logits=True)]
    assert_same(name, answers, expected(name))


def test_answers_over_rest_are_those_of_allennlp(converted, served, expected):
    client = served(*(converted / name for name in NAMES))
    for name in NAMES:
        truths = expected(name)
        body = {"texts": [truth["tokens"] for truth in truths], "logits": True}
        answer = client.post(f"/v1/models/{name}:predict", json=body)
        assert answer.status_code == 200
        assert_same(name, answer.json()["predictions"], truths)
        plain = client.post(f"/v1/models/{name}:predict", json={"texts": ["Who is Ada?"]}).json()["predictions"][0]
        assert "logits" not in plain


def test_an_answer_does_not_depend_on_its_neighbours(predictors, expected):
    for name, predictor in predictors.items():
        texts = [truth["tokens"] for truth in expected(name)][:6]
        together = predictor.predict(texts, logits=True)
        for text, answer in zip(texts, together, strict=True):
            (alone,) = predictor.predict([text], logits=True)
            np.testing.assert_allclose(numbers(alone.logits), numbers(answer.logits), atol=1e-5)


def test_a_converted_model_describes_itself(converted):
    description = json.loads((converted / "crf_tagger" / "model.json").read_text("utf-8"))
    assert description["name"] == "crf_tagger" and description["task"] == "tagging"
    assert description["head"]["constraints"] == "BIOUL" and not description["head"]["boundaries"]
    assert len(description["labels"]) == 25
    suffixes = {path.suffix for path in converted.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".h5", ".hdf5"}


def test_a_converted_tagger_is_evaluated_on_data_of_another_scheme(converted, predictors, tmp_path):
    from pipeline.evaluate import Evaluation, evaluate_stage

    words = ["Empire", "State", "Building", "=", "ESB", ".", "Pretty", "bad", "storm"]
    (answer,) = predictors["crf_tagger"].predict([words])
    assert {tag[0] for tag in answer.tags} >= {"B", "L", "U"}
    bio = [tag.replace("U-", "B-").replace("L-", "I-") for tag in answer.tags]
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"words": words, "tags": bio}) + "\n")
    folder = converted / "crf_tagger"
    scores = evaluate_stage(Evaluation(model=str(folder), data=str(data)), folder)["scores"]
    assert scores["f1"]["value"] == scores["accuracy"]["value"] == 1


def test_archives_are_known_by_their_files(archives, tmp_path, tiny_bilm_folder):
    assert is_archive(open_tree(archives / "bcn.tar.gz"))
    assert not is_archive(open_tree(tiny_bilm_folder))
    with pytest.raises(SourceError, match=r"no AllenNLP archive; expected config\.json and weights\.th"):
        convert_archive(tiny_bilm_folder, tmp_path / "model")


def test_an_archive_below_a_folder_and_of_an_old_version_is_read(unpacked, tmp_path, expected):
    folder = copy(unpacked, "crf_tagger", tmp_path / "inner")
    # As before version 1: no `token_embedders`, and the constraints by another name.
    with changed(folder) as config:
        embedders = config["model"]["text_field_embedder"].pop("token_embedders")
        config["model"]["text_field_embedder"] = embedders | {"type": "basic", "allow_unmatched_keys": True}
        config["model"]["constraint_type"] = config["model"].pop("label_encoding")
    convert_archive(tmp_path, tmp_path / "model")
    truths = expected("crf_tagger")[:5]
    answers = Predictor.load(tmp_path / "model").predict([truth["tokens"] for truth in truths], logits=True)
    assert_same("crf_tagger", [vars(answer) for answer in answers], truths)


def test_options_in_the_archive_are_used(unpacked, tmp_path, shared):
    folder = copy(unpacked, "simple_tagger", tmp_path / "model.archive")
    options = json.loads((shared / "fixtures/bilm/options.json").read_text())
    options["lstm"]["cell_clip"] = 1.5
    with changed(folder) as config:
        config["model"]["text_field_embedder"]["token_embedders"]["elmo"]["options_file"] = "elmo/options.json"
    (folder / "elmo").mkdir()
    (folder / "elmo/options.json").write_text(json.dumps(options))
    convert_archive(folder, tmp_path / "model")
    assert json.loads((tmp_path / "model/bilm/options.json").read_text())["lstm"]["cell_clip"] == 1.5
    options["lstm"]["dim"] = 10**12
    (folder / "elmo/options.json").write_text(json.dumps(options))
    with pytest.raises(SourceError, match="cells is 64; the options say 1000000000000"):
        convert_archive(folder, tmp_path / "other")


def copy(unpacked, name, target):
    return shutil.copytree(unpacked / name, target)


class changed:
    """The config of an archive's folder, to change."""

    def __init__(self, folder):
        self.path = folder / "config.json"

    def __enter__(self):
        self.config = json.loads(self.path.read_text("utf-8"))
        return self.config

    def __exit__(self, *_):
        self.path.write_text(json.dumps(self.config), "utf-8")


def set_in(config, path, value):
    *sections, last = path.split("/")
    for section in sections:
        config = config[section]
    config[last] = value


ELMO = "model/text_field_embedder/token_embedders/elmo"
CHARACTERS = "model/text_field_embedder/token_embedders/token_characters"
INDEXERS = "dataset_reader/token_indexers"
REFUSED = {
    "model": (
        "model/type",
        "srl_bert",
        "'model.type' is 'srl_bert', which cannot be converted; expected simple_tagger",
    ),
    "model of a wrong kind": ("model/type", 3, "'model.type' is 3; expected a string"),
    "no model": ("model", None, "'model' is missing"),
    "model no section": ("model", [1], r"'model' is \[1\]; expected a section"),
    "encoder": ("model/encoder/type", "alternating_lstm", "'model.encoder.type' is 'alternating_lstm', which cannot"),
    "stateful": ("model/encoder/stateful", True, "'model.encoder.stateful' is true, which cannot"),
    "a size": (
        "model/encoder/hidden_size",
        10**12,
        "'model.encoder.hidden_size' is 1000000000000; the weights have 24",
    ),
    "depth": ("model/encoder/num_layers", 10**9, "'model.encoder.num_layers' is 1000000000; the weights have 2"),
    "direction": ("model/encoder/bidirectional", False, "key 'encoder._module.weight_ih_l1' has shape"),
    "unknown option": ("model/encoder/skip", 1, "'model.encoder.skip' is 1, which cannot be converted; no such option"),
    "unknown option of the model": ("model/attention", {"type": "x"}, '\'model.attention\' is {"type": "x"}, which'),
    "embedder": (f"{ELMO}/type", "pretrained_transformer", "elmo.type' is 'pretrained_transformer', which cannot"),
    "layer norm": (f"{ELMO}/do_layer_norm", True, "elmo.do_layer_norm' is true, which cannot be converted"),
    "cached words": (f"{ELMO}/vocab_to_cache", ["a"], r"elmo.vocab_to_cache' is \[\"a\"\], which cannot"),
    "character encoder": (f"{CHARACTERS}/encoder/type", "cnn-highway", "encoder.type' is 'cnn-highway', which cannot"),
    "widths": (f"{CHARACTERS}/encoder/ngram_filter_sizes", [2], r"ngram_filter_sizes' differs from the weights"),
    "activation": (f"{CHARACTERS}/encoder/conv_layer_activation", "prelu", "conv_layer_activation' is 'prelu', which"),
    "norm": ("model/text_field_embedder/token_embedders/tokens/max_norm", 1.0, "tokens.max_norm' is 1.0, which cannot"),
    "label encoding": ("model/label_encoding", "BILOU2", "'model.label_encoding' is 'BILOU2', which cannot"),
    "other constraints": ("model/label_encoding", "BIO", "'crf._constraint_mask' allows other paths than BIO"),
    "boundaries": ("model/include_start_end_transitions", True, "key 'crf.start_transitions' is missing"),
    "label namespace": ("model/label_namespace", "tokens2", r"vocabulary/tokens2.txt: is missing"),
    "no indexer": (f"{INDEXERS}/tokens", None, "token_indexers.tokens' is missing"),
    "indexer": (f"{INDEXERS}/tokens/type", "pos_tag", "tokens.type' is 'pos_tag', which cannot"),
    "no type of an indexer": (f"{INDEXERS}/elmo", {}, "elmo.type' is 'single_id', which cannot be converted"),
    "marks": (f"{INDEXERS}/tokens/start_tokens", ["<s>"], "tokens.start_tokens' is"),
    "special words": (f"{INDEXERS}/elmo/tokens_to_add", {"a": 1}, "elmo.tokens_to_add' is"),
    "encoding": (f"{INDEXERS}/token_characters/character_tokenizer", {"byte_encoding": "utf-16"}, "byte_encoding' is"),
    "mark": (
        f"{INDEXERS}/token_characters/character_tokenizer",
        {"start_tokens": [-1]},
        "has the mark -1, which is not",
    ),
    "reader": ("dataset_reader/max_sequence_length", 10, "'dataset_reader.max_sequence_length' is 10, which cannot"),
    "tokenizer": ("dataset_reader/tokenizer", {"type": "pretrained_transformer"}, "tokenizer.type' is 'pretrained_tr"),
}


@pytest.mark.parametrize(("path", "value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_converted_is_refused_by_name(unpacked, tmp_path, path, value, message):
    folder = copy(unpacked, "crf_tagger", tmp_path / "archive")
    with changed(folder) as config:
        set_in(config, path, value)
    with pytest.raises(SourceError, match=message) as error:
        convert_archive(folder, tmp_path / "model")
    assert str(tmp_path / "archive") in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "model").exists()


BROKEN = {
    "config.json": (b"{", "config.json: not JSON"),
    "weights.th": (b"no weights", "weights.th: no weights of PyTorch"),
    "vocabulary/labels.txt": (b"O\nO\n", "labels.txt: expected a label a line, each once"),
    "vocabulary/tokens.txt": (b"\xff\n", "tokens.txt: not UTF-8"),
    "vocabulary/token_characters.txt": (b"a\nb\n", "token_characters.txt: no line '@@UNKNOWN@@'"),
    "vocabulary/non_padded_namespaces.txt": (None, "non_padded_namespaces.txt: is missing"),
    "metrics.json": (b"[1]", "metrics.json: expected names and values"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(unpacked, tmp_path, name):
    content, message = BROKEN[name]
    folder = copy(unpacked, "crf_tagger", tmp_path / "archive")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        convert_archive(folder, tmp_path / "model")


def test_labels_are_counted(unpacked, tmp_path):
    folder = copy(unpacked, "simple_tagger", tmp_path / "archive")
    (folder / "vocabulary/labels.txt").write_text("O\nB\n")
    with pytest.raises(
        SourceError, match=r"'tag_projection_layer\._module\.weight' gives 4 labels; the vocabulary has 2"
    ):
        convert_archive(folder, tmp_path / "model")


LSTM = "text_field_embedder.token_embedder_elmo._elmo._elmo_lstm._elmo_lstm.forward_layer_1"
DAMAGED = {
    "missing": ("encoder._module.bias_hh_l1", None, r"key 'encoder._module.bias_hh_l1' is missing"),
    "of a wrong shape": ("tag_projection_layer._module.weight", (25, 3), r"has shape \[25, 3\]; expected \[25, 48\]"),
    "of a wrong rank": ("crf.transitions", (25,), r"has shape \[25\]; expected 2 axes"),
    "too many": ("attention.weight", (2, 2), "key 'attention.weight' belongs to a part that cannot be converted"),
    "not finite": ("tag_projection_layer._module.bias", float("nan"), "no finite floating point numbers"),
    "repeated": ("text_field_embedder.token_embedder_tokens.weight", "repeated", "more than the file holds"),
    "empty": ("encoder._module.weight_hh_l0", (0, 24), r"has shape \[0, 24\]"),
    "few rows": (
        "text_field_embedder.token_embedder_tokens.weight",
        (7, 20),
        "has 7 rows in the weights; the vocabulary 'tok",
    ),
    "of the biLM": (f"{LSTM}.state_linearity.bias", (3,), r"state_linearity.bias' has shape \[3\]; expected \[256\]"),
}


@pytest.mark.parametrize(("key", "change", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_weights_are_named(unpacked, tmp_path, key, change, message):
    folder = copy(unpacked, "crf_tagger", tmp_path / "archive")
    state = torch.load(folder / "weights.th", weights_only=True)
    if change is None:
        del state[key]
    elif change == "repeated":
        state[key] = torch.zeros(1).expand(10**9, 20)
    else:
        state[key] = torch.full_like(state[key], change) if isinstance(change, float) else torch.zeros(change)
    torch.save(state, folder / "weights.th")
    with pytest.raises(SourceError, match=message):
        convert_archive(folder, tmp_path / "model")


def test_a_pickle_that_runs_code_is_refused(unpacked, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    folder = copy(unpacked, "simple_tagger", tmp_path / "archive")
    torch.save({"a": Evil()}, folder / "weights.th")
    with pytest.raises(SourceError, match=r"weights\.th: no weights of PyTorch"):
        convert_archive(folder, tmp_path / "model")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_weights_mean_the_same_in_both_libraries(cell, bidirectional, random):
    from models import torch_weights
    from models.recurrent import recurrent_stack

    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](4, 3, 2, batch_first=True, bidirectional=bidirectional)
    weights = torch_weights.TorchWeights({k: v.detach().numpy() for k, v in module.state_dict().items()}, "here")
    stack, _ = recurrent_stack(cell, 3, 2, bidirectional, 4, "layer")
    x = got = random.normal(size=(2, 5, 4)).astype("f4")
    for k, layer in enumerate(stack):
        layer.set_weights(torch_weights.recurrent(weights, cell, k, got.shape[-1], bidirectional, bias=True))
        got = np.array(layer(got))
    weights.close()
    np.testing.assert_allclose(got, module(torch.tensor(x))[0].detach().numpy(), atol=1e-5)


def test_activations_mean_the_same_in_both_libraries():
    import keras

    from models.allennlp_parts import _ACTIVATIONS

    modules = {"swish": "SiLU", "linear": "Identity", "gelu": "GELU", "log_sigmoid": "LogSigmoid"}
    named = {name.lower(): name for name in dir(torch.nn)}
    x = np.linspace(-7, 7, 29).astype("f4")
    for theirs, ours in _ACTIVATIONS.items():
        module = getattr(torch.nn, modules.get(theirs) or named[theirs])()
        dense = keras.layers.Dense(1, ours).activation
        np.testing.assert_allclose(np.array(dense(x)), module(torch.tensor(x)).numpy(), atol=1e-5, err_msg=theirs)


def test_looking_for_an_archive_loads_nothing_heavy(house):
    code = "import models.allennlp, sys; print(sorted({'torch', 'keras', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
