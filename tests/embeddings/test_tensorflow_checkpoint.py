"""What TensorFlow wrote: modules of TF-Hub, and the folders that the training of bilm-tf leaves."""

import json
import shutil
import subprocess
import sys
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from embeddings import BiLMOptions, load_bilm
from embeddings.bilm import BiLM
from embeddings.bilm_tf_checkpoint import training_name
from embeddings.elmo_encoder import load_elmo
from embeddings.errors import SourceError
from embeddings.options import MAX_CHARACTERS_PER_WORD
from embeddings.source import copy_bilm, find_source
from embeddings.spelling import spelling_of
from embeddings.tensorflow_checkpoint_index import read_index
from embeddings.weights import arrays_of, checked


@pytest.fixture(scope="module")
def published(shared):
    return shared / "fixtures/hub_elmo/module"


@pytest.fixture
def module(published, tmp_path):
    """A copy of the module that may be damaged."""
    folder = tmp_path / "module"
    for path in published.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(published)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("inner", ["", "elmo_3/"])
def test_a_tar_gz_of_a_module_gives_its_published_outputs(published, shared, tmp_path, inner):
    with tarfile.open(tmp_path / "elmo.tar.gz", "w:gz") as archive:
        for path in sorted(published.rglob("*")):
            if path.is_file():
                archive.add(path, inner + path.relative_to(published).as_posix())
    encoder = load_elmo(tmp_path / "elmo.tar.gz")
    lines = (shared / "fixtures/sentences.txt").read_text("utf-8").splitlines()
    expected = np.load(shared / "fixtures/hub_elmo/expected.npz")
    for name, value in encoder.outputs(encoder.ids(line.split(" ") for line in lines)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_a_module_tells_its_sizes_its_switches_and_its_mix(published):
    stored = find_source(published)
    filters = ((1, 4), (2, 8), (3, 16), (4, 32), (5, 64))
    assert stored.form == "TF-Hub module"
    assert stored.options == BiLMOptions(projection=16, cells=64, filters=filters, character_dim=4)
    assert stored.options.max_characters == MAX_CHARACTERS_PER_WORD
    arrays = stored.arrays()
    assert arrays["char_embed"].shape == (261, 4)
    np.testing.assert_array_equal(arrays["aggregation/weights"], np.float32([0.1, -0.3, 0.7]))
    assert float(np.reshape(arrays["aggregation/scaling"], ())) == 1.25


def change_graph(module, change):
    graph = saved_model_pb2.SavedModel.FromString((module / "saved_model.pb").read_bytes())
    for node in graph.meta_graphs[0].graph_def.node:
        change(node)
    (module / "saved_model.pb").write_bytes(graph.SerializeToString())


def test_switches_are_read_off_the_graph(module):
    def change(node):
        if node.op == "Relu":
            node.op = "Tanh"
        elif node.op == "MaxPool":
            node.attr["ksize"].list.i[2] -= 20
        elif node.name.endswith("lstm_cell/clip_by_value/Minimum/y"):
            node.attr["value"].tensor.float_val[0] = 5
        elif node.name.endswith("lstm_cell/clip_by_value_1/Minimum") or node.name.endswith("Cell1/rnn/while/add_1"):
            node.op = "Identity"

    change_graph(module, change)
    options = find_source(module).options
    assert (options.cell_clip, options.projection_clip) == (5, None)
    assert (options.activation, options.max_characters, options.skip_connections) == ("tanh", 30, False)


def test_a_graph_with_other_names_is_taken_to_be_as_the_published_ones(module, published):
    change_graph(module, lambda node: setattr(node, "name", f"other/{node.name}"))
    assert find_source(module).options == find_source(published).options


def test_a_copy_in_the_published_form_holds_the_same_numbers(published, tmp_path):
    copy_bilm(published, tmp_path)
    first, second = find_source(published).arrays(), find_source(tmp_path).arrays()
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(second[key], first[key], err_msg=key)


INDEX, DATA = "variables/variables.index", "variables/variables.data-00001-of-00002"


def edit(name, change):
    def damage(folder):
        path = folder / name
        data = bytearray(path.read_bytes())
        path.write_bytes(change(data))

    return damage


def flip(data):
    data[len(data) // 2] ^= 16
    return data


DAMAGE = {
    "no index": (lambda folder: (folder / INDEX).unlink(), "a SavedModel, but no biLM"),
    "no data": (lambda folder: (folder / DATA).unlink(), r"index: broken.*00001-of-00002, which is missing"),
    "an empty index": (edit(INDEX, lambda data: b""), "index: broken or truncated"),
    "half an index": (edit(INDEX, lambda data: data[:900]), "index: broken or truncated"),
    "a flipped index": (edit(INDEX, flip), "index: "),
    "half the data": (edit(DATA, lambda data: data[: len(data) // 2]), r"index: broken.*key 'bilm/.*ends beyond"),
    "flipped data": (edit(DATA, flip), "index: key 'bilm/.*' cannot be read .*hecksum"),
    "no graph": (edit("saved_model.pb", lambda data: data[:5000]), "saved_model.pb: not a SavedModel"),
    "an empty graph": (edit("saved_model.pb", lambda data: b""), "a SavedModel without a graph"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_module_is_refused_with_the_file(module, damage, message):
    damage(module)
    with pytest.raises(SourceError, match=message):
        load_bilm(module)


def save(prefix, arrays):
    names = list(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=list(arrays.values())
    )


def wrong(key, value):
    def change(arrays):
        arrays |= {key: value}
        if value is None:
            del arrays[key]

    return change


WRONG = {
    "a missing key": (wrong("bilm/CNN_proj/b_proj", None), "key 'bilm/CNN_proj/b_proj' is missing"),
    "a wrong shape": (
        wrong("bilm/CNN_proj/b_proj", np.zeros(3, "f")),
        r"key 'bilm/CNN_proj/b_proj' has shape \[3\]; the options ask for \[16\]",
    ),
    "whole numbers": (wrong("bilm/CNN_proj/b_proj", np.zeros(16, "i4")), "'bilm/CNN_proj/b_proj' holds int32"),
    "text": (wrong("bilm/CNN_proj/b_proj", np.array(["a"] * 16)), "'bilm/CNN_proj/b_proj' holds object"),
    "no numbers": (wrong("bilm/CNN_proj/b_proj", np.full(16, np.nan, "f")), "'CNN_proj/b_proj' holds infinities"),
    "other characters": (wrong("bilm/char_embed", np.zeros((50, 4), "f")), "has 50 rows; expected 262"),
    "no filters": (wrong("bilm/CNN/W_cnn_0", None), "not the shapes of a biLM"),
    "an odd axis": (wrong("bilm/char_embed", np.zeros(262, "f")), r"has shape \[262\]; expected 2 axes"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_variables_are_refused_with_the_key(module, change, message):
    prefix = module / "variables/variables"
    reader = tf.train.load_checkpoint(str(prefix))
    arrays = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
    change(arrays)
    for path in (module / "variables").iterdir():
        path.unlink()
    save(prefix, arrays)
    with pytest.raises(SourceError, match=message):
        load_bilm(module)


def test_an_index_is_read_as_tensorflow_reads_it(published):
    sizes = {path.name.split(".data-")[1]: path.stat().st_size for path in (published / "variables").glob("*.data-*")}
    stated = read_index((published / INDEX).read_bytes(), sizes)
    reader = tf.train.load_checkpoint(str(published / "variables/variables"))
    assert {key: list(of.shape) for key, of in stated.items()} == reader.get_variable_to_shape_map()


def training_folder(folder, layers=2, words=0, step=7):
    """What bilm-tf's training leaves, with random numbers."""
    filters = () if words else ((1, 3), (2, 4))
    inputs = {"inputs": "words", "words": words, "word_dim": 4} if words else {"character_dim": 3}
    options = BiLMOptions(projection=4, cells=6, layers=layers, filters=filters, **inputs)
    vocabulary = ["<S>", "</S>", "<UNK>", *"abcdef"[: max(words, 9) - 3]]
    keras.utils.set_random_seed(layers)
    arrays = arrays_of(BiLM(options, spelling_of(options, vocabulary if words else ())))
    random = np.random.default_rng(1)
    stored = {training_name(key, layers): array for key, array in arrays.items()}
    softmax = {"softmax/W": random.normal(size=(9, 4)).astype("f"), "softmax/b": random.normal(size=9).astype("f")}
    stored |= {f"lm/{key}": array for key, array in softmax.items()}
    stored |= {"global_step": np.int64(step), "lm/char_embed/Adagrad": np.zeros(3, "f")}
    folder.mkdir(exist_ok=True)
    save(folder / f"model.ckpt-{step}", stored)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "/gone/model.ckpt-{step}"\n')
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n")
    published = options.to_json() | {"n_tokens_vocab": 9, "unroll_steps": 20}
    (folder / "options.json").write_text(json.dumps(published))
    return options, checked(arrays | softmax, options, "")


@pytest.mark.parametrize(("layers", "words"), [(2, 0), (1, 0), (2, 9), (1, 9)])
def test_the_checkpoint_of_a_training_is_a_source_with_its_softmax(tmp_path, layers, words):
    options, arrays = training_folder(tmp_path, layers, words)
    stored = find_source(tmp_path)
    assert stored.form == "bilm-tf training checkpoint"
    assert stored.options == options
    assert stored.vocabulary[:3] == ("<S>", "</S>", "<UNK>") and len(stored.vocabulary) == 9
    found = stored.arrays()
    assert found.keys() == arrays.keys()
    for key in arrays:
        np.testing.assert_array_equal(found[key], arrays[key], err_msg=key)
    assert load_bilm(tmp_path).spelling.ids(["a"]).shape == (1, 1 if words else 50)


def test_a_softmax_may_share_the_words_of_the_embedding(tmp_path):
    _, arrays = training_folder(tmp_path, words=9)
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-7"))
    keys = set(reader.get_variable_to_shape_map()) - {"lm/softmax/W"}
    save(tmp_path / "model.ckpt-7", {key: reader.get_tensor(key) for key in keys})
    np.testing.assert_array_equal(find_source(tmp_path).arrays()["softmax/W"], arrays["embedding"])


def test_the_newest_checkpoint_counts_unless_the_folder_names_another(tmp_path):
    _, newest = training_folder(tmp_path, step=90)
    shutil.move(tmp_path / "model.ckpt-90.index", tmp_path / "model.ckpt-100.index")
    shutil.move(tmp_path / "model.ckpt-90.data-00000-of-00001", tmp_path / "model.ckpt-100.data-00000-of-00001")
    training_folder(tmp_path, step=20)
    assert find_source(tmp_path).files[1] == "model.ckpt-20.index"
    (tmp_path / "checkpoint").unlink()
    stored = find_source(tmp_path)
    assert stored.files[1] == "model.ckpt-100.index"
    np.testing.assert_array_equal(stored.arrays()["char_embed"], newest["char_embed"])
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-30"\n')
    with pytest.raises(SourceError, match=r"checkpoint: names model.ckpt-30.index, which is missing; found model"):
        find_source(tmp_path)


def test_weights_that_were_dumped_beside_a_checkpoint_are_preferred(tmp_path, tiny_bilm_folder):
    training_folder(tmp_path)
    shutil.copy(tiny_bilm_folder / "weights.hdf5", tmp_path)
    assert find_source(tmp_path).form == "bilm-tf files"


def test_looking_for_a_module_or_a_checkpoint_loads_no_tensorflow(published, house, tmp_path):
    training_folder(tmp_path / "training")
    code = f"""
import sys
from embeddings.source import find_source
print(find_source({str(published)!r}).form, find_source({str(tmp_path / "training")!r}).form)
print(sorted({{"tensorflow", "keras", "tensorflow_hub"}} & set(sys.modules)))
"""
    lines = subprocess.run([sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=True).stdout
    assert lines.splitlines() == ["TF-Hub module bilm-tf training checkpoint", "[]"]
