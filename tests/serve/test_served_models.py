import asyncio
import contextlib
import logging
import shutil

import mlflow
import numpy as np
import pytest

from embeddings.embedder import Embedder
from embeddings.errors import ConfigError, InputError, ModelError
from embeddings.selection import Selection
from embeddings.source import load_bilm
from models import Predictor
from serve import place as places
from serve.errors import NotFound, NotUsable, TooLarge
from serve.observer import Observer
from serve.options import ServeOptions
from serve.registry import find_served, log_model
from serve.served_models import ServedModels

TEXT = "The cat isn't here."
SOON = 60


class Notes(Observer):
    def __init__(self):
        self.states, self.agreements = [], []

    def changed(self, model, version, state):
        self.states.append((version, state))

    def compared(self, model, version, shadow, shadow_version, agreed):
        self.agreements.append((model, version, shadow, shadow_version, agreed))


@contextlib.asynccontextmanager
async def serving(*models, **options):
    asked = ServeOptions(**options)
    notes = Notes()
    service = ServedModels(find_served(list(map(str, models)), asked.shadow), asked, notes)
    service.notes = notes
    service.load()
    await service.start()
    yield service
    service.close()


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def predictors(model_folders):
    return {task: Predictor.load(folder) for task, folder in model_folders.items()}


def test_answers_of_folders_are_those_of_their_predictors(model_folders, predictors):
    async def scenario():
        async with serving(*model_folders.values()) as service:
            for task, predictor in predictors.items():
                answer = await service.predict(f"tiny-{task}", [TEXT, ["two", "words"]])
                assert answer.predictions == predictor.predict([TEXT, ["two", "words"]])
                assert (answer.model, answer.version, answer.task) == (f"tiny-{task}", None, task)

    asyncio.run(scenario())


def test_who_asks_for_logits_gets_them_and_its_neighbour_does_not(model_folders):
    async def scenario():
        async with serving(model_folders["tagging"]) as service:
            asked = (service.predict("tiny-tagging", [f"text {k}"], logits=k % 2 == 0) for k in range(10))
            for k, answer in enumerate(await asyncio.gather(*asked)):
                assert (answer.predictions[0].logits is not None) == (k % 2 == 0)

    asyncio.run(scenario())


def test_vectors_are_those_of_the_biLM(model_folders, tiny_bilm_folder):
    words = ["The", "cat", "is", "n't", "here", "."]
    (layers,) = Embedder(load_bilm(tiny_bilm_folder)).embed([words])
    expected = {
        "all": layers,
        "average": layers.mean(axis=0)[None],
        "0,2": layers[[0, 2]],
        # An untrained head has given every layer the same weight.
        "mix": layers.mean(axis=0)[None],
        "mix:0.2,0.5,0.3": np.tensordot([0.2, 0.5, 0.3], layers, 1)[None],
    }

    async def scenario():
        async with serving(model_folders["classification"]) as service:
            for kept, vectors in expected.items():
                answer = await service.embed("tiny-classification", [TEXT, "more"], Selection(kept))
                assert [token.text for token in answer.tokens[0]] == words
                np.testing.assert_allclose(answer.vectors[0], vectors, atol=1e-5)
                assert len(answer.layers) == len(vectors)
                answer = await service.embed("tiny-classification", [TEXT, "more"], Selection(kept, "mean"))
                np.testing.assert_allclose(answer.vectors[0], vectors.mean(axis=1, keepdims=True), atol=1e-5)

    asyncio.run(scenario())


def test_what_cannot_be_asked_is_refused_before_any_work(model_folders, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("work was done")

    async def scenario():
        limits = {"max_texts": 3, "max_words": 30, "max_text_words": 15, "max_numbers": 500}
        async with serving(model_folders["classification"], **limits) as service:
            monkeypatch.setattr(Predictor, "predict", fail)
            monkeypatch.setattr(Predictor, "embed", fail)
            name = "tiny-classification"
            for texts, error, reason in (
                (["a"] * 4, TooLarge, "4 texts in this request; expected at most 3"),
                (["a " * 16], TooLarge, r"texts\[0\] has about 16 words; expected at most 15"),
                (["a", "a" * 301], TooLarge, r"texts\[1\] has 301 characters; expected at most 300"),
                (["(" * 200], TooLarge, r"texts\[0\] has about 200 words"),
                ([["a"] * 16], TooLarge, r"texts\[0\] has about 16 words"),
                (["a " * 11] * 3, TooLarge, "about 33 words in this request; expected at most 30"),
                ([], InputError, "no texts"),
                (["a", " "], InputError, r"texts\[1\] has no words"),
                (["a", "\ud800"], InputError, r"texts\[1\] holds half a character"),
                ([["a", ["b"]]], InputError, r"texts\[0\] is a pair"),
            ):
                for asked in (service.predict(name, texts), service.embed(name, texts, Selection())):
                    with pytest.raises(error, match=reason):
                        await asked
            for layers, reason in (("3", "no layer 3"), ("mix:1", "1 weights"), ("some", "expected all"), ("", "")):
                with pytest.raises(NotUsable, match=reason):
                    await service.embed(name, ["a"], Selection(layers))
            with pytest.raises(TooLarge, match="numbers; expected at most 500"):
                await service.embed(name, ["a " * 15, "a " * 15], Selection("all"))
            with pytest.raises(NotFound, match="no model 'x'; expected one of tiny-classification"):
                await service.predict("x", ["a"])
            with pytest.raises(NotFound, match="no version '9'"):
                await service.predict(name, ["a"], version="9")

    asyncio.run(scenario())


def test_a_model_is_described(model_folders):
    async def scenario():
        async with serving(model_folders["classification"]) as service:
            (info,) = service.models()
            assert (info.layers, info.dim, info.state, info.pairs) == (3, 8, "ready", False)
            assert info.layer_weights == pytest.approx([1 / 3] * 3)
            service.stop()
            assert [told.state for told in service.models()] == ["draining"]
            assert (await service.predict(info.name, ["still"])).predictions

    asyncio.run(scenario())


@pytest.fixture
def registered(model_folders, tmp_path, mlflow_store):
    """Registers a model folder as the next version of `tagger`, with the alias on it, and can move the alias."""
    mlflow.set_tracking_uri(mlflow_store(tmp_path))
    mlflow.create_experiment("test", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("test")
    client = mlflow.MlflowClient()

    def register(folder=model_folders["tagging"], alias="champion"):
        with mlflow.start_run():
            return log_model(folder, TEXT, "tagger", alias)

    register.move = lambda version: client.set_registered_model_alias("tagger", "champion", version)
    register.version = lambda version: client.get_model_version("tagger", version)
    yield register
    mlflow.set_tracking_uri(None)


@pytest.fixture
def other_tagger(model_folders, tmp_path):
    """A tagger of other labels, so that its answers cannot be mistaken."""
    folder = tmp_path / "other"
    shutil.copytree(model_folders["tagging"], folder)
    description = (folder / "model.json").read_text()
    for label in "BI":
        description = description.replace(f'"{label}-X"', f'"{label}-Y"')
    (folder / "model.json").write_text(description.replace('"O"', '"N"'))
    return folder


LABELS = {"1": {"O", "B-X", "I-X"}, "2": {"N", "B-Y", "I-Y"}}


def test_a_worker_that_replaces_another_begins_where_the_alias_stands_now(registered, other_tagger):
    registered()
    service = ServedModels(find_served(["models:/tagger@champion"], {}), ServeOptions(), Observer())
    registered(other_tagger)
    service.load()
    assert [info.version for info in service.models()] == ["2"]


def test_an_alias_that_moves_is_followed_and_no_request_fails(registered, other_tagger):
    registered()
    registered(other_tagger)
    registered.move("1")

    async def client(service, answers):
        while not service.finished:
            answer = await service.predict("tagger", [TEXT])
            assert set(answer.predictions[0].tags) <= LABELS[answer.version]
            answers.append(answer.version)

    async def scenario():
        async with serving("models:/tagger@champion", poll_seconds=0.05) as service:
            service.finished, answers = False, []
            clients = [asyncio.create_task(client(service, answers)) for _ in range(4)]
            for version in ("2", "1", "2"):
                before = len(answers)
                await asyncio.to_thread(registered.move, version)
                await until(lambda v=version: [(m.version, m.state) for m in service.models()] == [(v, "ready")])
                assert len(answers) > before
                assert (await service.predict("tagger", [TEXT], version=version)).version == version
            service.finished = True
            await asyncio.gather(*clients)
            moves = [(v, s) for v, s in service.notes.states if s in ("ready", "unloaded")]
            assert [v for v, s in moves if s == "ready"] == ["1", "2", "1", "2"]
            assert [v for v, s in moves if s == "unloaded"] == ["1", "2", "1"]
            assert set(answers) == {"1", "2"}

    asyncio.run(scenario())


def test_a_version_that_cannot_be_loaded_is_told_and_the_one_before_goes_on(registered, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="telmo.serve")
    registered()

    async def scenario():
        async with serving("models:/tagger@champion", poll_seconds=0.05) as service:
            monkeypatch.setattr(places.LoadedModel, "load", classmethod(fail_to_load))
            await asyncio.to_thread(registered)
            await until(lambda: [(m.version, m.state) for m in service.models()] == [("1", "ready"), ("2", "failed")])
            assert (await service.predict("tagger", [TEXT])).version == "1"
            await asyncio.to_thread(registered.move, "1")
            await until(lambda: [m.version for m in service.models()] == ["1"])

    def fail_to_load(cls, found, background=False):
        raise ModelError("its weights cannot be read")

    asyncio.run(scenario())
    assert "version 2 cannot be loaded; version 1 goes on answering: its weights cannot be read" in caplog.text


def test_a_registry_that_does_not_answer_hurts_nobody(registered, caplog, monkeypatch):
    registered()

    async def scenario():
        async with serving("models:/tagger@champion", poll_seconds=0.01) as service:
            looks = []

            def broken(place):
                looks.append(place)
                raise ModelError("the registry does not answer")

            monkeypatch.setattr(places, "version_of", broken)
            await until(lambda: len(looks) > 3)
            assert (await service.predict("tagger", [TEXT])).version == "1"

    asyncio.run(scenario())
    assert caplog.text.count("the registry does not answer; version 1 goes on answering") == 1


def test_a_shadow_is_asked_too_and_disagreements_are_told_without_the_text(registered, other_tagger, caplog):
    caplog.set_level(logging.INFO, logger="telmo.serve")
    registered()
    registered(other_tagger, "challenger")

    async def scenario():
        shadow = {"tagger": "models:/tagger@challenger"}
        async with serving("models:/tagger@champion", shadow=shadow, shadow_share=0.5) as service:
            # It has no time for those who would ask it, so nobody may: it is as if it were not there.
            assert [(m.version, m.state) for m in service.models()] == [("1", "ready")]
            with pytest.raises(NotFound, match="no version '2' of the model 'tagger' in memory; expected one of 1"):
                service.model("tagger", "2")
            with pytest.raises(NotFound, match="no version '2'"):
                await service.predict("tagger", [TEXT], version="2")
            for _ in range(4):
                assert (await service.predict("tagger", [TEXT])).version == "1"
            await until(lambda: len(service.notes.agreements) == 2)
            assert set(service.notes.agreements) == {("tagger", "1", "tagger", "2", False)}

    asyncio.run(scenario())
    assert "the shadow disagrees: 'tagger' version 1 says" in caplog.text and "cat" not in caplog.text


def test_a_shadow_must_be_another_model_of_one_that_is_served(model_folders):
    folders = {task: str(folder) for task, folder in model_folders.items()}
    with pytest.raises(ModelError, match="no model 'x' is served; expected one of tiny-tagging"):
        find_served([folders["tagging"]], {"x": folders["classification"]})
    with pytest.raises(ModelError, match="is served itself"):
        find_served([folders["tagging"]], {"tiny-tagging": folders["tagging"]})
    with pytest.raises(ModelError, match="two of the models have this name"):
        find_served([folders["tagging"]] * 2, {})
    shadow = {"tiny-tagging": folders["classification"]}
    served = ServedModels(find_served([folders["tagging"]], shadow), ServeOptions(shadow=shadow))
    message = "the shadow of 'tiny-tagging' is a model for classification; expected one for tagging"
    with pytest.raises(ConfigError, match=message):
        served.load()
