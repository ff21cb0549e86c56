"""Trains AllenNLP's crf_tagger: allennlp_tagger_training.py JOB (see tagging.py)"""

import json
import sys
import time
from pathlib import Path

import torch
from allennlp.common import Params
from allennlp.data import Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.dataset_readers import DatasetReader
from allennlp.data.samplers import BucketBatchSampler
from allennlp.models import Model
from allennlp.training import GradientDescentTrainer, TrainerCallback
from allennlp.training.optimizers import AdamOptimizer
from allennlp_models.tagging.models.crf_tagger import CrfTagger  # noqa: F401


class Epochs(TrainerCallback):
    """Takes the time of each epoch, and its mean loss."""

    def __init__(self):
        super().__init__("")
        self.seconds, self.losses = [], []

    def on_start(self, trainer, is_primary=True, **kwargs):
        self.begin = time.perf_counter()

    def on_epoch(self, trainer, metrics, epoch, is_primary=True, **kwargs):
        self.seconds.append(time.perf_counter() - self.begin)
        self.losses.append(metrics["training_loss"])
        self.begin = time.perf_counter()


def reader():
    indexers = {
        "tokens": {"type": "single_id"},
        "token_characters": {"type": "characters", "min_padding_length": 3},
    }
    return DatasetReader.from_params(
        Params(
            {
                "type": "sequence_tagging",
                "word_tag_delimiter": "###",
                "token_delimiter": "\t",
                "token_indexers": indexers,
            }
        )
    )


def model_of(job, vocabulary):
    width = job["word_dim"] + job["filters"]
    return Model.from_params(
        Params(
            {
                "type": "crf_tagger",
                "text_field_embedder": {
                    "token_embedders": {
                        "tokens": {"type": "embedding", "embedding_dim": job["word_dim"]},
                        "token_characters": {
                            "type": "character_encoding",
                            "embedding": {"embedding_dim": job["character_dim"], "vocab_namespace": "token_characters"},
                            "encoder": {
                                "type": "cnn",
                                "embedding_dim": job["character_dim"],
                                "num_filters": job["filters"],
                                "ngram_filter_sizes": [job["width"]],
                            },
                        },
                    }
                },
                "encoder": {
                    "type": "lstm",
                    "input_size": width,
                    "hidden_size": job["units"],
                    "num_layers": job["depth"],
                    "bidirectional": True,
                    "dropout": job["dropout"],
                },
                "dropout": job["dropout"],
            }
        ),
        vocab=vocabulary,
    )


def main(path):
    job = json.loads(path.read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    text = path.parent / "train.txt"
    sampler = BucketBatchSampler(batch_size=job["batch_size"], sorting_keys=["tokens"])
    loader = MultiProcessDataLoader(reader(), str(text), batch_sampler=sampler, quiet=True)
    vocabulary = Vocabulary.from_instances(loader.iter_instances())
    loader.index_with(vocabulary)
    model = model_of(job, vocabulary)
    epochs = Epochs()
    trainer = GradientDescentTrainer(
        model,
        AdamOptimizer(list(model.named_parameters()), lr=job["learning_rate"]),
        loader,
        num_epochs=job["epochs"],
        grad_norm=job["clip_norm"],
        callbacks=[epochs],
        enable_default_callbacks=False,
        cuda_device=-1,
    )
    trainer.train()
    answer = {
        "seconds": epochs.seconds,
        "losses": epochs.losses,
        "weights": sum(weight.numel() for weight in model.parameters()),
    }
    (path.parent / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
