"""Does a peer read a biLM as Telmo does? The largest difference of their vectors, over sentences and layers.

python benchmarks/peers/install.py allennlp
python benchmarks/parity.py allennlp demo/bilm demo/sentences.txt
"""

import argparse
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

# TensorFlow leaves settings in the environment that an older one in a peer would heed.
CLEAN = dict(os.environ)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
LIMIT = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["allennlp", "bilm_tf", "simple_elmo"])
    parser.add_argument("bilm", type=Path, help="folder with options.json and weights.hdf5")
    parser.add_argument("sentences", type=Path, help="one sentence a line, words split by spaces")
    parser.add_argument("--python", type=Path, help="default: the peer's environment under benchmarks/peers/.envs")
    parser.add_argument("--limit", type=int, default=200, help="sentences to compare (default 200)")
    arguments = parser.parse_args()

    from embeddings import Embedder, load_bilm

    with arguments.sentences.open(encoding="utf-8") as file:
        sentences = [line.split() for line in islice(file, arguments.limit)]
    ours = Embedder(load_bilm(arguments.bilm)).embed(sentences)
    python = arguments.python or HERE / "peers" / ".envs" / arguments.peer / "bin" / "python"
    with TemporaryDirectory() as folder:
        text, vectors = Path(folder, "sentences.txt"), Path(folder, "vectors.npz")
        text.write_text("".join(" ".join(words) + "\n" for words in sentences), "utf-8")
        script = HERE / "peers" / f"{arguments.peer}_vectors.py"
        subprocess.run([python, script, arguments.bilm, text, vectors], env=CLEAN, check=True)
        theirs = np.load(vectors)
        largest = max(np.abs(got - theirs[str(k)]).max(initial=0) for k, got in enumerate(ours))
    print(f"{arguments.peer}: {len(sentences)} sentences, largest absolute difference {largest:.2e}")
    sys.exit(int(largest >= LIMIT))


if __name__ == "__main__":
    main()
