"""Do converted AllenNLP models answer as AllenNLP does? Small random models of many kinds, made by AllenNLP itself.

python benchmarks/peers/install.py allennlp
python benchmarks/parity_allennlp.py demo/bilm demo/sentences.txt
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

# TensorFlow leaves settings in the environment that an older one in a peer would heed.
CLEAN = dict(os.environ)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
LIMIT = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bilm", type=Path, help="folder with options.json and weights.hdf5, of clips at 3 and relu")
    parser.add_argument("sentences", type=Path, help="one sentence a line, words split by spaces")
    parser.add_argument("--python", type=Path, help="default: the peer's environment under benchmarks/peers/.envs")
    parser.add_argument("--answers", type=Path, help="folder with the peer's answers, made here if it is not there")
    arguments = parser.parse_args()

    python = arguments.python or HERE / "peers" / ".envs" / "allennlp" / "bin" / "python"
    with TemporaryDirectory() as temporary:
        answers = arguments.answers or Path(temporary, "answers")
        if not answers.is_dir():
            script = HERE / "peers" / "allennlp_answers.py"
            subprocess.run(
                [python, "-W", "ignore", script, arguments.bilm, arguments.sentences, answers], env=CLEAN, check=True
            )
        results = [compare(archive, Path(temporary)) for archive in sorted(answers.glob("*.tar.gz"))]
    print(f"{len(results)} models, {sum(results)} answer as AllenNLP does")
    sys.exit(int(not results or not all(results)))


def compare(archive: Path, folder: Path) -> bool:
    """Convert a model, print how its answers differ from the expected ones, and tell whether they agree."""
    from models import Predictor
    from models.allennlp import convert_archive

    name = archive.name.removesuffix(".tar.gz")
    convert_archive(archive, folder / name)
    expected = json.loads(archive.with_name(f"{name}.json").read_text("utf-8"))
    got = Predictor.load(folder / name).predict([text["tokens"] for text in expected], logits=True)
    difference, same = 0.0, 0
    for answer, text in zip(got, expected, strict=True):
        difference = max(difference, float(np.abs(numbers(answer.logits) - np.array(text["logits"])).max()))
        same += text["answer"] == (answer.tags if hasattr(answer, "tags") else answer.label)
    print(
        f"{name:20} {len(expected)} sentences, {same} equal, largest difference of logits {difference:.1e}", flush=True
    )
    return same == len(expected) and difference < LIMIT


def numbers(logits) -> np.ndarray:
    """Those of a text, or of each of its words, in the order of the labels."""
    rows = [logits] if isinstance(logits, dict) else logits
    table = np.array([list(row.values()) for row in rows])
    return table[0] if isinstance(logits, dict) else table


if __name__ == "__main__":
    main()
