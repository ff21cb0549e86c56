import json

import pytest

from embeddings.errors import InputError
from pipeline import docs_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The corpus of two of the smaller libraries, built in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELMO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            docs_corpus, "LIBRARIES", {"pydantic": "pydantic", "fastapi": "fastapi", "not-there": "not_there"}
        )
        patch.setattr(docs_corpus, "CLASSES", ("pydantic", "fastapi"))
        progress = []
        folder = docs_corpus.docs_corpus(lambda done, total: progress.append((done, total)))
        assert progress[-1][0] == progress[-1][1] == len(progress) > 50
        built = {path.name: path.read_bytes() for path in folder.iterdir()}
        yield folder, built
        assert docs_corpus.docs_corpus() == folder


def rows(folder, task):
    return [
        json.loads(line) | {"split": split}
        for split in docs_corpus.SPLITS
        for line in (folder / f"{task}.{split}.jsonl").read_text("utf-8").splitlines()
    ]


def test_versions_and_counts_are_recorded(corpus):
    folder, _ = corpus
    about = json.loads((folder / "corpus.json").read_text())
    assert about["libraries"].keys() == {"pydantic", "fastapi"}
    texts = [line for split in docs_corpus.SPLITS for line in (folder / f"text.{split}.txt").open(encoding="utf-8")]
    assert about["counts"]["sentences"] == len(texts) > 500
    assert about["counts"]["words"] == sum(len(text.split()) for text in texts)


def test_no_object_and_no_sentence_is_in_two_splits(corpus):
    split_of, sentences = {}, set()
    for row in rows(corpus[0], "code"):
        assert split_of.setdefault(row["object"], row["split"]) == row["split"]
        sentence = " ".join(row["words"]).casefold()
        assert sentence not in sentences
        sentences.add(sentence)


def test_the_libraries_are_balanced_in_each_split(corpus):
    for split in docs_corpus.SPLITS:
        labels = [row["label"] for row in rows(corpus[0], "library") if row["split"] == split]
        assert labels.count("pydantic") == labels.count("fastapi") > 0


def test_a_tagged_sentence_has_a_tag_for_each_word_and_no_markup(corpus):
    tagged = rows(corpus[0], "code")
    assert all(len(row["words"]) == len(row["tags"]) for row in tagged)
    assert {tag for row in tagged for tag in row["tags"]} == {"O", "B-CODE", "I-CODE"}
    assert not any("`" in word for row in tagged for word in row["words"])


def test_the_same_libraries_make_the_same_corpus(corpus, tmp_path, monkeypatch):
    folder, built = corpus
    monkeypatch.setenv("TELMO_CACHE", str(tmp_path))
    again = docs_corpus.docs_corpus()
    assert again.name == folder.name
    assert {path.name: path.read_bytes() for path in again.iterdir()} == built


@pytest.mark.parametrize("handle", ["docs:library", "docs:other/train", "docs:code/dev", "docs:"])
def test_an_unknown_part_is_refused(handle):
    with pytest.raises(InputError, match="no such part of the docs corpus"):
        docs_corpus.docs_file(handle)
