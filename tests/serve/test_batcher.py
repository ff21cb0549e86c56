import asyncio
import threading

import pytest

from embeddings.errors import InputError
from serve.batcher import Batcher, Lane
from serve.errors import Failed, NotReady, TooLate, TooMany
from serve.observer import Observer

SOON = 5


class Model:
    """Answers each text in capitals; held up while `gate` is closed; keeps the batches that it computed."""

    def __init__(self):
        self.batches, self.gate, self.began = [], threading.Event(), threading.Semaphore(0)
        self.gate.set()

    def __call__(self, texts, wanted):
        self.batches.append(texts)
        self.began.release()
        assert self.gate.wait(SOON)
        for k, text in enumerate(texts):
            if text == "poison":
                raise InputError(f"texts[{k}] is poison")
            if text == "bug":
                raise RuntimeError("a secret path")
            if text == "exit":
                raise SystemExit(1)
        return [(text.upper(), want) for text, want in zip(texts, wanted, strict=True)]

    async def busy(self):
        """Wait until it computes."""
        assert await asyncio.to_thread(self.began.acquire, timeout=SOON)


class Notes(Observer):
    """What an observer was told."""

    def __init__(self):
        self.waiting, self.requests, self.refusals, self.batches = 0, 0, [], []

    def queued(self, model, words):
        self.waiting += words
        self.requests += 1

    def left(self, model, words, requests):
        self.waiting -= words
        self.requests -= requests

    def refused(self, model, reason):
        self.refusals.append(reason)

    def batch(self, model, version, requests, texts, words, seconds, waited):
        self.batches.append((model, requests, texts, words, len(waited)))


class Bench:
    """A batcher with one model, and what is needed to ask it."""

    def __init__(self, **options):
        self.notes, self.model = Notes(), Model()
        self.batcher = Batcher(**{"batch_words": 100, "queue_words": 1000} | options, observer=self.notes)
        self.lane = Lane("model", "1", self.model)

    async def __aenter__(self):
        self.batcher.start()
        self.batcher.add(self.lane)
        return self

    async def __aexit__(self, *_):
        self.model.gate.set()
        self.batcher.close()

    def ask(self, *texts, words=10, lane=None, **more):
        """A task that waits for the answers."""
        return asyncio.create_task(self.batcher.answer(lane or self.lane, texts, [words] * len(texts), **more))

    async def hold(self, *texts):
        """Let the model be busy with texts until the gate opens."""
        self.model.gate.clear()
        self.model.began = threading.Semaphore(0)
        task = self.ask(*(texts or ["first"]))
        await self.model.busy()
        return task


def run(scenario, **options):
    async def within():
        async with Bench(**options) as bench:
            await asyncio.wait_for(scenario(bench), SOON)

    asyncio.run(within())


def test_texts_are_answered_in_order_with_what_was_wanted():
    async def scenario(bench):
        assert await bench.ask("a", "b", wanted=True) == [("A", True), ("B", True)]

    run(scenario)


def test_what_queues_while_a_batch_is_computed_is_the_next_batch():
    async def scenario(bench):
        tasks = [await bench.hold()] + [bench.ask(text) for text in "abc"]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(*tasks)
        assert bench.model.batches == [["first"], ["a", "b", "c"]]
        await asyncio.sleep(0.01)
        assert bench.notes.batches == [("model", 1, 1, 10, 1), ("model", 3, 3, 30, 3)]

    run(scenario)


def test_a_batch_holds_so_many_words_at_most():
    async def scenario(bench):
        tasks = [await bench.hold()] + [bench.ask(str(k), words=40) for k in range(5)]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(*tasks)
        assert [len(batch) for batch in bench.model.batches] == [1, 2, 2, 1]

    run(scenario)


def test_a_sentence_overtakes_a_request_of_many_texts():
    async def scenario(bench):
        held = await bench.hold()
        many = bench.ask(*map(str, range(1000)))
        await asyncio.sleep(0)
        one = bench.ask("one")
        await asyncio.sleep(0)
        bench.model.gate.set()
        assert await one == [("ONE", None)]
        assert any("one" in batch for batch in bench.model.batches[1:3])
        assert [text for text, _ in await many] == list(map(str, range(1000)))
        await held

    run(scenario)


def test_too_much_is_refused_with_a_time_to_come_back():
    async def scenario(bench):
        await bench.ask("so that the pace is known")
        tasks = [await bench.hold()] + [bench.ask(str(k), words=50) for k in range(20)]
        with pytest.raises(TooMany, match="1000 words wait for the model 'model'") as refused:
            await bench.ask("one more")
        assert refused.value.retry_after >= 1
        assert bench.notes.refusals == ["full"]
        bench.model.gate.set()
        await asyncio.gather(*tasks)
        assert await bench.ask("again")

    run(scenario)


def test_one_request_of_any_size_is_accepted_and_leaves_room_for_small_ones():
    async def scenario(bench):
        tasks = [await bench.hold(), bench.ask(*map(str, range(5000))), bench.ask("small")]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(*tasks)

    run(scenario)


def test_a_late_request_leaves_the_queue():
    async def scenario(bench):
        held = await bench.hold()
        with pytest.raises(TooLate, match="no answer within 1 ms"):
            await bench.ask("late", timeout=0.001)
        bench.model.gate.set()
        await held
        assert bench.model.batches == [["first"]]
        assert bench.notes.refusals == ["late"] and bench.notes.waiting == bench.notes.requests == 0

    run(scenario)


def test_a_request_that_is_computed_when_its_time_is_over_is_late_at_once():
    async def scenario(bench):
        bench.model.gate.clear()
        with pytest.raises(TooLate):
            await bench.ask("slow", timeout=0.01)
        assert not bench.model.gate.is_set()

    run(scenario)


def test_a_cancelled_request_leaves_the_queue():
    async def scenario(bench):
        held = await bench.hold()
        gone = bench.ask("gone")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(bench.lane.queue) == 0 and bench.lane.ahead == 0
        bench.model.gate.set()
        await held
        await bench.ask("next")
        assert bench.model.batches == [["first"], ["next"]]
        assert bench.notes.refusals == ["cancelled"] and bench.notes.waiting == bench.notes.requests == 0

    run(scenario)


def test_what_remains_of_a_request_leaves_the_queue_when_it_is_cancelled():
    async def scenario(bench):
        bench.model.gate.clear()
        many = bench.ask(*map(str, range(1000)))
        await bench.model.busy()
        many.cancel()
        await asyncio.sleep(0)
        assert len(bench.lane.queue) == 0 and bench.notes.waiting <= 100
        bench.model.gate.set()
        await bench.ask("next")
        assert [len(batch) for batch in bench.model.batches] == [10, 1]
        assert bench.notes.waiting == bench.notes.requests == 0

    run(scenario)


def test_only_the_request_that_makes_a_batch_fail_fails():
    async def scenario(bench):
        held = await bench.hold()
        tasks = [bench.ask("a"), bench.ask("b", "c", "poison"), bench.ask("bug"), bench.ask("exit"), bench.ask("z")]
        await asyncio.sleep(0)
        bench.model.gate.set()
        good, poisoned, broken, left, last = await asyncio.gather(*tasks, return_exceptions=True)
        assert (good, last) == ([("A", None)], [("Z", None)])
        assert isinstance(poisoned, InputError) and str(poisoned) == "texts[2] is poison"
        assert isinstance(broken, Failed) and isinstance(left, Failed)
        assert "secret" not in str(broken)
        assert sorted(bench.notes.refusals) == ["failed", "failed", "unusable"]
        await held

    run(scenario)


def test_an_error_in_a_later_piece_names_the_place_in_the_request():
    async def scenario(bench):
        texts = list(map(str, range(500)))
        texts[42] = "poison"
        with pytest.raises(InputError, match=r"texts\[42\] is poison"):
            await bench.ask(*texts)
        await bench.ask("next")
        assert sum(len(batch) for batch in bench.model.batches) < len(texts)
        assert bench.notes.waiting == bench.notes.requests == 0

    run(scenario)


def test_several_models_have_turns():
    async def scenario(bench):
        other = Lane("other", None, bench.model)
        bench.batcher.add(other)
        held = await bench.hold()
        many = bench.ask(*map(str, range(100)))
        await asyncio.sleep(0)
        one = bench.ask("one", lane=other)
        await asyncio.sleep(0)
        bench.model.gate.set()
        await one
        assert ["one"] in bench.model.batches[1:3]
        await asyncio.gather(held, many)

    run(scenario)


def test_the_background_has_the_processor_when_nobody_else_wants_it():
    async def scenario(bench):
        shadow = Lane("shadow", None, bench.model, background=True)
        bench.batcher.add(shadow)
        held = await bench.hold()
        behind = bench.ask("x", "y", lane=shadow)
        tasks = [bench.ask(str(k), words=100) for k in range(4)]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(held, *tasks, behind)
        assert bench.model.batches[-2:] == [["x"], ["y"]]

    run(scenario)


def test_clients_that_were_answered_together_are_awaited_for_a_moment():
    async def scenario(bench):
        held = await bench.hold()
        together = [bench.ask("a"), bench.ask("b")]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(held, *together)
        # As if their batch had taken long, so that the moment is.
        bench.lane.seconds = 60.0
        first = bench.ask("c")
        await asyncio.sleep(0.05)
        assert bench.model.batches == [["first"], ["a", "b"]]
        await asyncio.gather(first, bench.ask("d"))
        assert bench.model.batches == [["first"], ["a", "b"], ["c", "d"]]

    run(scenario, max_wait=60.0)


def test_nobody_is_awaited_longer_than_the_moment():
    async def scenario(bench):
        held = await bench.hold()
        together = [bench.ask("a"), bench.ask("b")]
        await asyncio.sleep(0)
        bench.model.gate.set()
        await asyncio.gather(held, *together)
        bench.lane.seconds = 60.0
        await bench.ask("c")
        assert bench.model.batches[-1] == ["c"]

    run(scenario, max_wait=0.01)


def test_a_client_alone_never_waits():
    async def scenario(bench):
        for k in range(3):
            await bench.ask(str(k))
            assert await bench.ask(*map(str, range(57)))
            bench.lane.seconds = 60.0

    run(scenario, max_wait=60.0)


def test_a_lane_that_is_removed_answers_what_it_has_and_takes_no_more():
    async def scenario(bench):
        held = await bench.hold()
        waiting = bench.ask("waits")
        await asyncio.sleep(0)
        removal = asyncio.create_task(bench.batcher.remove(bench.lane))
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await bench.ask("more")
        bench.model.gate.set()
        await asyncio.gather(held, waiting, removal)

    run(scenario)


def test_an_answer_is_right_whatever_the_others_do():
    async def scenario(bench):
        async def client(k):
            for turn in range(20):
                texts = [f"{k}-{turn}-{j}" for j in range((k + turn) % 4 + 1)]
                asked = bench.ask(*texts, words=1 + 13 * k % 40)
                if (k + turn) % 7 == 0:
                    await asyncio.sleep(0)
                    asked.cancel()
                    continue
                assert [text for text, _ in await asked] == [text.upper() for text in texts]

        await asyncio.gather(*map(client, range(20)))
        assert bench.notes.waiting == bench.notes.requests == 0

    run(scenario, queue_words=10**6)
