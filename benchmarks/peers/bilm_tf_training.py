"""Trains with bilm-tf's own `train`: bilm_tf_training.py JOB (see pretraining.py)

Run it with the Python of the bilm-tf environment (see install.py).
"""

import json
import random
import resource
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from bilm.data import BidirectionalLMDataset
from bilm.training import LanguageModel, _get_feed_dict_from_X, load_options_latest_checkpoint, load_vocab, train

CHARACTERS = 261


class TimedDataset(BidirectionalLMDataset):
    """Notes when each batch is asked for, which is when the one before is done, and the memory used until then."""

    def iter_batches(self, batch_size, num_steps):
        self.times, self.peak = [], 0
        for batch in super().iter_batches(batch_size, num_steps):
            self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            yield batch
            self.times.append(time.perf_counter())


def options_of(job):
    options = {
        "bidirectional": True,
        "dropout": job["dropout"],
        "lstm": {
            "cell_clip": 3,
            "proj_clip": 3,
            "dim": job["cells"],
            "projection_dim": job["projection"],
            "n_layers": job["layers"],
            "use_skip_connections": True,
        },
        "all_clip_norm_val": 10.0,
        "n_epochs": 1,
        "n_train_tokens": job["batches"] * job["batch_size"] * job["steps"],
        "batch_size": job["batch_size"],
        "unroll_steps": job["steps"],
        "n_tokens_vocab": job["vocabulary_size"],
        "n_negative_samples_batch": job["samples"],
    }
    if job["inputs"] == "characters":
        options["char_cnn"] = {
            "activation": "relu",
            "embedding": {"dim": job["character_dim"]},
            "filters": job["filters"],
            "max_characters_per_token": job["max_characters"],
            "n_characters": CHARACTERS,
            "n_highway": job["highways"],
        }
    return options


def perplexities(folder, data):
    """Per word, forward and backward, with the full softmax."""
    tf.compat.v1.reset_default_graph()
    options, checkpoint = load_options_latest_checkpoint(folder)
    shape = options["batch_size"], options["unroll_steps"]
    with tf.compat.v1.variable_scope("lm"):
        model = LanguageModel(options, False)
    losses = []
    with tf.compat.v1.Session() as session:
        tf.compat.v1.train.Saver().restore(session, checkpoint)
        state = [np.zeros(tensor.shape) for tensor in tf.nest.flatten(model.init_lstm_state)]
        try:
            for batch in data.iter_batches(*shape):
                feed = dict(zip(tf.nest.flatten(model.init_lstm_state), state))
                feed.update(_get_feed_dict_from_X(batch, 0, shape[0], model, "char_cnn" in options, True))
                loss, state = session.run(
                    [model.individual_losses, tf.nest.flatten(model.final_lstm_state)], feed_dict=feed
                )
                losses.append(loss)
        except RuntimeError as error:
            # The end of the text: bilm-tf raises StopIteration in a generator, which Python 3.7 no longer takes.
            if not isinstance(error.__cause__, StopIteration):
                raise
    return np.exp(np.mean(losses, axis=0)).tolist()


def main(path):
    job = json.loads(path.read_text(encoding="utf-8"))
    random.seed(job["seed"])
    tf.compat.v1.set_random_seed(job["seed"])
    vocabulary = load_vocab(job["vocabulary"], job["max_characters"] if job["inputs"] == "characters" else None)
    data = TimedDataset(job["shards"], vocabulary, test=False, shuffle_on_load=False)
    folder = str(path.parent / "bilm_tf")
    Path(folder).mkdir()
    train(options_of(job), data, 1, folder, folder)
    held_out = BidirectionalLMDataset(job["held_out"], vocabulary, test=True)
    answer = {
        "seconds": np.diff(data.times).tolist(),
        "peak": data.peak * 1024,
        "perplexities": perplexities(folder, held_out),
    }
    (path.parent / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
