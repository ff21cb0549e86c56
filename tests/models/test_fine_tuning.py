import keras
import numpy as np
import pytest

from embeddings.bilm import BiLM
from embeddings.embedder import Embedder
from embeddings.errors import ConfigError
from embeddings.options import BiLMOptions
from embeddings.published import write_published
from embeddings.source import find_source, load_bilm
from embeddings.store import Store
from embeddings.weights import arrays_of
from models import Predictor
from models.description import Description
from models.encoder import layer_weights
from models.examples import Examples
from models.fine_tuning import HeadOnBiLM
from models.model_folder import save_model
from models.options import HeadOptions, TrainingSettings
from models.texts import Texts
from models.training import build_head, predict_logits, train_head

SENTENCES = [["a", "good", "day"], ["bad"], ["good", "words"], ["a", "very", "bad", "word"]] * 4
EXAMPLES = Examples(SENTENCES, ["yes", "no", "yes", "no"] * 4, [""] * 16)
OPTIONS = HeadOptions(encoder="dense", units=3, layer_norm=True, dropout=0.2, elmo_at_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A biLM of two layers that is quickly traced."""
    keras.utils.set_random_seed(5)
    folder = tmp_path_factory.mktemp("bilm")
    options = BiLMOptions(
        cell="gru", bidirectional=False, projection=4, cells=4, layers=2, filters=((2, 4),), character_dim=3, highways=1
    )
    write_published(folder, options, arrays_of(BiLM(options)), ["<S>", "</S>", "<UNK>", "the"])
    return folder


@pytest.fixture
def bilm(folder):
    return load_bilm(folder)


def trained(layers, **settings):
    epochs = []
    options = TrainingSettings(**{"epochs": 3, "batch_size": 4, "learning_rate": 0.02, "patience": 9} | settings)
    data = (EXAMPLES, layers)
    model = train_head("classification", OPTIONS, options, ["no", "yes"], data, data, 1, epochs.append)
    return model, epochs


def test_layers_that_are_stored_and_layers_on_the_fly_give_the_same(bilm, tmp_path):
    store = Store.write(tmp_path / "store", Embedder(bilm).embed(SENTENCES))
    before = bilm.get_weights()
    on_store, epochs = trained(store)
    on_the_fly, others = trained(bilm)
    for one, other in zip(epochs, others, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-4)
        assert one.layer_weights["input"] == pytest.approx(other.layer_weights["input"], abs=1e-4)
    for one, other in zip(on_store.get_weights(), on_the_fly.head.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    for one, other in zip(before, bilm.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_biLM_thaws_from_the_top(bilm):
    model = HeadOnBiLM(bilm, build_head("classification", OPTIONS, 2, (3, 4)))
    groups = model.groups()
    assert sum(map(len, groups)) == len(bilm.weights)
    names = ["layer_1", "layer_0", "token_encoder"]
    assert all(all(name in weight.path for weight in group) for name, group in zip(names, groups, strict=True))
    counts = []
    for count in range(4):
        assert model.unfreeze(count)
        counts.append(sum(weight.trainable for weight in bilm.weights))
    assert counts == np.cumsum([0, *map(len, groups)]).tolist() and not model.unfreeze(3)


def test_one_layer_more_learns_after_each_epoch(bilm):
    seen = [[group.copy() for group in bilm.get_weights()]]
    paths = [weight.path for weight in bilm.weights]
    settings = TrainingSettings(epochs=3, batch_size=8, learning_rate=0.02, patience=9, fine_tune=True)
    data = (EXAMPLES, bilm)
    keep = lambda epoch: seen.append(bilm.get_weights())  # noqa: E731
    train_head("classification", OPTIONS, settings, ["no", "yes"], data, data, 1, keep)
    for number, changed in enumerate([(), ("layer_1",), ("layer_1", "layer_0")], start=1):
        for path, before, after in zip(paths, seen[number - 1], seen[number], strict=True):
            assert (before != after).any() == any(name in path for name in changed), path


def test_lower_layers_learn_more_slowly(bilm):
    before = {weight.path: np.array(weight) for weight in bilm.weights}
    trained(bilm, fine_tune=True, unfreezing="at_once", rate_factor=10.0, epochs=1, batch_size=16, optimizer="adam")
    # Adam's first step is the learning rate for every number that has a gradient.
    for name, rate in (("layer_1", 2e-3), ("layer_0", 2e-4)):
        steps = [abs(np.array(weight) - before[weight.path]).max() for weight in bilm.weights if name in weight.path]
        assert steps == pytest.approx([rate] * len(steps), rel=0.1)


def test_a_fine_tuned_biLM_is_kept_with_its_head(bilm, folder, tmp_path):
    model, _ = trained(bilm, fine_tune=True, unfreezing="at_once")
    description = Description("tuned", "classification", ["no", "yes"], "whitespace", OPTIONS, {}, "a good day")
    save_model(tmp_path / "model", description, model, find_source(folder))
    predictor = Predictor.load(tmp_path / "model")
    logits = predict_logits(model, Texts(bilm, EXAMPLES))
    answers = predictor.predict([" ".join(sentence) for sentence in SENTENCES[:4]], logits=True)
    for answer, row in zip(answers, logits, strict=False):
        assert list(answer.logits.values()) == pytest.approx(row, abs=1e-4)
        given = model.head.calibration.probabilities(row)
        assert [answer.probabilities[k] for k in ("no", "yes")] == pytest.approx(given, abs=1e-4)
    assert len(layer_weights(model.head)["output"]) == 3


def test_what_is_stored_cannot_be_tuned(bilm, tmp_path):
    store = Store.write(tmp_path / "store", Embedder(bilm).embed(SENTENCES))
    with pytest.raises(ConfigError, match="fine_tune needs a biLM that is computed on the fly"):
        trained(store, fine_tune=True)
    with pytest.raises(ConfigError, match="'elmo' in its inputs needs a biLM"):
        trained(None)
