"""What NumPy computes, beside Keras and beside float64."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embeddings import BiLM, BiLMOptions, Embedder
from embeddings.cores import _libraries, cores, on_cores
from embeddings.errors import ConfigError
from embeddings.kernels import lstm_step
from embeddings.matrix import Matrix
from embeddings.sentence_reader import SentenceReader
from embeddings.spelling import spelling_of
from embeddings.word_reader import WordReader

SMALL = {"projection": 6, "cells": 10, "character_dim": 4, "filters": ((1, 5), (3, 7), (7, 4))}
CHARACTERS = ["<bos>", "<eos>", "<bow>", "<eow>", "<oov>", "<pad>", *"abcdefgh"]
WORDS = ["<oov>", "<UNK>", "<S>", "</S>", "abc", "bad"]


def bilm_of(**options):
    options = BiLMOptions(**SMALL | options)
    words = WORDS[: options.words] if options.words else ()
    return BiLM(options, spelling_of(options, words, CHARACTERS if options.inputs == "dictionaries" else ()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"highways": 2},
        {"activation": "tanh", "highways": 1},
        {"projection": 16, "cells": 16},
        {"max_characters": 9},
        {"inputs": "words", "words": 6, "word_dim": 6, "filters": ()},
        {"inputs": "dictionaries", "characters": 14, "max_characters": 12},
        {"inputs": "dictionaries", "characters": 14, "words": 6, "word_dim": 3, "max_characters": 12},
    ],
)
@pytest.mark.parametrize(("few", "threads"), [(0, 3), (64, 3), (64, 1)])
def test_words_are_read_as_by_keras(options, few, threads, monkeypatch):
    monkeypatch.setattr("embeddings.word_reader.FEW", few)
    monkeypatch.setattr("embeddings.word_reader.cores", lambda: threads)
    bilm = bilm_of(**options)
    words = ["abc", "a", "bad", "unknown-word", "<S>", "</S>", "x" * 60, "a" * 7, "äß"]
    ids = bilm.spelling.ids(words)
    # All columns, so that what is trimmed is known not to matter.
    want = np.asarray(bilm.token_encoder(ids.astype(np.int32)))
    got = WordReader(bilm.token_encoder, bilm.spelling).read(bilm.spelling.trim(ids).astype(np.int32))
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_few_words_stay_on_their_core(threads, monkeypatch):
    seen = []
    monkeypatch.setattr("embeddings.word_reader.cores", lambda: threads)
    monkeypatch.setattr(
        "embeddings.word_reader.highway_mix", lambda *_: seen.extend(library.num_threads for library in _libraries())
    )
    bilm = bilm_of(highways=1)
    WordReader(bilm.token_encoder, bilm.spelling).read(bilm.spelling.ids(["abc"]).astype(np.int32))
    assert set(seen) == {1}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": 3, "skip_connections": True},
        {"layers": 1, "bidirectional": False},
        {"projection": 10},
        {"cell_clip": 0.2, "projection_clip": 0.1},
        {"cell_clip": None, "projection_clip": None},
    ],
)
@pytest.mark.parametrize("rows", [1, 4, 256])
def test_sentences_are_read_as_by_keras(random, options, rows):
    bilm = bilm_of(**options)
    lengths = np.array([0, 5, 1, 40, 3, 0, 5])
    sentences = [[f"w{k}" for k in random.integers(20, size=n)] for n in lengths]
    for sentence, got in zip(sentences, Embedder(bilm, batch_size=rows).embed(sentences), strict=True):
        want = np.asarray(bilm(bilm.spelling.ids(["<S>", *sentence, "</S>"])[None]))[0, :, 1:-1]
        np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("rows", [1, 3])
def test_states_are_carried_on_as_by_keras(random, rows):
    bilm = bilm_of()
    documents = [
        [[f"w{k}" for k in random.integers(20, size=n)] for n in random.integers(0, 9, 4)] for _ in range(rows)
    ]
    in_turn = [document[k] for k in range(4) for document in documents]
    got = list(Embedder(bilm, stateful=True, batch_size=rows).embed(in_turn))
    for row, document in enumerate(documents):
        states = [None, None]
        for k, sentence in enumerate(document):
            vectors = bilm.token_encoder(bilm.spelling.ids(["<S>", *sentence, "</S>"]).astype(np.int32))[None]
            for direction, stack in enumerate(bilm.stacks):
                outputs, states[direction] = stack(vectors, state=states[direction])
                of_direction = got[k * rows + row][1:, :, direction * 6 : direction * 6 + 6]
                np.testing.assert_allclose(of_direction, np.stack([one[0, 1:-1] for one in outputs]), atol=2e-6)


def test_pieces_parts_and_shares_do_not_matter(random, monkeypatch):
    bilm = bilm_of()
    lengths, vectors = random.integers(0, 12, 60), random.normal(size=(30, 6)).astype(np.float32)
    words = random.integers(2, 30, lengths.sum())
    whole = SentenceReader(bilm).read(words, lengths, vectors)
    monkeypatch.setattr("embeddings.sentence_reader.SHARE", 4 * 160)
    monkeypatch.setattr("embeddings.sentence_reader.MANY", 2)
    monkeypatch.setattr("embeddings.sentence_reader.WORDS_APART", 20)
    monkeypatch.setattr("embeddings.sentence_reader.cores", lambda: 7)
    for rows in (1, 3):
        reader = SentenceReader(bilm, rows)
        np.testing.assert_allclose(reader.read(words, lengths, vectors), whole, atol=1e-6)


def test_sentences_that_begin_or_end_alike_share_that(random, monkeypatch):
    bilm = bilm_of()
    vectors = random.normal(size=(5, 6)).astype(np.float32)
    lengths, words = np.array([3, 1, 0, 2, 3]), np.array([2, 3, 4, 2, 3, 4, 2, 2, 4])
    apart = SentenceReader(bilm).read(words, lengths, vectors)
    monkeypatch.setattr("embeddings.sentence_reader.MANY", 1)
    np.testing.assert_allclose(SentenceReader(bilm).read(words, lengths, vectors), apart, atol=1e-6)


def test_the_state_after_a_frame_word_is_that_of_the_vectors_given(random):
    bilm, words, lengths = bilm_of(), np.array([2, 3, 4]), np.array([2, 1])
    reader = SentenceReader(bilm)
    for vectors in random.normal(size=(2, 5, 6)).astype(np.float32):
        fresh = SentenceReader(bilm).read(words, lengths, vectors)
        np.testing.assert_array_equal(reader.read(words, lengths, vectors), fresh)


@pytest.mark.parametrize("have", [1, 2, 3, 4, 8])
def test_one_long_sentence_and_none_are_for_any_number_of_cores(have, monkeypatch):
    monkeypatch.setattr("embeddings.sentence_reader.cores", lambda: have)
    for options in ({}, {"bidirectional": False}):
        embedder = Embedder(bilm_of(**options))
        (vectors,) = embedder.embed([["a", "b"] * 5000])
        assert vectors.shape[1] == 10_000 and np.isfinite(vectors).all()
        for empty in ([[]], [[], []]):
            assert [vectors.shape[1] for vectors in embedder.embed(empty)] == [0] * len(empty)
        assert list(embedder.embed([])) == []


def test_what_words_share_is_computed_once(random):
    bilm = bilm_of()
    reader = SentenceReader(bilm)
    reader.read(np.array([2, 3] * 50), np.array([60, 40]), random.normal(size=(4, 6)).astype(np.float32))
    # Two words in two directions.
    assert reader.inputs == 2 * 2


def test_a_step_is_that_of_float64(random):
    rows, cells = 5, 300
    gates, more = random.normal(0, 8, (2, rows, 4 * cells)).astype(np.float32)
    memory = random.normal(0, 2, (rows, cells)).astype(np.float32)
    i, j, f, o = np.split(gates.astype(float) + more, 4, axis=1)

    def sigmoid(x):
        return 1 / (1 + np.exp(-2 * x))

    want = np.clip(sigmoid(f) * memory + sigmoid(i) * np.tanh(j), -1.5, 1.5)
    output = np.empty_like(memory)
    lstm_step(gates, np.arange(rows), more[2:], more[:2], np.array([-1, -2, 0, 1, 2]), memory, output, np.float32(1.5))
    np.testing.assert_allclose(memory, want, atol=1e-6)
    np.testing.assert_allclose(output / 2, sigmoid(o) * np.tanh(want), atol=1e-6)


def test_narrow_weights_are_the_nearest(random):
    weights = random.normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_array_equal(Matrix(weights, "float32").by_input(), weights)
    # 8 bits of mantissa; half of one of 127 steps.
    half = Matrix(weights, "bfloat16").by_input()
    assert (np.abs(half - weights) <= np.abs(weights) * 2**-8).all() and (half != weights).any()
    quarter = Matrix(weights, "int8").by_input()
    assert (np.abs(quarter - weights) <= np.abs(weights).max(axis=0) / 253).all()
    assert Matrix(np.zeros((2, 3), np.float32), "int8").by_input().max() == 0
    for precision in ("float32", "int8"):
        matrix = Matrix(weights, precision)
        rows, scale = matrix.by_output()
        np.testing.assert_array_equal((rows * scale[:, None]).T, matrix.by_input())


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.03)])
def test_narrow_weights_change_little_and_the_same_in_any_batch(random, monkeypatch, precision, most):
    monkeypatch.setattr("embeddings.matrix.multiplies_bfloat16", lambda: False)
    bilm = bilm_of(projection=32, cells=64)
    sentences = [[f"w{k}" for k in random.integers(20, size=n)] for n in (7, 3, 12)]
    wide = list(Embedder(bilm).embed(sentences))
    alone = list(Embedder(bilm, batch_size=1, precision=precision).embed(sentences))
    together = list(Embedder(bilm, precision=precision).embed(sentences))
    for want, one, other in zip(wide, alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        # The token layer is not of these weights.
        assert (one[0] == want[0]).all() and 0 < np.abs(one - want).max() < most * np.abs(want).max()


def test_products_of_bfloat16_change_little(random, monkeypatch):
    bilm = bilm_of(projection=32, cells=64)
    sentences = [[f"w{k}" for k in random.integers(20, size=n)] for n in random.integers(1, 12, size=70)]
    wide = list(Embedder(bilm).embed(sentences))
    monkeypatch.setattr("embeddings.matrix.multiplies_bfloat16", lambda: True)
    narrow = list(Embedder(bilm, precision="bfloat16").embed(sentences))
    for want, got in zip(wide, narrow, strict=True):
        assert 0 < np.abs(got - want).max() < 0.03 * np.abs(want).max()


def test_another_precision_is_for_numpy_only():
    with pytest.raises(ConfigError, match=r"precision bfloat16: .* found cells 'gru'"):
        Embedder(bilm_of(projection=8, cells=8, cell="gru"), precision="bfloat16")


def test_cores_are_those_that_were_given(monkeypatch):
    have = cores()
    for asked, expected in (("1", 1), ("9999", have), ("", have), ("many", have), ("0", have)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert cores() == expected


def test_an_error_on_a_core_is_raised_and_products_have_all_cores_again():
    from threadpoolctl import threadpool_info

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with pytest.raises(ZeroDivisionError):
        on_cores(lambda k: 1 // k, [1, 0, 1])
    assert threads() == before
    # From whatever thread they are asked for.
    with ThreadPoolExecutor(1) as other:
        assert set(other.submit(on_cores, lambda k: max(threads()), [0, 1]).result()) == {1}
    assert threads() == before


def test_kernels_need_no_place_to_keep_what_was_compiled(house):
    code = """
import numba.core.caching as caching, numpy as np
caching.CacheImpl._locator_classes = []
from embeddings.kernels import highway_mix
x = np.ones((1, 2), np.float32)
highway_mix(x, np.full((1, 2), 50, np.float32), np.full((1, 2), 3, np.float32))
print(x.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=False)
    assert done.stdout == "[[3.0, 3.0]]\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_cores_of_its_own(house):
    code = """
import os
from embeddings.cores import on_cores
print(on_cores(abs, [-1, 2]), flush=True)
if child := os.fork():
    raise SystemExit(os.waitpid(child, 0)[1])
print(on_cores(abs, [-3, 4]), flush=True)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("[1, 2]\n[3, 4]\n", 0), done.stderr
