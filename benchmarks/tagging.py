"""How many words a second does a CRF tagger learn from beside AllenNLP's `crf_tagger` of the same shape?

    python benchmarks/peers/install.py allennlp
    python benchmarks/tagging.py ../shared/data/ewt

Both have word vectors of 50 numbers, a convolution of 128 filters over the characters, two bidirectional LSTM layers of
200 units and a CRF, and learn the universal parts of speech of EWT in batches of sentences of like length, with Adam.
They take turns, with all cores of the machine. Printed: the words of the training data over the median seconds of an
epoch but the first, in which the first compiles or allocates; validation is left out.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

# TensorFlow leaves settings in the environment that a peer would heed.
CLEAN = dict(os.environ)
HERE = Path(__file__).resolve().parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models.cores import share_cores  # noqa: E402
from models.epochs import Epoch  # noqa: E402
from models.examples import Examples  # noqa: E402
from models.options import CharacterInput, HeadOptions, TrainingSettings, WordInput  # noqa: E402
from models.preparation import prepare  # noqa: E402
from models.training import train_head  # noqa: E402
from pipeline.config import TrainConfig, read_config  # noqa: E402
from pipeline.train import read_split  # noqa: E402

SHAPE = {
    "word_dim": 50,
    "character_dim": 16,
    "filters": 128,
    "width": 3,
    "units": 200,
    "depth": 2,
    "dropout": 0.5,
    "learning_rate": 1e-3,
    "clip_norm": 5.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ewt", type=Path, help="folder of train.conllu, dev.conllu and test.conllu")
    parser.add_argument("--batch-size", type=int, default=64, help="sentences (default 64)")
    parser.add_argument("--epochs", type=int, default=3, help="of each round (default 3)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side trains (default 1)")
    parser.add_argument("--sentences", type=int, help="most to train on (default: all)")
    parser.add_argument("--no-peer", action="store_true", help="Telmo alone")
    parser.add_argument("--peer", type=Path, help="Python; default: the one under benchmarks/peers/.envs/allennlp")
    args = parser.parse_args()

    limit = [f"data.limit={args.sentences}"] if args.sentences else []
    config = read_config(
        TrainConfig, HERE.parent / "configs" / "ewt.yaml", [f"data.folder={args.ewt}", "embedding.source=none", *limit]
    )
    train = read_split(config, "train")
    words = sum(map(len, train.texts))
    job = SHAPE | {"batch_size": args.batch_size, "epochs": args.epochs}
    found: dict[str, list[dict]] = {"allennlp": [], "telmo": []}
    for seed in range(1, args.rounds + 1):
        if not args.no_peer:
            peer = args.peer or HERE / "peers" / ".envs" / "allennlp" / "bin" / "python"
            found["allennlp"].append(ask_peer(peer, train, job | {"seed": seed}))
        found["telmo"].append(train_telmo(train, job | {"seed": seed}))
    print(f"{len(train.texts):,} sentences, {words:,} words, batches of {args.batch_size}")
    speeds = {}
    for side, rounds in found.items():
        if rounds:
            seconds = [x for answer in rounds for x in answer["seconds"][1:]]
            speeds[side] = words / median(seconds)
            told = f"{words / max(seconds):.0f}-{words / min(seconds):.0f}"
            losses = ", ".join(f"{loss:.3f}" for loss in rounds[0]["losses"])
            print(f"{side:9} {speeds[side]:7.0f} words/s ({told}), {rounds[0]['weights']:,} weights, losses {losses}")
    if len(speeds) == 2:
        print(f"ratio     {speeds['telmo'] / speeds['allennlp']:7.2f}")


def ask_peer(python: Path, train: Examples, job: dict) -> dict:
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "job.json").write_text(json.dumps(job), "utf-8")
        lines = (
            "\t".join(f"{word}###{tag}" for word, tag in zip(words, tags, strict=True))
            for words, tags in zip(train.texts, train.targets, strict=True)
        )
        (folder / "train.txt").write_text("\n".join(lines) + "\n", "utf-8")
        command = [python, HERE / "peers" / "allennlp_tagger_training.py", folder / "job.json"]
        done = subprocess.run(command, env=CLEAN, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"AllenNLP failed:\n{done.stderr[-4000:]}")
        return json.loads((folder / "answer.json").read_text("utf-8"))


def train_telmo(train: Examples, job: dict) -> dict:
    inputs = (
        WordInput(dim=job["word_dim"]),
        CharacterInput(dim=job["character_dim"], widths=(job["width"],), filters=job["filters"]),
    )
    options = HeadOptions(inputs=inputs, units=job["units"], depth=job["depth"], dropout=job["dropout"])
    share_cores("tagging", options)
    settings = TrainingSettings(
        epochs=job["epochs"],
        patience=job["epochs"],
        batch_size=job["batch_size"],
        learning_rate=job["learning_rate"],
        clip_norm=job["clip_norm"],
    )
    few = replace(train, sentences=train.sentences[:100], targets=train.targets[:100], places=train.places[:100])
    prepared = prepare("tagging", options, train, bilm=False)
    epochs: list[Epoch] = []
    head = train_head(
        "tagging",
        prepared.options,
        settings,
        prepared.labels,
        (train, None),
        (few, None),
        job["seed"],
        epochs.append,
        prepared.features,
    )
    words = sum(map(len, train.texts))
    return {
        "seconds": [words / epoch.words_per_second for epoch in epochs],
        "losses": [epoch.loss for epoch in epochs],
        "weights": head.count_params(),
    }


if __name__ == "__main__":
    main()
