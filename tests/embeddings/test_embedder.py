import itertools
import json

import h5py
import numpy as np
import pytest

from embeddings import Embedder, load_bilm
from embeddings.errors import InputError


@pytest.fixture(scope="module")
def bilm(tiny_bilm_folder):
    return load_bilm(tiny_bilm_folder)


@pytest.fixture
def sentences(random):
    return [[f"w{random.integers(40)}" for _ in range(random.integers(0, 30))] for _ in range(50)]


def test_stateless_vectors_are_those_of_bilm_tf(shared):
    expected = np.load(shared / "fixtures/bilm/expected.npz")["activations"]
    sentences = [line.split() for line in (shared / "fixtures/sentences.txt").read_text("utf-8").splitlines()]
    vectors = list(Embedder(load_bilm(shared / "fixtures/bilm")).embed(sentences))
    assert len(vectors) == len(expected)
    for got, want in zip(vectors, expected, strict=True):
        assert np.abs(got - want[:, : got.shape[1]]).max() < 1e-5


def test_a_second_pass_starts_from_the_state_of_the_first(shared):
    expected = np.load(shared / "fixtures/bilm/expected.npz")["second_pass_stateful"]
    sentences = [line.split() for line in (shared / "fixtures/sentences.txt").read_text("utf-8").splitlines()]
    embedder = Embedder(load_bilm(shared / "fixtures/bilm"), stateful=True, batch_size=len(sentences))
    list(embedder.embed(sentences))
    for got, want in zip(embedder.embed(sentences), expected, strict=True):
        assert np.abs(got - want[:, : got.shape[1]]).max() < 1e-5


@pytest.mark.parametrize("rows", [1, 3])
def test_stateful_vectors_are_those_of_the_documents(shared, rows):
    """The three files are three documents, read side by side as the rows of one batch, or one after the other."""
    documents = [
        [sentence.split() for sentence in document]
        for document in json.loads((shared / "fixtures/bilm/sentences.json").read_text("utf-8"))
    ]
    embedder = Embedder(load_bilm(shared / "fixtures/bilm"), stateful=True, batch_size=rows)
    vectors = {}
    if rows == 3:
        in_turn = itertools.chain.from_iterable(zip(*documents, strict=True))
        places = itertools.product(range(10), range(3))
        for (position, document), got in zip(places, embedder.embed(in_turn), strict=True):
            vectors[document, position] = got
    else:
        for document, sentences in enumerate(documents):
            embedder.reset_state()
            for position, got in enumerate(embedder.embed(sentences)):
                vectors[document, position] = got
    for document in range(3):
        with h5py.File(shared / f"fixtures/bilm/lm_embeddings_{document}.hdf5") as file:
            for position in range(10):
                # The files hold the top layer, a direction a row.
                expected = np.concatenate(file[str(position)][()], axis=-1)
                assert np.abs(vectors[document, position][-1] - expected).max() < 1e-5


def test_vectors_do_not_depend_on_the_batches(bilm, sentences):
    one_by_one = list(Embedder(bilm, batch_size=1).embed(sentences))
    together = list(Embedder(bilm, batch_size=7, batch_words=60).embed(sentences))
    for sentence, got, want in zip(sentences, together, one_by_one, strict=True):
        assert got.shape == (3, len(sentence), 8) and got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_long_sentence_in_pieces_is_the_same(bilm, sentences, steps):
    whole = list(Embedder(bilm).embed(sentences))
    for got, want in zip(Embedder(bilm, steps=steps).embed(sentences), whole, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_smaller_batch_leaves_the_other_rows_state(bilm):
    first, second, third = [["a", "b"], ["c"]], [["d"]], [["e"], ["f"]]
    embedder = Embedder(bilm, stateful=True, batch_size=2)
    for batch in (first, second):
        list(embedder.embed(batch))
    got = list(embedder.embed(third))
    upper, lower = (Embedder(bilm, stateful=True) for _ in range(2))
    np.testing.assert_allclose(got[0], list(upper.embed([["a", "b"], ["d"], ["e"]]))[-1], atol=1e-6)
    np.testing.assert_allclose(got[1], list(lower.embed([["c"], ["f"]]))[-1], atol=1e-6)


@pytest.mark.parametrize("batch_words", [4, 4096])
def test_stateful_batches_are_computed_many_in_one_go(bilm, sentences, batch_words):
    embedder = Embedder(bilm, stateful=True, batch_size=3, batch_words=batch_words)
    found = list(embedder.windows(sentences))
    sizes = [len(window) for window in found]
    assert sizes == [50] if batch_words > 4 else len(sizes) > 3 and not any(size % 3 for size in sizes[:-1])
    alone = Embedder(bilm, stateful=True, batch_size=3)
    expected = (vectors for first in range(0, 50, 3) for vectors in alone.embed(sentences[first : first + 3]))
    for got, want in zip(itertools.chain.from_iterable(found), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_text_in_place_of_its_words_is_refused(bilm):
    with pytest.raises(InputError, match="expected lists of words, found the text 'a text'"):
        next(Embedder(bilm).embed(["a text"]))


@pytest.mark.parametrize("word", [None, 3, float("nan"), ["a"]])
def test_what_is_no_word_is_refused_and_the_next_sentence_is_read(bilm, word):
    embedder = Embedder(bilm)
    with pytest.raises(InputError, match="expected words, found "):
        next(embedder.embed([["one", word]]))
    np.testing.assert_array_equal(next(embedder.embed([["one", "two"]])), next(Embedder(bilm).embed([["one", "two"]])))


def test_sentences_are_read_lazily(bilm):
    read = []

    def endless():
        for k in itertools.count():
            read.append(k)
            yield [f"word{k}"]

    vectors = Embedder(bilm, batch_size=2).embed(endless())
    assert next(vectors).shape == (3, 1, 8)
    assert len(read) < 100


def test_a_full_table_of_words_changes_nothing(bilm, sentences):
    embedder = Embedder(bilm, batch_size=1)
    embedder._table.capacity = 5
    for got, want in zip(embedder.embed(sentences), Embedder(bilm).embed(sentences), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_sentence_of_20_000_words_is_embedded(bilm):
    (vectors,) = Embedder(bilm).embed([["long"] * 20_000])
    assert vectors.shape == (3, 20_000, 8) and np.isfinite(vectors).all()


ON_AN_ACCELERATOR = """
import json

import numpy as np
from embeddings import BiLMOptions, embedder
from embeddings.bilm import BiLM
from embeddings.embedder import Embedder
from embeddings.spelling import spelling_of
options = BiLMOptions(projection=4, cells=6, filters=((1, 4), (2, 4)), highways=1, layers=2)
bilm = BiLM(options, spelling_of(options))
sentences = [[f"w{k % 7}" for k in range(n)] for n in (1, 30, 9, 700, 2, 40, 41, 42, 43, 44, 3)]
for stateful in (False, True):
    options = {"stateful": stateful, "batch_size": 3 if stateful else None}
    embedder.has_accelerator = lambda: False
    want = list(Embedder(bilm, **options).embed(sentences))
    embedder.has_accelerator = lambda: True
    other = Embedder(bilm, batch_words=128, **options)
    shapes, read = set(), other._keras._read
    def noted(pieces, state):
        shapes.update(mask.shape for _, mask in pieces)
        return read(pieces, state)
    other._keras._read = noted
    for a, b in zip(other.embed(sentences), want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    print(list(map(list, sorted(shapes))))
"""


@pytest.mark.slow
def test_an_accelerator_gives_the_vectors_of_numpy_in_few_shapes(on_jax, tmp_path):
    # As compiled by JAX; here for a processor.
    batches, streams = map(json.loads, on_jax(ON_AN_ACCELERATOR, tmp_path).splitlines())
    assert all(rows & (rows - 1) == 0 for rows, _ in batches) and len(batches) <= 6
    assert all(steps in (8, 16, 24, 32, 64, 96, 128, 256, 384, 512) for _, steps in batches + streams)
