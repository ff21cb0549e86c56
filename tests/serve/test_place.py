"""The versions of a place, with models that load at once."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from embeddings.errors import ModelError
from serve import place as places
from serve.answers import ServedInfo
from serve.metrics import Metrics
from serve.registry import FoundModel

INFO = ServedInfo("tagger", "1", "ready", "tagging", ["O"], {}, "An example.")


class Model:
    """Leaves when it is `idle`."""

    def __init__(self, version):
        self.name, self.version, self.state = "tagger", version, "ready"
        self.info = replace(INFO, version=version)
        self.idle = asyncio.Event()

    def join(self, batcher):
        pass

    async def drain(self, batcher):
        self.state = "draining"
        await self.idle.wait()

    def described(self):
        return replace(self.info, state=self.state)


@pytest.fixture
def moving(monkeypatch):
    """Runs a scenario with a place, a function that moves its alias, and one that gives what the metrics say of it."""
    stands_on = ["1"]

    def fetch(self, version):
        if version == "broken":
            raise ModelError("its weights cannot be read")
        return Model(version)

    monkeypatch.setattr(places, "version_of", lambda place: stands_on[-1])
    monkeypatch.setattr(places.Place, "_fetch", fetch)

    def run(scenario):
        async def begin():
            metrics = Metrics()
            place = places.Place("models:/tagger@champion", FoundModel("tagger", "1", Path()), None, metrics)
            place.current = Model("1")
            place.join()

            async def move(version):
                stands_on.append(version)
                await place.follow()
                await asyncio.sleep(0)

            def told():
                samples = [one for family in metrics.registry.collect() for one in family.samples]
                labels = [one.labels for one in samples if one.name == "telmo_model_info"]
                return {one["version"]: one["state"] for one in labels}

            await scenario(place, move, told)

        asyncio.run(begin())

    return run


def test_a_rollback_within_a_drain_is_told(moving):
    async def scenario(place, move, told):
        first = place.current
        await move("2")
        second = place.current
        assert told() == {"1": "draining", "2": "ready"}
        await move("1")
        assert told() == {"1": "ready", "2": "draining"}
        first.idle.set()
        await asyncio.sleep(0.01)
        assert told() == {"1": "ready", "2": "draining"}
        second.idle.set()
        await asyncio.sleep(0.01)
        assert told() == {"1": "ready"}

    moving(scenario)


def test_a_version_that_could_not_be_loaded_is_forgotten_when_the_alias_leaves_it(moving):
    async def scenario(place, move, told):
        await move("broken")
        assert told() == {"1": "ready", "broken": "failed"}
        await move("1")
        assert told() == {"1": "ready"}
        await move("broken")
        place.current.idle.set()
        await move("2")
        await asyncio.sleep(0.01)
        assert told() == {"2": "ready"}

    moving(scenario)
