"""Make small AllenNLP models of many kinds, and their answers: allennlp_answers.py BILM SENTENCES.txt OUT

Run it with the Python of the AllenNLP environment (see install.py). BILM holds options.json and lm_weights.hdf5 or
weights.hdf5; SENTENCES.txt holds one whitespace-tokenised sentence a line. OUT, a new folder, gets for each model
NAME.tar.gz and NAME.json: for each sentence its tokens, AllenNLP's tags or label, and the logits.

The weights are random, and larger than a fresh model's, so that answers differ. The vocabulary is that of every other
sentence. ELMo's LSTM is reset before each sentence, and a sentence is a batch of its own.
"""

import copy
import json
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from allennlp.common import Params
from allennlp.data import Instance, Token, TokenIndexer, Vocabulary
from allennlp.data.fields import TextField
from allennlp.models import Model
from allennlp.modules.encoder_base import _EncoderBase
from allennlp_models.classification.models.biattentive_classification_network import (  # noqa: F401
    BiattentiveClassificationNetwork,
)
from allennlp_models.tagging.models.crf_tagger import CrfTagger  # noqa: F401

LABELS = {
    "BIO": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "IOB1": ["I-PER", "O", "B-PER", "I-LOC", "B-LOC"],
    "BIOUL": ["O", *(f"{part}-{kind}" for kind in ("PER", "LOC") for part in "BILU")],
    "BMES": [f"{part}-{kind}" for kind in ("NP", "VP") for part in "BMES"],
    None: ["NOUN", "VERB", "X", "O"],
}


def words(dim=6, **options):
    return {"type": "embedding", "embedding_dim": dim, **options}


def characters(encoder, dim=5, **options):
    return {
        "type": "character_encoding",
        "embedding": {"embedding_dim": dim, "vocab_namespace": "token_characters", **options},
        "encoder": encoder,
    }


def recurrent(kind, size, hidden, layers=1, bidirectional=True, **options):
    return {
        "type": kind,
        "input_size": size,
        "hidden_size": hidden,
        "num_layers": layers,
        "bidirectional": bidirectional,
        **options,
    }


def feedforward(size, hidden, activations="relu"):
    return {"input_dim": size, "num_layers": len(hidden), "hidden_dims": hidden, "activations": activations}


def maxout(size, units, pieces):
    return {
        "input_dim": size,
        "num_layers": len(units),
        "output_dims": units,
        "pool_sizes": pieces,
        "dropout": [0.2] * len(units),
    }


CNN = {"type": "cnn", "embedding_dim": 5, "num_filters": 4, "ngram_filter_sizes": [2, 3]}
ELMO = {"type": "elmo_token_embedder", "dropout": 0.3}
WORD_INDEX, ELMO_INDEX = {"type": "single_id"}, {"type": "elmo_characters"}
CHARACTER_INDEX = {"type": "characters", "min_padding_length": 5}
BYTES = {
    "type": "characters",
    "min_padding_length": 5,
    "character_tokenizer": {"byte_encoding": "utf-8", "start_tokens": [259], "end_tokens": [260]},
}
MARKED = {
    "type": "characters",
    "min_padding_length": 5,
    "character_tokenizer": {"lowercase_characters": True, "start_tokens": ["e"], "end_tokens": ["o", "never"]},
}


def tagger(kind, embedders, indexers, encoder, **options):
    model = {"type": kind, "text_field_embedder": {"token_embedders": embedders}, "encoder": encoder, **options}
    return {"dataset_reader": {"type": "sequence_tagging", "token_indexers": indexers}, "model": model}


def bcn(dim, embedders, indexers, at_input, at_output, encoder, integrator, before, output):
    model = {
        "type": "bcn",
        "text_field_embedder": {"token_embedders": embedders},
        "embedding_dropout": 0.2,
        "integrator_dropout": 0.1,
        "pre_encode_feedforward": before,
        "encoder": encoder,
        "integrator": integrator,
        "output_layer": output,
        "use_input_elmo": at_input,
        "use_integrator_output_elmo": at_output,
    }
    if at_input or at_output:
        model["elmo"] = {"num_output_representations": at_input + at_output, "dropout": 0.2}
    return {"dataset_reader": {"type": "sst_tokens", "token_indexers": indexers}, "model": model}


def variants(dim):
    """The configs by name; `dim` is the width of a biLM's layer."""
    both = {"elmo": ELMO_INDEX, "tokens": WORD_INDEX}
    spelled = {"tokens": WORD_INDEX, "token_characters": CHARACTER_INDEX}
    crf, simple = "crf_tagger", "simple_tagger"
    yield "lstm1", tagger(simple, {"elmo": ELMO}, {"elmo": ELMO_INDEX}, recurrent("lstm", dim, 7))
    yield "lstm3_forward", tagger(simple, {"elmo": ELMO}, {"elmo": ELMO_INDEX}, recurrent("lstm", dim, 7, 3, False))
    yield "gru2", tagger(simple, {"tokens": words()}, {"tokens": WORD_INDEX}, recurrent("gru", 6, 5, 2))
    yield "gru3_forward", tagger(simple, {"tokens": words()}, {"tokens": WORD_INDEX}, recurrent("gru", 6, 5, 3, False))
    yield "no_bias", tagger(simple, {"tokens": words()}, {"tokens": WORD_INDEX}, recurrent("lstm", 6, 5, bias=False))
    yield "gru_no_bias", tagger(simple, {"tokens": words()}, {"tokens": WORD_INDEX}, recurrent("gru", 6, 5, bias=False))
    yield (
        "pass_through",
        tagger(simple, {"elmo": ELMO}, {"elmo": ELMO_INDEX}, {"type": "pass_through", "input_dim": dim}),
    )
    yield (
        "word_by_word",
        tagger(
            simple,
            {"elmo": ELMO},
            {"elmo": ELMO_INDEX},
            {"type": "feedforward", "feedforward": feedforward(dim, [9, 8], ["tanh", "elu"])},
        ),
    )
    yield (
        "elmo_projected",
        tagger(simple, {"elmo": {**ELMO, "projection_dim": 11}}, {"elmo": ELMO_INDEX}, recurrent("lstm", 11, 6)),
    )
    yield (
        "words_projected",
        tagger(
            simple,
            {"tokens": words(6, projection_dim=9, trainable=False), "elmo": ELMO},
            {"elmo": ELMO_INDEX, "tokens": {"type": "single_id", "lowercase_tokens": True}},
            recurrent("gru", 9 + dim, 6),
        ),
    )
    yield (
        "order_of_names",
        tagger(
            simple,
            {"b": words(4), "Z": ELMO, "a": words(3)},
            {"b": WORD_INDEX, "Z": ELMO_INDEX, "a": {"type": "single_id", "lowercase_tokens": True}},
            recurrent("lstm", 7 + dim, 6),
        ),
    )
    encoders = {
        "cnn": (CNN, 8),
        "cnn_projected": ({**CNN, "conv_layer_activation": "tanh", "output_dim": 6}, 6),
        "char_lstm2": (recurrent("lstm", 5, 4, 2), 8),
        "char_gru_forward": (recurrent("gru", 5, 4, 1, False), 4),
        "char_gru3": (recurrent("gru", 5, 4, 3), 8),
        "char_mean": ({"type": "bag_of_embeddings", "embedding_dim": 5, "averaged": True}, 5),
        "char_sum": ({"type": "boe", "embedding_dim": 5}, 5),
    }
    for name, (encoder, width) in encoders.items():
        embedders = {"tokens": words(), "token_characters": characters(encoder)}
        yield name, tagger(simple, embedders, spelled, recurrent("lstm", 6 + width, 6))
    yield (
        "char_bytes",
        tagger(simple, {"c": characters(CNN, num_embeddings=262)}, {"c": BYTES}, recurrent("lstm", 8, 6, dropout=0.3)),
    )
    yield (
        "char_marks",
        tagger(simple, {"c": characters(CNN, projection_dim=5)}, {"c": MARKED}, recurrent("gru", 8, 6)),
    )
    for scheme in ("BIO", "IOB1", "BIOUL", "BMES"):
        for boundaries in (True, False):
            yield (
                f"crf_{scheme}_{'bounded' if boundaries else 'open'}",
                tagger(
                    crf,
                    {"elmo": ELMO, "tokens": words()},
                    both,
                    recurrent("lstm", dim + 6, 6),
                    label_encoding=scheme,
                    include_start_end_transitions=boundaries,
                ),
            )
    yield (
        "crf_free",
        tagger(
            crf,
            {"tokens": words()},
            {"tokens": WORD_INDEX},
            recurrent("gru", 6, 6),
            label_encoding="BIOUL",
            constrain_crf_decoding=False,
            calculate_span_f1=False,
        ),
    )
    yield (
        "crf_feedforward",
        tagger(
            crf,
            {"elmo": ELMO},
            {"elmo": ELMO_INDEX},
            recurrent("lstm", dim, 6, 2),
            feedforward=feedforward(12, [10, 7], ["tanh", "swish"]),
            label_encoding="BIO",
            dropout=0.2,
        ),
    )
    yield (
        "crf_plain",
        tagger(crf, {"elmo": ELMO}, {"elmo": ELMO_INDEX}, {"type": "pass_through", "input_dim": dim}),
    )
    top = maxout(4 * 10, [6, 5, 4], [2, 3, 4])
    plain = (feedforward(dim + 6, [8]), recurrent("lstm", 8, 4), recurrent("lstm", 24, 5))
    yield "bcn_input", bcn(dim, {"tokens": words()}, both, True, False, plain[1], plain[2], plain[0], top)
    yield (
        "bcn_both",
        bcn(
            dim,
            {"tokens": words()},
            both,
            True,
            True,
            recurrent("gru", 8, 4, 2),
            recurrent("gru", 24, 5, 2, False),
            feedforward(dim + 6, [8]),
            maxout(4 * (5 + dim), [7, 4], 3),
        ),
    )
    yield (
        "bcn_output",
        bcn(
            dim,
            {"tokens": words()},
            both,
            False,
            True,
            recurrent("lstm", 8, 4),
            recurrent("lstm", 24, 5),
            feedforward(6, [9, 8], "tanh"),
            maxout(4 * (10 + dim), [4], 2),
        ),
    )
    yield (
        "bcn_elmo_alone",
        bcn(dim, {}, {"elmo": ELMO_INDEX}, True, False, plain[1], plain[2], feedforward(dim, [8]), top),
    )
    yield (
        "bcn_without_elmo",
        bcn(
            dim,
            {"tokens": words(), "token_characters": characters(CNN)},
            spelled,
            False,
            False,
            recurrent("lstm", 8, 4),
            recurrent("gru", 24, 5),
            feedforward(14, [8]),
            feedforward(40, [9, 4], ["relu", "linear"]),
        ),
    )


def with_files(config, bilm):
    """The config with the biLM's files where it names none."""
    config = copy.deepcopy(config)
    weights = next(path for path in (bilm / "weights.hdf5", bilm / "lm_weights.hdf5") if path.is_file())
    model = config["model"]
    sections = list(model["text_field_embedder"]["token_embedders"].values())
    sections = [section for section in sections if section["type"] == "elmo_token_embedder"]
    if "elmo" in model:
        sections.append(model["elmo"])
    for section in sections:
        section.update(options_file=str(bilm / "options.json"), weight_file=str(weights))
    return config


def main(bilm, sentences, out):
    bilm, out = Path(bilm), Path(out)
    out.mkdir(parents=True)
    texts = [line.split() for line in Path(sentences).read_text("utf-8").splitlines() if line.split()]
    dim = 2 * json.loads((bilm / "options.json").read_text())["lstm"]["projection_dim"]
    for number, (name, plan) in enumerate(variants(dim)):
        torch.manual_seed(number)
        config = with_files(plan, bilm)
        indexers = {
            key: TokenIndexer.from_params(Params(copy.deepcopy(value)))
            for key, value in config["dataset_reader"]["token_indexers"].items()
        }
        instances = [Instance({"tokens": TextField([Token(word) for word in words], indexers)}) for words in texts]
        vocabulary = Vocabulary.from_instances(instances[::2])
        labels = LABELS[config["model"].get("label_encoding")]
        vocabulary.add_tokens_to_namespace(labels, "labels")
        model = Model.from_params(vocab=vocabulary, params=Params(copy.deepcopy(config["model"]))).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "_elmo_lstm" not in key and "_constraint_mask" not in key:
                    scale = 2.0 if key.startswith("crf.") else 0.02 if "bias" in key else 0.6
                    parameter.add_(torch.randn_like(parameter) * scale)
        answers = []
        for words, instance in zip(texts, instances):
            for module in model.modules():
                if isinstance(module, _EncoderBase):
                    module.reset_states()
            answer = model.forward_on_instance(instance)
            logits = answer["logits"].tolist()
            tags = answer.get("tags", answer.get("label"))
            if config["model"]["type"] == "crf_tagger":
                tags = [vocabulary.get_token_from_index(tag, "labels") if isinstance(tag, int) else tag for tag in tags]
            answers.append({"tokens": words, "answer": tags, "logits": logits})
        (out / f"{name}.json").write_text(json.dumps(answers))
        with tempfile.TemporaryDirectory() as folder, tarfile.open(out / f"{name}.tar.gz", "w:gz") as archive:
            Path(folder, "config.json").write_text(json.dumps(config, indent=2))
            torch.save(model.state_dict(), f"{folder}/weights.th")
            vocabulary.save_to_files(f"{folder}/vocabulary")
            for part in ("config.json", "weights.th", "vocabulary"):
                archive.add(f"{folder}/{part}", part)
        print(name, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: allennlp_answers.py BILM SENTENCES.txt OUT")
    main(*sys.argv[1:])
