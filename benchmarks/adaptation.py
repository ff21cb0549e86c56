"""How much better does a biLM expect the words of a user's text after it has gone on with some of it?

    python benchmarks/adaptation.py ../shared/data/wikitext2/valid.txt ../shared/data/wikitext2/test.txt --epochs 5

Trains `--source` further on the first text as `telmo pretrain` does, for about ten minutes on two cores with 214,000
words in five epochs, and measures the perplexity of the second, which it does not see, before and after: over the words
of the first text that are there twice or more, with the rows of the softmax that the source brings. A mark that stands
for many words, as `<unk>` does in WikiText-2 for one in sixteen, is one of these words, and learned soon.
"""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from embeddings.adaptation import continued
from embeddings.language_model import DIRECTIONS
from embeddings.perplexity import perplexity
from embeddings.source import find_source
from embeddings.vocabulary import Vocabulary
from pipeline.config import PretrainConfig
from pipeline.corpora import Corpus
from pipeline.pretrain import pretrain_stage
from pipeline.progress import pretraining_bar

ADAPTATION = {
    "vocabulary": 20_000,
    "min_count": 2,
    "shuffle": 10_000,
    "training": {"batch_size": 32, "learning_rate": 5e-4, "clip_norm": 1.0},
}
"""How a biLM goes on with some hundred thousand words."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="a file, a folder or a pattern; a sentence a line")
    parser.add_argument("held_out", help="likewise")
    parser.add_argument("--source", default="telmo-small-en")
    parser.add_argument("--tokenizer", default="whitespace")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--output", type=Path, help="folder of the adapted biLM; default: it is thrown away")
    args = parser.parse_args()
    with TemporaryDirectory() as place:
        output = args.output or Path(place, "adapted")
        config = further_training(args.source, args.train, args.held_out, output, args.epochs, args.tokenizer)
        vocabulary = Vocabulary.build(corpus(config, config.train), config.vocabulary, config.min_count)
        model, _ = continued(find_source(args.source), vocabulary, config.training)
        tell("before", perplexity(model, vocabulary, corpus(config, config.validation), config.training))
        began = time.perf_counter()
        with pretraining_bar() as report:
            after = pretrain_stage(config, report)
        minutes = (time.perf_counter() - began) / 60
        tell("after", [after[f"{way}_perplexity"] for way in DIRECTIONS])
        print(f"{after['words']:,.0f} words, {args.epochs:g} epochs, {minutes:.1f} minutes")


def further_training(
    source: str, train: str, held_out: str, output: Path, epochs: float = 5, tokenizer: str = "whitespace"
) -> PretrainConfig:
    """The config of a source's training on more text."""
    return PretrainConfig.model_validate(
        ADAPTATION
        | {
            "output": output,
            "train": train,
            "validation": held_out,
            "tokenizer": tokenizer,
            "source": source,
            "epochs": epochs,
            "tracking": {"enabled": False, "register_model": False},
        }
    )


def corpus(config: PretrainConfig, names) -> Corpus:
    return Corpus(names, config.tokenizer)


def tell(when: str, measured) -> None:
    told = ", ".join(f"{value:.1f} {way}" for way, value in zip(DIRECTIONS, measured, strict=True))
    print(f"{when}: perplexity {told}", flush=True)


if __name__ == "__main__":
    main()
