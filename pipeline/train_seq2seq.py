"""The stage `train` for the task seq2seq: pairs of texts to a registered model that translates."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from embeddings.atomic import check_folder
from embeddings.tokenizer import text_of
from models.description import MODEL_FILES, Description
from models.epochs import Epoch
from models.features import Features
from models.model_folder import save_model
from models.options import without_elmo
from models.seq2seq import Seq2seq
from models.seq2seq_metrics import translation_scores
from models.seq2seq_training import best_epoch, train_seq2seq, translations
from models.seq2seq_vocabulary import TargetVocabulary
from models.texts import Texts
from models.training import shape_of_layers
from pipeline.config import Seq2seqConfig
from pipeline.data import checksum_of_examples, read_data
from pipeline.data_report import log_data
from pipeline.layers import find_below, layers_below
from pipeline.sources import tell_source
from pipeline.tracking import start_run
from pipeline.trained import EpochLog, Trained


def train_seq2seq_stage(config: Seq2seqConfig, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Trained:
    """Train a translating model as a config says, track it, write its folder and register it.

    Args:
        config: what to do.
        on_epoch: called after each epoch.

    Raises:
        ConfigError: the source cannot serve the task.
        InputError: data cannot be read.
        SourceError: the source cannot be read.
        TrainingError: the loss is infinite or no number.
        OutputError: a folder or the tracking store cannot be written.
    """
    check_folder(config.output, MODEL_FILES)
    below = find_below(config)
    data_set = read_data(config.task, config.data)
    examples, data = data_set.splits, config.data
    options = config.head if below else replace(config.head, inputs=without_elmo(config.head.below).inputs)
    vocabulary = TargetVocabulary.build(examples["train"].targets, config.training.min_count)
    features = Features.learned(options.below, examples["train"].sentences) if options.features else None
    target_tokenizer = data.target_tokenizer or data.tokenizer
    with ExitStack() as stack:
        run = stack.enter_context(start_run(config.tracking, "train", f"{config.name} {config.seed}", config))
        told = log_data(run, config.task, data_set)
        if config.embedding.weights == "pretrained":
            tell_source(run, config.embedding.source, below)
        run.text(json.dumps(vocabulary.tokens, indent=2, ensure_ascii=False), "labels.json")
        stored, layers = stack.enter_context(layers_below(config, below, examples))
        shape = shape_of_layers(layers["train"])
        texts = {split: Texts(layers[split], examples[split], options.below, features) for split in examples}
        rows = features.rows if features else None
        log = EpochLog(run, on_epoch)
        model = train_seq2seq(
            lambda: Seq2seq(options, vocabulary.tokens, shape, rows, config.training.label_smoothing),
            config.training,
            vocabulary,
            (examples["train"], texts["train"]),
            (examples["validation"], texts["validation"]),
            target_tokenizer,
            config.seed,
            log,
        )
        found = translations(model, texts["test"], vocabulary, target_tokenizer)
        scores = translation_scores(examples["test"].references or [], found)
        example = text_of(examples["test"].sentences[0], data.tokenizer)
        description = Description(
            config.name,
            config.task,
            vocabulary.tokens,
            data.tokenizer,
            options,
            scores,
            example,
            target_tokenizer,
            learned_from=checksum_of_examples(examples["train"]),
        )
        save_model(config.output, description, model, stored, features)
        return log.finish(config, best_epoch(log.epochs), scores, example, told)
