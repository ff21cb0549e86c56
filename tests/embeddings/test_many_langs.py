import json
import pickle
import shutil
import tarfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from reference import torch_many_langs as reference  # noqa: E402

from embeddings import Embedder, load_bilm  # noqa: E402
from embeddings.errors import SourceError  # noqa: E402
from embeddings.many_langs import ManyLangsBiLM  # noqa: E402
from embeddings.source import copy_bilm, find_source  # noqa: E402

MODELS = {
    "words and characters": (reference.network(), "abcdefgh", ["abc", "ha", "b" * 48], {}),
    "characters alone": (reference.network(words=False, layers=1), "абвгдежз", [], {"zipped": False}),
    "three layers": (reference.network(layers=3, activation="tanh", highways=1), "今天氣真好阿\u3000", ["天氣"], {}),
    "no highways, tight clips": (reference.network(highways=0, clips=(0.05, 0.02)), "😀🎉ab\xa0", ["😀"], {}),
    "no clips, short words": (reference.network(clips=(0, None), max_characters=8), "abc", ["abcabc"], {}),
    "path of its own": (reference.network(activation="tanh"), "abc", ["abc"], {"path": "network.json"}),
}
SENTENCES = [
    ["abc"],
    ["ha", "unknown", "abcabc", "", "абв", "a" * 70, "b" * 60, "天氣", "今日", "😀", "🎉🎉", "<bos>", "<pad>"],
    ["a b", "\u3000", " ", "ab\xa0", "\u2028"],
    ["abcabcabc"] * 30,
]


@pytest.fixture
def folder(tmp_path):
    reference.write(tmp_path / "model", reference.network(), "abcdefgh", ["abc", "ha"])
    return tmp_path / "model"


@pytest.mark.parametrize(("network", "characters", "words", "written"), MODELS.values(), ids=MODELS)
def test_the_vectors_are_those_of_the_equations(tmp_path, network, characters, words, written):
    reference.write(tmp_path / "model", network, characters, words, seed=3, **written)
    vectors = Embedder(load_bilm(tmp_path / "model")).embed(SENTENCES)
    for sentence, got in zip(SENTENCES, vectors, strict=True):
        np.testing.assert_allclose(got, reference.layers(tmp_path / "model", sentence), atol=2e-6, rtol=0)


def test_it_is_known_by_its_files_in_archives_too(folder, tmp_path):
    assert find_source(folder).form == "ELMoForManyLangs"
    bare = shutil.make_archive(str(tmp_path / "bare"), "zip", folder)
    inner = shutil.make_archive(str(tmp_path / "inner"), "gztar", tmp_path, "model")
    assert tarfile.is_tarfile(inner)
    for archive in (bare, inner):
        stored = find_source(archive)
        assert isinstance(stored, ManyLangsBiLM)
        for key, array in find_source(folder).arrays().items():
            np.testing.assert_array_equal(stored.arrays()[key], array, err_msg=key)
        assert find_source(archive).checksum() == find_source(folder).checksum()


@pytest.mark.parametrize(("network", "characters", "words", "written"), MODELS.values(), ids=MODELS)
def test_it_survives_writing_in_the_published_form(tmp_path, network, characters, words, written):
    reference.write(tmp_path / "model", network, characters, words, **written)
    (tmp_path / "copy").mkdir()
    copy_bilm(tmp_path / "model", tmp_path / "copy")
    before, after = find_source(tmp_path / "model"), find_source(tmp_path / "copy")
    assert (before.form, after.form) == ("ELMoForManyLangs", "bilm-tf files")
    assert before.options == after.options
    for key, array in before.arrays().items():
        np.testing.assert_array_equal(after.arrays()[key], array, err_msg=key)
    said = [word for sentence in SENTENCES for word in sentence] + ["<S>", "</S>"]
    np.testing.assert_array_equal(before.spelling.ids(said), after.spelling.ids(said))
    one, other = (Embedder(load_bilm(tmp_path / name)).embed(SENTENCES) for name in ("model", "copy"))
    for vectors, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(vectors, same)


def test_cutting_padding_changes_nothing(folder):
    spelling = find_source(folder).spelling
    ids = spelling.ids(["a", "abcdef"])
    assert spelling.trim(ids).shape == (2, 1 + len("abcdef") + 2 + 3)
    encoder = load_bilm(folder).token_encoder
    np.testing.assert_allclose(encoder(spelling.trim(ids)), encoder(ids), atol=1e-6)
    full = spelling.ids(["a" * 60])
    assert spelling.trim(full).shape == full.shape


def test_the_checksum_covers_the_networks_file(folder):
    before = find_source(folder).checksum()
    change_network(folder, "encoder", cell_clip=2)
    assert find_source(folder).checksum() != before


def test_without_the_networks_file_the_published_models_hold(folder):
    (folder / "network.json").unlink()
    options = find_source(folder).options
    assert (options.activation, options.cell_clip, options.projection_clip) == ("relu", 3, 3)
    assert options.max_characters == 50
    assert options.filters == ((1, 3), (2, 2), (3, 4))


def test_of_an_entry_that_is_given_twice_the_later_number_counts(folder):
    # Two kinds of white space are one after reading; the original project could not load such a model.
    lines = (folder / "char.dic").read_text("utf-8").replace("a\t", "\xa0\t", 1).replace("c\t", "\u2003\t", 1)
    (folder / "char.dic").write_text(lines, "utf-8")
    spelling = find_source(folder).spelling
    assert spelling.characters[:4] == ["", "b", "\u3000", "d"]
    assert spelling.ids(["\u3000"])[0, 2] == 3


def change_network(folder, part, **changes):
    network = json.loads((folder / "network.json").read_text())
    network[part].update(changes)
    (folder / "network.json").write_text(json.dumps(network))


def change_state(folder, name, change):
    state = torch.load(folder / name)
    change(state)
    torch.save(state, folder / name)


def damage(name, change):
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


CONVOLUTION, BIAS = "convolutions.1.weight", "backward_layer_1.state_linearity.bias"
DAMAGES = {
    "no encoder": (lambda f: (f / "encoder.pkl").unlink(), "token_embedder.pkl: no encoder.pkl beside it"),
    "no words": (lambda f: (f / "word.dic").unlink(), "word.dic: missing"),
    "no configuration": (lambda f: (f / "config.json").write_text("{}"), "config.json: no key 'config_path'"),
    "no JSON": (lambda f: (f / "network.json").write_text("{"), "network.json: not JSON"),
    "LSTM embedder": (
        lambda f: change_network(f, "token_embedder", name="lstm"),
        "network.json: token_embedder 'lstm'; expected 'cnn'",
    ),
    "words alone": (
        lambda f: change_network(f, "token_embedder", char_dim=0),
        r"network.json: a token embedder of words alone \(char_dim 0\)",
    ),
    "LSTM encoder": (
        lambda f: change_network(f, "encoder", name="lstm"),
        "network.json: encoder 'lstm'; expected 'elmo'",
    ),
    "activation": (lambda f: change_network(f, "token_embedder", activation="elu"), "network.json: activation 'elu'"),
    "truncated": (damage("encoder.pkl", lambda data: data[: len(data) // 2]), "encoder.pkl: no weights of PyTorch"),
    "empty": (damage("token_embedder.pkl", lambda data: b""), "token_embedder.pkl: no weights of PyTorch"),
    "no characters": (
        lambda f: change_state(f, "token_embedder.pkl", lambda s: s.pop("char_emb_layer.embedding.weight")),
        "token_embedder.pkl: key 'char_emb_layer.embedding.weight' is missing",
    ),
    "missing key": (
        lambda f: change_state(f, "encoder.pkl", lambda s: s.pop(BIAS)),
        f"encoder.pkl: key '{BIAS}' is missing",
    ),
    "wrong shape": (
        lambda f: change_state(f, "token_embedder.pkl", lambda s: s.update({CONVOLUTION: torch.zeros(2, 9, 2)})),
        rf"token_embedder.pkl: key '{CONVOLUTION}' has shape \[2, 9, 2\]; the options ask for \[2, 3, 2\]",
    ),
    "wrong axes": (
        lambda f: change_state(f, "token_embedder.pkl", lambda s: s.update({CONVOLUTION: torch.zeros(2)})),
        rf"token_embedder.pkl: key '{CONVOLUTION}' has shape \[2\]; expected 3 axes",
    ),
    "whole numbers": (
        lambda f: change_state(f, "encoder.pkl", lambda s: s.update({BIAS: torch.zeros(28, dtype=torch.int32)})),
        f"encoder.pkl: key '{BIAS}' holds int32",
    ),
    "view that claims all": (
        lambda f: change_state(f, "encoder.pkl", lambda s: s.update({BIAS: torch.zeros(1).expand(10**12)})),
        rf"encoder.pkl: key '{BIAS}' has shape \[1000000000000\]; more than the file holds",
    ),
    "no numbers": (
        lambda f: change_state(f, "encoder.pkl", lambda s: s[BIAS].fill_(torch.nan)),
        f"encoder.pkl: key '{BIAS}' holds infinities",
    ),
    "a list": (lambda f: torch.save([1], f / "encoder.pkl"), "encoder.pkl: holds a list"),
    "more characters": (
        damage("char.dic", lambda data: data + b"z\t14\n"),
        "char.dic: entry 'z' has the number 14; the weights have 14 rows",
    ),
    "a number twice": (damage("char.dic", lambda data: data + b"z\t3\n"), "char.dic: number 3 has the entries"),
    "no number": (damage("word.dic", lambda data: data + b"z\tx\n"), r"word.dic line 7: 'z\\tx'; expected an entry"),
    "no UTF-8": (damage("char.dic", lambda data: b"a\t0\n\xff" + data), "char.dic line 2: not UTF-8"),
    "no marks": (damage("char.dic", lambda data: data.replace(b"<bow>", b"?")), "char.dic: no entry <bow>"),
}


@pytest.mark.parametrize(("damaged", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_refused_with_the_file_and_the_key(folder, damaged, message):
    damaged(folder)
    with pytest.raises(SourceError, match=message):
        load_bilm(folder)


def test_no_code_is_run_from_a_pickle(folder, tmp_path):
    (folder / "encoder.pkl").write_bytes(pickle.dumps({"weights": Hostile(str(tmp_path / "owned"))}))
    with pytest.raises(SourceError, match=r"encoder.pkl: no weights of PyTorch"):
        load_bilm(folder)
    torch.save({"weights": Hostile(str(tmp_path / "owned"))}, folder / "encoder.pkl")
    with pytest.raises(SourceError, match=r"encoder.pkl: no weights of PyTorch"):
        load_bilm(folder)
    assert not (tmp_path / "owned").exists()
