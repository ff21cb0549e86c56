"""Does Telmo read models of ELMoForManyLangs as that project does? Random models in its layout, and its own vectors.

python benchmarks/peers/install.py many_langs
git clone https://github.com/HIT-SCIR/ELMoForManyLangs CHECKOUT
python benchmarks/parity_many_langs.py CHECKOUT --draws 20
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from parity import CLEAN, HERE, LIMIT, difference, write_job

sys.path.append(str(HERE.parent / "tests"))

from reference import torch_many_langs

ALPHABETS = ["abcdefgh", "абвгдежз", "今天氣真好阿潮水", "😀🎉\u200bé", "bж好😀-1\u3000", "ab\xa0"]
STRANGE = [
    "",
    "<bos>",
    "<pad>",
    "<oov>",
    "a b",
    "\u3000",
    "\xa0",
    "x" * 200,
    "щ" * 48,
    "щ" * 49,
    "👩‍👩‍👧",
    "\u2028",
    "x\ty",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder that holds the package elmoformanylangs")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the draws (default 1)")
    parser.add_argument("--python", type=Path, help="default: the peer's environment under benchmarks/peers/.envs")
    arguments = parser.parse_args()

    python = arguments.python or HERE / "peers" / ".envs" / "many_langs" / "bin" / "python"
    random = np.random.default_rng(arguments.seed)
    with TemporaryDirectory() as work:
        jobs = [Path(work, f"{number:03}") for number in range(arguments.draws)]
        for job in jobs:
            write_draw(job, random)
        done = subprocess.run(
            [python, HERE / "peers" / "many_langs_vectors.py", work],
            env=CLEAN | {"PYTHONPATH": str(arguments.checkout)},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"ELMoForManyLangs failed:\n{done.stderr[-4000:]}")
        differences = [difference(job) for job in jobs]
    print(f"ELMoForManyLangs: {len(jobs)} models, largest absolute difference {max(differences):.2e}")
    sys.exit(int(max(differences) >= LIMIT))


def write_draw(job: Path, random: np.random.Generator) -> None:
    alphabet = ALPHABETS[int(random.integers(len(ALPHABETS)))]
    words = sorted({spelled(alphabet.strip(), random) for _ in range(12)})
    network = torch_many_langs.network(
        words=bool(random.integers(3)),
        layers=int(random.integers(1, 4)),
        activation=str(random.choice(["relu", "tanh"])),
        highways=int(random.integers(3)),
        clips=(random.choice([0, 0.1, 3]), random.choice([0, 0.05, 3])),
        max_characters=int(random.choice([8, 23, 50])),
    )
    torch_many_langs.write(
        job / "bilm",
        network,
        alphabet,
        words,
        seed=int(random.integers(2**31)),
        path=str(random.choice(["network.json", "/gone/network.json"])),
        zipped=bool(random.integers(2)),
    )
    batches = [
        [draw_sentence(alphabet, words, random) for _ in range(int(random.integers(1, 6)))] for _ in range(4)
    ] + [[[words[0]]], [[""]]]
    write_job(job, batches, stateful=False)


def draw_sentence(alphabet: str, words: list[str], random: np.random.Generator) -> list[str]:
    return [
        str(random.choice(words)) if random.random() < 0.4
        else spelled(alphabet, random) if random.random() < 0.6
        else STRANGE[int(random.integers(len(STRANGE)))]
        for _ in range(int(random.integers(1, 13)))
    ]  # fmt: skip


def spelled(alphabet: str, random: np.random.Generator) -> str:
    return "".join(random.choice(list(alphabet), size=int(random.integers(1, 12))))


if __name__ == "__main__":
    main()
