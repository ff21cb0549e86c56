"""What do the layers of a biLM know? Probes for part of speech and word sense, and neighbours in context.

    python benchmarks/layers.py ../shared/data --output configs/telmo-small-en
    python benchmarks/layers.py ../shared/data --output configs/telmo-small-en \\
        --results configs/telmo-small-en/transfer.jsonl

Part of speech: logistic regression from one layer's vector to the UPOS tag, trained on 1,500 sentences of EWT and
scored on its development data; beside it the tag that a word has most often (Peters et al. 2018, section 5.3).

Word sense: as no corpus with senses is at hand, pseudowords (Schuetze 1992, "Dimensions of meaning"): two words of
about the same frequency are both replaced by one that does not exist, so that the context alone tells which it was. A
vector's sense is that of its nearest neighbour by cosine among 50 occurrences of each, of other sentences. Chance is
50%; layer 0 does not see the context.

Neighbours: the occurrences in EWT that are nearest to a word in a context, by layer; printed. With the results of
benchmarks/transfer.py a figure also shows what the layers count in each task's mix.
"""

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import mean

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from embeddings import Embedder, load_bilm
from embeddings.source import random_bilm
from pipeline.readers import read_columns

PSEUDOWORD = "plonder"
OCCURRENCES = 50
PAIRS = 40
QUERIES = (
    ("He sat down on the bank of the river and looked at the water .", "bank"),
    ("She has an account at a bank in New York .", "bank"),
    ("They play football in the park .", "play"),
    ("We saw a play by Shakespeare at the theatre .", "play"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--source", default="telmo-small-en")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the figures")
    parser.add_argument("--results", type=Path, help="of benchmarks/transfer.py")
    args = parser.parse_args()
    bilms = {"pretrained": Embedder(load_bilm(args.source)), "random": Embedder(random_bilm(args.source, seed=1))}
    sentences = {split: tagged(args.data / "ewt" / f"{split}.conllu") for split in ("train", "dev")}
    found: dict[str, dict[str, list[float]]] = {"part of speech": {}, "word sense": {}}
    for name, embedder in bilms.items():
        found["part of speech"][name] = parts_of_speech(embedder, sentences["train"][:1500], sentences["dev"])
        found["word sense"][name] = word_senses(embedder, [words for words, _ in sentences["train"]])
        for probe, rows in found.items():
            print(f"{probe}, {name}: {', '.join(f'layer {k} {value:.1%}' for k, value in enumerate(rows[name]))}")
    frequent = most_frequent_tags(sentences["train"][:1500], sentences["dev"])
    print(f"part of speech, the word's most frequent tag: {frequent:.1%}")
    neighbours(bilms["pretrained"], [words for words, _ in sentences["train"]])
    draw(found, frequent, args.output / "probes.png")
    if args.results:
        draw_weights(layer_weights(args.results, args.source), args.output / "layer_weights.png")


def tagged(path: Path) -> list[tuple[list[str], list[str]]]:
    """The words of each sentence and their tags."""
    return [tuple(sentence.columns) for sentence in read_columns(path, "conllu", ["form", "upos"])]  # type: ignore[misc]


def parts_of_speech(embedder: Embedder, train: Sequence, test: Sequence) -> list[float]:
    """Accuracy of a probe on each layer."""
    (x, y), (x_test, y_test) = (vectors_and_tags(embedder, part) for part in (train, test))
    scores = []
    for k in range(x.shape[1]):
        scaler = StandardScaler().fit(x[:, k])
        probe = LogisticRegression(max_iter=200, C=0.05).fit(scaler.transform(x[:, k]), y)
        scores.append(float(probe.score(scaler.transform(x_test[:, k]), y_test)))
    return scores


def vectors_and_tags(embedder: Embedder, sentences: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """`[words, layers, dim]` and `[words]`."""
    vectors = embedder.embed([words for words, _ in sentences])
    x = np.concatenate([layers.transpose(1, 0, 2) for layers in vectors])
    return x, np.concatenate([tags for _, tags in sentences])


def most_frequent_tags(train: Sequence, test: Sequence) -> float:
    counts: dict[str, Counter] = defaultdict(Counter)
    every: Counter = Counter()
    for words, tags in train:
        every.update(tags)
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag] += 1
    guess = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    common = every.most_common(1)[0][0]
    return mean(guess.get(word, common) == tag for words, tags in test for word, tag in zip(words, tags, strict=True))


def word_senses(embedder: Embedder, sentences: list[list[str]]) -> list[float]:
    """Accuracy of the nearest neighbour on each layer, the mean over the pairs."""
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for k, sentence in enumerate(sentences):
        for place, word in enumerate(sentence):
            if word.isalpha() and word.islower() and len(word) > 3 and 6 <= len(sentence) <= 40:
                places[word].append((k, place))
    # Of like frequency, none of the very frequent ones, whose use is grammar.
    known = sorted((word for word, at in places.items() if OCCURRENCES <= len(at) <= 400), key=lambda w: len(places[w]))
    pairs = list(pairwise(known))[::2]
    scores, noise = [], np.random.default_rng(1)
    for pair in Random(1).sample(pairs, min(PAIRS, len(pairs))):
        drawn = [
            (at, sense) for sense, word in enumerate(pair) for at in Random(word).sample(places[word], OCCURRENCES)
        ]
        texts = [[*sentences[k][:place], PSEUDOWORD, *sentences[k][place + 1 :]] for (k, place), _ in drawn]
        vectors = np.stack(
            [layers[:, place] for layers, ((_, place), _) in zip(embedder.embed(texts), drawn, strict=True)]
        )
        senses, of = np.array([sense for _, sense in drawn]), np.array([k for (k, _), _ in drawn])
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        near = np.einsum("ild,jld->lij", unit, unit)
        near[:, of[:, None] == of[None]] = -2
        # Layer 0 is the same everywhere: its nearest neighbour is drawn among the equally near.
        near += noise.uniform(0, 1e-5, near.shape)
        scores.append((senses[near.argmax(axis=-1)] == senses).mean(axis=1))
    return np.mean(scores, axis=0).tolist()


def neighbours(embedder: Embedder, sentences: list[list[str]], most: int = 4000, count: int = 4) -> None:
    sentences = [sentence for sentence in sentences if 5 <= len(sentence) <= 25][:most]
    places = [(k, place) for k, sentence in enumerate(sentences) for place in range(len(sentence))]
    vectors = np.concatenate([layers.transpose(1, 0, 2) for layers in embedder.embed(sentences)])
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    for text, word in QUERIES:
        words = text.split()
        query = next(embedder.embed([words]))[:, words.index(word)]
        for layer in range(len(query)):
            near = vectors[:, layer] @ (query[layer] / np.linalg.norm(query[layer]))
            print(f"\n{text}: '{word}', layer {layer}")
            for at in np.argsort(-near)[:count]:
                k, place = places[at]
                told = [*sentences[k][:place], f"[{sentences[k][place]}]", *sentences[k][place + 1 :]]
                print(f"  {near[at]:.2f}  {' '.join(told)}")


def layer_weights(path: Path, source: str) -> dict[str, list[float]]:
    """The mean of each task's mixes of the source's layers, over seeds and folds, with all labels."""
    mixes = defaultdict(list)
    for record in map(json.loads, path.read_text("utf-8").splitlines()):
        task, row, share, _, _, of, *_ = record["question"]
        if (row, share, of) == ("frozen", 1, source) and record.get("layer_weights"):
            mixes[task].append(record["layer_weights"])
    if not mixes:
        raise SystemExit(f"error: {path}: no row frozen of {source} with all labels")
    return {task: np.mean(found, axis=0).tolist() for task, found in mixes.items()}


def draw(found: dict[str, dict[str, list[float]]], frequent: float, path: Path) -> None:
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    for axes, (probe, rows) in zip(figure.subplots(1, 2), found.items(), strict=True):
        for k, (name, values) in enumerate(rows.items()):
            axes.bar(
                [layer + 0.4 * k - 0.2 for layer in range(len(values))], [100 * x for x in values], 0.4, label=name
            )
        floor = 100 * frequent if probe == "part of speech" else 50
        axes.axhline(floor, color="black", linestyle=":", label="most frequent tag" if floor > 50 else "chance")
        axes.set(title=probe, xlabel="layer", ylabel="accuracy, %", xticks=range(len(values)), ylim=(40, 100))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, fontsize="small")
    figure.savefig(path, dpi=120)


def draw_weights(weights: dict[str, list[float]], path: Path) -> None:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    layers = len(next(iter(weights.values())))
    for layer in range(layers):
        axes.bar(
            [k + 0.27 * (layer - (layers - 1) / 2) for k in range(len(weights))],
            [mix[layer] for mix in weights.values()],
            0.27,
        )
    axes.set(title="what the layers count in the mix", ylabel="weight", xticks=range(len(weights)))
    axes.set_xticklabels(weights)
    axes.legend([f"layer {k}" for k in range(layers)])
    figure.savefig(path, dpi=120)
    for task, mix in weights.items():
        print(f"{task}: {', '.join(f'{weight:.2f}' for weight in mix)}")


if __name__ == "__main__":
    main()
