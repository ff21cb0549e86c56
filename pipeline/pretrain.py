"""The stage `pretrain`: text to a biLM, in a run that can be killed at any moment and goes on where it was."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.adaptation import continued
from embeddings.atomic import atomic_folder, check_folder
from embeddings.data_parallel import data_parallel
from embeddings.errors import ConfigError, InputError, SourceError, TrainingError
from embeddings.language_model import DIRECTIONS, LanguageModel
from embeddings.new_model import new_model
from embeddings.perplexity import perplexity
from embeddings.pretraining import Meter, Pretraining, Progress, Step
from embeddings.published import FILES, OPTIONS, VOCABULARY
from embeddings.spelling import Bytes
from embeddings.stored import StoredBiLM
from embeddings.training_checkpoint import (
    alone,
    checkpoints_in,
    checkpoints_of,
    clear_rests,
    load_variables,
    read_position,
    remove_checkpoint,
    save_checkpoint,
)
from embeddings.vocabulary import FRAMES, Vocabulary
from embeddings.windows import Windows
from pipeline.checksums import checksum_of_files
from pipeline.config import PretrainConfig
from pipeline.config_file import flat
from pipeline.corpora import Corpus
from pipeline.pretraining_history import HISTORY, REPORT_EVERY, PretrainingHistory, told_every
from pipeline.run_report import run_report
from pipeline.sources import find_source, tell_source
from pipeline.tracking import Run, start_run

CHANGEABLE = (
    "output.",
    "name.",
    "train.",
    "validation.",
    "epochs.",
    "tracking.",
    "training.learning_rate.",
    "training.schedule.",
    "training.warm_up.",
    "training.clip_",
    "training.dropout.",
    "training.checkpoint_every.",
    "training.validate_every.",
    "training.patience.",
)
"""What a config may change before a training goes on; all other keys decide what the checkpoint's arrays mean. That the
training text is the same, wherever it lies, the corpus sees for itself."""

SHORT = "expected more text, or a smaller training.batch_size or training.steps"


def pretrain_stage(
    config: PretrainConfig,
    report: Callable[[Progress], None] = lambda progress: None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Train a biLM as a config says, track it, and write its folder.

    Beside the folder, in one that ends in `.checkpoints`, stands what is needed to go on; it is removed in the end. If
    it is there when the stage begins, the training goes on from it, in the same MLflow run.

    Args:
        config: what to do.
        report: called as the training goes on.
        tell: called with a line that a person should read.

    Returns:
        `forward_perplexity` and, of a biLM with both directions, `backward_perplexity` per word on the validation text,
        the number of `words` in the training text, and the number of `batches` trained on.

    Raises:
        InputError: a text cannot be read, or is too short.
        ConfigError: the checkpoint is one of a training with other settings, or the batch cannot be shared out among
            the devices.
        TrainingError: the training cannot go on.
        OutputError: the folder or the tracking store cannot be written.
    """
    check_folder(config.output, FILES)
    with alone(checkpoints_of(config.output)), data_parallel(config.training.batch_size):
        return _pretrain(config, report, tell)


def _pretrain(
    config: PretrainConfig, report: Callable[[Progress], None], tell: Callable[[str], None]
) -> dict[str, float]:
    folder = checkpoints_of(config.output)
    settings = config.training
    checkpoints = checkpoints_in(folder)
    newest = checkpoints[-1] if checkpoints else None
    position = _newest(checkpoints, read_position) if checkpoints else {}
    best = None
    if newest:
        clear_rests(folder)
        _check_same(config, position["config"], newest)
        if settings.validate_every and position["config"]["validation"] == config.model_dump(mode="json")["validation"]:
            best = position["best"]
    _check_held_out(config)
    # A checkpoint is a biLM of its own, whatever has become of the one that the training began with.
    stored = find_source(newest or config.source) if config.source else None
    vocabulary = Vocabulary.read(newest / VOCABULARY) if newest else _count(config, stored)
    words, batches = _words_and_batches(config, vocabulary)
    text = _corpus(config, config.train, epochs=None)
    if batches < 1:
        raise InputError(
            f"{text.shards[0]}: {config.epochs:g} epochs of {words:,} words do not fill a batch of "
            f"{settings.batch_size} x {settings.steps} words; {SHORT}"
        )
    if stored:
        model, lacks = continued(stored, vocabulary, settings)
    else:
        model, lacks = new_model(config.bilm, vocabulary, settings), None
    training = Pretraining(model, vocabulary, text, batches, settings)
    if newest:
        if position["batch"] > batches:
            raise ConfigError(
                f"{newest}: {position['batch']} batches are done, and {config.epochs:g} epochs are {batches}; "
                "expected more epochs"
            )
        _newest(checkpoints, model.load)
        _newest(checkpoints, lambda path: load_variables(path, training.variables))
        training.go_to(position["batch"], position["place"])
        tell(f"{newest}: goes on from there, {position['batch']} of {batches} batches are done")
    elif (config.output / OPTIONS).exists():
        tell(f"{config.output}: holds a biLM; this training will take its place")
    with start_run(
        config.tracking, "pretrain", f"pretrain {config.output.name}", config, position.get("run_id")
    ) as run:
        _log_text(run, "train", text, {"words": words})
        _log_text(run, "validation", _corpus(config, config.validation), {})
        tell_source(run, config.source, None if newest else stored)
        if stored and (lacks or not newest):
            found = f"{config.source}: {_told_of_softmax(stored, vocabulary, lacks)}"
            run.note("softmax", found)
            tell(found)
        history = PretrainingHistory(folder / HISTORY, training.batch, _repeats(run, config, position))
        _Job(config, vocabulary, training, run, report, tell, best, history).train(go_on=bool(newest))
        with atomic_folder(config.output, FILES) as temporary:
            model.write(temporary, vocabulary)
        scores = _scores(config, model, vocabulary)
        run.metrics(scores, step=training.batch)
        history.measured(training.batch, scores)
        history.draw(run)
        _register(config, run, scores, _report(config, scores, words, len(vocabulary), training.batch))
    remove_checkpoint(folder)
    return scores | {"words": words, "batches": training.batch}


def _told_of_softmax(stored: StoredBiLM, vocabulary: Vocabulary, lacks: str | None) -> str:
    """Over which words that of a source goes on, or what it lacks (from `continued`) so that it does not."""
    if lacks:
        return f"{lacks}, so that a new softmax is trained, from random weights"
    known = len(set(stored.vocabulary).intersection(vocabulary.words))
    return f"its softmax goes on over the {len(vocabulary):,} words of the text, {known:,} its own"


def _register(config: PretrainConfig, run: Run, scores: dict[str, float], report: str) -> None:
    run.report(report)
    if config.tracking.register_model:
        name, alias = config.registered_name, config.tracking.alias
        run.model(config.output, "An example .", name, alias, scores, config.tokenizer)


@dataclass
class _Job:
    """The training itself: reports, measurements on the validation text, and checkpoints.

    Args:
        best: the lowest perplexity so far, the batch at which it was measured, and the measurements since.
        history: for the figures, and of what need not be told again.
    """

    config: PretrainConfig
    vocabulary: Vocabulary
    training: Pretraining
    run: Run
    report: Callable[[Progress], None]
    tell: Callable[[str], None]
    best: dict[str, float] | None
    history: PretrainingHistory

    def train(self, go_on: bool) -> None:
        training, settings = self.training, self.config.training
        folder = checkpoints_of(self.config.output)
        if not go_on:
            self._save(training.windows.state())
        meter = Meter(training)
        try:
            for step in training.steps(settings.checkpoint_every):
                meter.add(step)
                if step.batch % REPORT_EVERY == 0 or step.place or step.batch == training.batches:
                    self._tell(meter.read())
                if self._is_measured(step.batch) and self._is_over(step):
                    break
                if step.place:
                    self._save(step.place)
        except TrainingError as error:
            kept = self._last_good(folder)
            raise TrainingError(
                f"{error}; the same command goes on from {kept}, with other settings if need be"
            ) from None
        if self.best:
            training.model.load(self._best())

    def _is_measured(self, batch: int) -> bool:
        every = self.config.training.validate_every
        return every is not None and (batch % every == 0 or batch == self.training.batches)

    def _tell(self, progress: Progress) -> None:
        seen = {"loss": progress.loss, "words_per_second": progress.words_per_second}
        seen |= {"gradient_norm": progress.gradient_norm, "gradient_norm_clipped": progress.clipped_norm}
        seen |= {"clipped_share": progress.clipped}
        norms = {
            "gradient_norm": progress.norms.by_variable,
            "gradient_norm_clipped": progress.norms.clipped_by_variable,
        }
        for name, by_variable in norms.items():
            seen |= {f"{name}.{layer}": norm for layer, norm in by_layer(by_variable).items()}
        told = progress.batch == self.training.batches or progress.batch % told_every(progress.batch) == 0
        if told and not self.history.has("trained", progress.batch):
            self.run.metrics(seen, step=progress.batch)
        self.history.trained(progress.batch, seen, by_layer(progress.norms.by_variable))
        self.report(progress)

    def _is_over(self, step: Step) -> bool:
        """Measure, keep the weights if they are the best, and say whether there is no use in going on."""
        scores = _scores(self.config, self.training.model, self.vocabulary)
        if not self.history.has("measured", step.batch):
            self.run.metrics(scores, step=step.batch)
        self.history.measured(step.batch, scores)
        perplexity = sum(scores.values()) / len(scores)
        if not self.best or perplexity < self.best["perplexity"]:
            self.best = {"perplexity": perplexity, "batch": step.batch, "since": 0}
            with atomic_folder(self._best(), FILES) as folder:
                self.training.model.write(folder, self.vocabulary)
        else:
            self.best["since"] += 1
        lowest = "the lowest so far" if not self.best["since"] else f"the lowest was that of batch {self.best['batch']}"
        self.tell(f"batch {step.batch}: perplexity {perplexity:.1f}, {lowest}")
        patience = self.config.training.patience
        over = patience is not None and self.best["since"] >= patience
        if over:
            self.tell(f"ends early, for {patience} measurements gave no lower one; the weights of that batch are kept")
        return over

    def _save(self, place: dict[str, Any]) -> None:
        position = {"batch": self.training.batch, "place": place, "best": self.best, "run_id": self.run.run_id}
        position["config"] = self.config.model_dump(mode="json")
        save_checkpoint(
            checkpoints_of(self.config.output),
            self.training.batch,
            position,
            self.training.variables,
            lambda folder: self.training.model.write(folder, self.vocabulary),
        )
        self._remove_outdone()

    def _best(self) -> Path:
        """The folder of the best weights so far. Those that an older checkpoint tells of have another."""
        return checkpoints_of(self.config.output) / f"best-{self.best['batch']:08}"  # type: ignore[index]

    def _remove_outdone(self) -> None:
        """Remove the weights that no checkpoint calls the best any more."""
        folder = checkpoints_of(self.config.output)
        told = [position["best"] for position in map(read_position, checkpoints_in(folder))]
        kept = {f"best-{best['batch']:08}" for best in told if best}
        for outdone in folder.glob("best-*"):
            if outdone.name not in kept:
                remove_checkpoint(outdone)

    def _last_good(self, folder: Path) -> Path:
        """The newest checkpoint, but for one of the batch just before the failure, whose update may be its cause."""
        *others, newest = checkpoints_in(folder)
        if others and read_position(newest)["batch"] >= self.training.batch - 1:
            remove_checkpoint(newest)
            return others[-1]
        return newest


def _log_text(run: Run, context: str, text: Corpus, sizes: dict[str, int]) -> None:
    place = text.shards[0].parent if len(text.shards) > 1 else text.shards[0]
    run.data_set(str(place), checksum_of_files(text.shards), context, sizes)


def _report(config: PretrainConfig, scores: dict[str, float], words: int, vocabulary: int, batches: int) -> str:
    begun = f", from {config.source}" if config.source else ""
    facts = [
        f"{words:,} words of text, {config.epochs:g} epochs, {batches:,} batches",
        f"predicts {vocabulary:,} words",
        f"trained on {config.train}, measured on {config.validation}",
        f"written to `{config.output}`",
    ]
    told = {f"{name.replace('_', ' ')} (validation)": value for name, value in scores.items()}
    commands = [f"telmo embed INPUT OUTPUT --source {config.output}", f"telmo generate {config.output} --prompt TEXT"]
    return run_report(f"**{config.output.name}**: a biLM{begun}, seed {config.training.seed}.", told, facts, commands)


def by_layer(norms: dict[str, float]) -> dict[str, float]:
    """Norms by the layer that a variable belongs to, such as `forward/layer_0` or `token_encoder/highway_1/carry`."""
    squares: dict[str, float] = {}
    for path, norm in norms.items():
        layer = path.rpartition("/")[0].removesuffix("/loop/cell")
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: square**0.5 for layer, square in squares.items()}


def _newest(checkpoints: list[Path], read: Callable[[Path], Any]) -> Any:
    """What `read` makes of the newest of the checkpoints; where it cannot, the error names the one before."""
    *older, newest = checkpoints
    try:
        return read(newest)
    except SourceError as error:
        if not older:
            raise
        raise SourceError(f"{error}; remove {newest.name} to go on from {older[-1].name}") from None


def _corpus(config: PretrainConfig, names: str | tuple[str, ...], epochs: int | None = 1) -> Corpus:
    return Corpus(
        names,
        config.tokenizer,
        config.encoding,
        config.column,
        # The order makes no difference to what is read once.
        shuffle=0 if epochs else config.shuffle,
        seed=config.training.seed,
        epochs=epochs,
    )


def _check_held_out(config: PretrainConfig) -> None:
    """Read the validation text to its end before the training, so that a bad byte or too little text is not found after
    it."""
    text, (rows, steps) = _corpus(config, config.validation), (config.training.batch_size, config.training.steps)
    if config.training.backpropagation == "sentence":
        rows, steps = 1, 1
    if next(Windows(text, Vocabulary(FRAMES), rows, steps, Bytes(3, 1)), None) is None:
        raise InputError(
            f"{text.shards[0]}: the validation text does not fill a batch of {rows} x {steps} words; {SHORT}"
        )
    for _ in text:
        pass


def _count(config: PretrainConfig, stored: StoredBiLM | None) -> Vocabulary:
    text = _corpus(config, config.train)
    if stored and stored.options.inputs == "words":
        # What it predicts are the words that it reads; asked for its spelling, it says what it lacks.
        if list(stored.spelling.words[:3]) != FRAMES:
            raise SourceError(f"{config.source}: its vocabulary does not begin with {', '.join(FRAMES)}")
        return Vocabulary.count(stored.vocabulary, text)
    return Vocabulary.build(text, config.vocabulary, config.min_count)


def _words_and_batches(config: PretrainConfig, vocabulary: Vocabulary) -> tuple[int, int]:
    """The words of the training text, and the batches of all epochs."""
    settings, counts = config.training, vocabulary.counts
    words = int(counts.sum())  # type: ignore[union-attr]
    if settings.backpropagation == "sentence":
        # Those that are cut into pieces are counted once.
        return words, max(1, round(config.epochs * int(counts[0]) / settings.batch_size))  # type: ignore[index]
    return words, round(config.epochs * words / (settings.batch_size * settings.steps))


def _scores(config: PretrainConfig, model: LanguageModel, vocabulary: Vocabulary) -> dict[str, float]:
    measured = perplexity(model, vocabulary, _corpus(config, config.validation), config.training)
    return {f"{way}_perplexity": value for way, value in zip(DIRECTIONS, measured, strict=False)}


def _repeats(run: Run, config: PretrainConfig, position: dict[str, Any]) -> bool:
    """Whether a training goes on, in the same run, to the losses and perplexities that it had before it broke off."""
    now, then = config.model_dump(mode="json"), position.get("config", {})
    return run.goes_on and all(now[key] == then.get(key) for key in ("training", "epochs", "validation"))


def _check_same(config: PretrainConfig, before: dict[str, Any], checkpoint: Path) -> None:
    """Whether a checkpoint's training is the one that the config describes.

    Raises:
        ConfigError: it is not.
    """
    now, then = dict(flat(config.model_dump(mode="json"))), dict(flat(before))
    for key in sorted(now.keys() | then.keys()):
        if now.get(key) != then.get(key) and not f"{key}.".startswith(CHANGEABLE):
            raise ConfigError(
                f"{checkpoint.parent}: holds a training with {key} {then.get(key)}, found {now.get(key)}; "
                "expected the same, or another output; or remove this folder to begin anew"
            )
