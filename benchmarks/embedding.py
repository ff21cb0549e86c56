"""How fast are sentences embedded, beside AllenNLP, bilm-tf and simple_elmo with the same weights on the same cores?

    python benchmarks/peers/install.py allennlp                   # likewise bilm_tf and simple_elmo
    python benchmarks/embedding.py ../shared/data/ewt             # ELMo's original size; three layers written to disk
    python benchmarks/embedding.py ../shared/data/ewt --size small
    python benchmarks/embedding.py ../shared/data/ewt --latency   # a sentence at a time, nothing written

The weights are random numbers. Every side first embeds sentences that are not counted, and then those of EWT's training
data in their order: peers in batches of 64, as they take them, Telmo as `Embedder` makes them. The sides take turns, in
as many rounds as asked for. Printed: medians over the rounds, and Telmo's rate as a multiple of each peer's; what share
of the matmul peak Telmo's matrix products reach, counting those alone that the distinct words and the LSTMs need. With
--latency also what narrower weights give, and how far their vectors are from those of float32, as a share of their
size; likewise bfloat16 without it, where the processor multiplies such numbers.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

# TensorFlow leaves settings in the environment that a peer would heed.
CLEAN = dict(os.environ)
HERE = Path(__file__).resolve().parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

from embeddings import BiLMOptions  # noqa: E402
from embeddings.bfloat16 import multiplies_bfloat16  # noqa: E402
from embeddings.published import write_published  # noqa: E402
from embeddings.weights import weight_shapes  # noqa: E402
from pipeline.sentence_stream import Sentences  # noqa: E402

FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
SIZES = {
    "original": BiLMOptions(projection=512, cells=4096, layers=2, filters=FILTERS, character_dim=16, highways=2),
    "small": BiLMOptions(projection=128, cells=1024, layers=2, filters=FILTERS, character_dim=16, highways=1),
}
PEERS = ("allennlp", "simple_elmo", "bilm_tf")
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ewt", type=Path, help="folder with train.conllu")
    parser.add_argument("--size", choices=SIZES, default="original")
    parser.add_argument("--peer", action="append", choices=PEERS, help="default: all")
    parser.add_argument("--sentences", type=int, help="of a peer (default 640; 200 for --latency)")
    parser.add_argument("--more", type=int, default=4, help="times as many for Telmo, which is faster (default 4)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", action="store_true", help="a sentence at a time")
    args = parser.parse_args()
    count = args.sentences or (200 if args.latency else 10 * BATCH)
    narrow = ["telmo bfloat16", "telmo int8"] if args.latency else ["telmo bfloat16"] * multiplies_bfloat16()
    own = ["telmo", *narrow]
    sides = [*own, *(args.peer or PEERS)]
    found: dict[str, list[dict]] = {side: [] for side in sides}
    with TemporaryDirectory() as work:
        folder = Path(work)
        write_bilm(folder / "bilm", SIZES[args.size])
        for _ in range(args.rounds):
            for side in sides:
                sentences = read(args.ewt, (1 if args.latency or side not in own else args.more) * count + BATCH)
                found[side].append(timed(side, folder, sentences, args.latency))
                print(f"  {side}: {rate(found[side][-1]):,.1f} words/s", file=sys.stderr, flush=True)
    print_latency(found) if args.latency else print_rates(found)


def read(ewt: Path, count: int) -> list[list[str]]:
    corpus = Sentences(names=(str(ewt / "train.conllu"),)).read()
    return [sentence.words for sentence, _ in zip(corpus, range(count), strict=False)]


def write_bilm(folder: Path, options: BiLMOptions) -> None:
    random = np.random.default_rng(1)
    arrays = {
        key: random.normal(0, np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.1, shape).astype("f4")
        for key, shape in weight_shapes(options)
    }
    folder.mkdir()
    write_published(folder, options, arrays, ["<S>", "</S>", "<UNK>"])


def timed(side: str, folder: Path, sentences: list[list[str]], latency: bool) -> dict:
    """The answer of one side, from a process of its own."""
    size = 1 if latency else BATCH
    batches = [sentences[first : first + size] for first in range(0, len(sentences), size)]
    if latency:
        batches = [[one for [one] in batches[:BATCH]], *batches[BATCH:]]
    (folder / "job.json").write_text(json.dumps({"batches": batches, "write": not latency}), "utf-8")
    if side.startswith("telmo"):
        precision = side.removeprefix("telmo").strip() or "float32"
        script, environment = [sys.executable, HERE / "telmo_embedding.py", folder, precision], dict(os.environ)
    else:
        python = HERE / "peers" / ".envs" / side / "bin" / "python"
        script, environment = [python, HERE / "peers" / "timing.py", side, folder], CLEAN
    done = subprocess.run([*map(str, script)], env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-4000:]}")
    return json.loads((folder / "timing.json").read_text("utf-8"))


def rate(answer: dict) -> float:
    return answer["words"] / sum(answer["seconds"])


def print_rates(found: dict[str, list[dict]]) -> None:
    rates = {side: [rate(answer) for answer in answers] for side, answers in found.items()}
    print(f"{'':12} {'words/s':>9} {'of rounds':>19} {'telmo':>7} {'peak MB':>9}")
    for side, several in rates.items():
        times = f"{median(rates['telmo']) / median(several):.1f} x" if side != "telmo" else ""
        spread = f"{min(several):,.1f} - {max(several):,.1f}"
        memory = max(answer["peak"] for answer in found[side]) / 1e6
        print(f"{side:12} {median(several):9,.1f} {spread:>19} {times:>7} {memory:9,.0f}")
    shares = [answer["share_of_peak"] for answer in found["telmo"]]
    peak = median(answer["matmul_peak"] for answer in found["telmo"]) / 1e9
    padding = found["telmo"][0]["padding"]
    print(f"telmo: {median(shares):.0%} of the matmul peak ({peak:,.0f} GFLOP/s), {padding:.1%} padding")


def print_latency(found: dict[str, list[dict]]) -> None:
    print(f"{'milliseconds':15} {'median':>9} {'p99':>9} {'telmo, median':>14} {'p99':>9} {'off by':>9}")
    own: list[float] = []
    for side, answers in found.items():
        # Of each quantile the median over the rounds.
        quantiles = np.median([np.quantile(answer["seconds"], (0.5, 0.99)) for answer in answers], axis=0) * 1000
        own = own or quantiles.tolist()
        ratios = [
            f"{value / mine:.1f} x" if side != "telmo" else "" for value, mine in zip(quantiles, own, strict=True)
        ]
        off = f"{answers[0]['error']:.1e}" if side.startswith("telmo ") else ""
        print(f"{side:15} {quantiles[0]:9,.1f} {quantiles[1]:9,.1f} {ratios[0]:>14} {ratios[1]:>9} {off:>9}")


if __name__ == "__main__":
    main()
