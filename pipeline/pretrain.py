"""The stage `pretrain`: text to a biLM."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

from embeddings.atomic import atomic_folder, check_folder
from embeddings.errors import InputError
from embeddings.pretraining import Progress, perplexity, pretrain
from embeddings.published import FILES, VOCABULARY, write_published
from embeddings.spelling import Bytes
from embeddings.vocabulary import Vocabulary
from embeddings.weights import arrays_of
from embeddings.windows import windows
from pipeline.checksums import checksum_of_file
from pipeline.config import PretrainConfig
from pipeline.readers import data_file, read_sentences
from pipeline.tracking import start_run


def pretrain_stage(
    config: PretrainConfig, report: Callable[[Progress], None] = lambda progress: None
) -> dict[str, float]:
    """Train a biLM as a config says, track it, and write its folder.

    Args:
        config: what to do.
        report: called as the training goes on.

    Returns:
        `forward_perplexity` and, of a biLM with both directions, `backward_perplexity` per word on the validation text,
        and the number of `words` in the training text.

    Raises:
        InputError: a text cannot be read, or is too short.
        TrainingError: the training cannot go on.
        OutputError: the folder or the tracking store cannot be written.
    """
    check_folder(config.output, FILES)
    train, validation = data_file(config.train), data_file(config.validation)
    settings, bilm = config.training, config.bilm
    # Read to its end before the training, so that a bad byte or too little text is not found after it.
    held_out = Vocabulary.build(_sentences(validation, config), config.vocabulary)
    sizes = settings.batch_size, settings.steps
    spelling = Bytes(bilm.max_characters, bilm.widest_filter)
    if next(windows(_sentences(validation, config), held_out, *sizes, spelling), None) is None:
        raise InputError(f"{validation}: does not fill a batch of {settings.batch_size} x {settings.steps} words")
    words = 0

    def counted() -> Iterator[list[str]]:
        nonlocal words
        for sentence in _sentences(train, config):
            words += len(sentence) + 2  # its frame is predicted, too
            yield sentence

    vocabulary = Vocabulary.build(counted(), config.vocabulary)
    batches = round(config.epochs * words / (settings.batch_size * settings.steps))
    if batches < 1:
        raise InputError(
            f"{train}: {words} words do not fill a batch of {settings.batch_size} x {settings.steps} words"
        )
    with start_run(config.tracking, f"pretrain {config.output.name}", config) as run:
        for context, path in (("train", train), ("validation", validation)):
            run.data_set(str(path), checksum_of_file(path), context)

        def report_and_log(progress: Progress) -> None:
            seen = {"loss": progress.loss, "words_per_second": progress.words_per_second}
            seen |= {"gradient_norm": progress.gradient_norm, "clipped_share": progress.clipped}
            seen |= {f"gradient_norm.{path}": norm for path, norm in progress.norms.items()}
            run.metrics(seen, step=progress.batch)
            report(progress)

        text = chain.from_iterable(_sentences(train, config) for _ in repeat(None))
        model = pretrain(config.bilm, vocabulary, text, batches, settings, report_and_log)
        with atomic_folder(config.output, FILES) as folder:
            arrays = arrays_of(model.bilm) | model.objective.arrays()
            write_published(folder, config.bilm, arrays, vocabulary.words)
            vocabulary.write_counts(folder / VOCABULARY)
        perplexities = perplexity(model, vocabulary, _sentences(validation, config), settings.steps)
        scores = dict(zip(("forward_perplexity", "backward_perplexity"), perplexities, strict=False))
        run.metrics(scores)
        run.artifact(config.output / "options.json", "bilm")
    return scores | {"words": words}


def _sentences(path: Path, config: PretrainConfig) -> Iterator[list[str]]:
    return (sentence for sentence in read_sentences(path, config.tokenizer, config.encoding) if sentence)
