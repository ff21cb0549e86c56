"""What is done of an embedding outlives a full disk, and a person is told whether it does."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from embeddings.errors import OutputError
from embeddings.source import find_source
from embeddings.stores import open_vectors
from pipeline.embed import EmbeddingJob, described_job, embed_stage
from pipeline.sentence_stream import Sentences
from pipeline.shards import name_of_shard
from pipeline.unfinished import Unfinished
from pipeline.unfinished_shards import UnfinishedShards
from pipeline.work_folder import manifest_of, part_of, read_manifest

JOB = {"some": "job"}
SENTENCES = 40
EMBEDDER = SimpleNamespace(bilm=SimpleNamespace(options=SimpleNamespace(projection=2)), learn=lambda *_: None)
FORMS = {"npy": "v", "hdf5": "v.hdf5", "parquet": "v.parquet"}
FULL = [("sentence 0", 5, False), ("sentence 15", 15, True), ("publish", 20, True)]
# The files of `npy` are there before the last step.
FULL = [(form, *case) for case in FULL for form in FORMS if (form, case[0]) != ("npy", "publish")]
"""In which form and from which step on no file becomes longer than so many kilobytes, and whether work is left."""
NEWS = SimpleNamespace(first=1, words=[], vectors=np.empty((0, 2), np.float32), state=None)


def work(output, form, every=10, before=lambda step: None, manifest=None):
    """Write sentences of a kilobyte each, and say before each step what comes."""
    with Unfinished(output, JOB) as unfinished:
        if not unfinished.complete:
            unfinished.teach(EMBEDDER)
            for number in range(unfinished.progress.get("next", 0), SENTENCES):
                before(f"sentence {number}")
                unfinished.add(np.full((1, 1, 256), number, np.float32), ["word"])
                if number % every == every - 1:
                    unfinished.commit(NEWS, {"next": number + 1})
            unfinished.finish({"names": ["vectors"]})
        before("publish")
        unfinished.publish(form, manifest or {})


def limited(folder):
    """Do the work once for each of `FULL`, and print what is said."""
    import resource

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number, (form, step, kilobytes, _) in enumerate(FULL):

        def before(reached, step=step, kilobytes=kilobytes):
            if reached == step:
                resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, unlimited[1]))

        (folder / str(number)).mkdir()
        said = ""
        try:
            work(folder / str(number) / FORMS[form], form, before=before)
        except OutputError as error:
            said = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        print(said)


@pytest.fixture(scope="module")
def full(house, tmp_path_factory):
    """A folder with what a full disk has left of each case, and what was said; by a process of its own, since the limit
    is one of the process."""
    pytest.importorskip("resource")
    folder = tmp_path_factory.mktemp("full")
    script = (
        "import sys, pathlib; from tests.pipeline import test_unfinished as t; t.limited(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, cwd=house, check=True)
    assert not done.stderr
    return folder, done.stdout.splitlines()


@pytest.mark.parametrize(("form", "step", "kilobytes", "done"), FULL)
def test_a_full_disk_ends_in_one_line_that_tells_what_is_left(full, form, step, kilobytes, done):
    number = FULL.index((form, step, kilobytes, done))
    folder, said = full[0] / str(number), full[1][number]
    output = folder / FORMS[form]
    part = folder / f"{output.name}.part"
    kept = f"; {part} keeps what is done, and the same command goes on with it"
    assert "cannot be written (" in said and said.endswith("File too large)" + kept * done)
    assert part.exists() == done and not output.exists()
    assert [path.name for path in folder.iterdir()] == [part.name] * done
    # What is done is not done again.
    steps = []
    work(output, form, before=steps.append)
    assert steps[0] == {"sentence 0": "sentence 0", "sentence 15": "sentence 10", "publish": "publish"}[step]
    found = open_vectors(output)
    assert [found[k][0, 0, 0] for k in range(len(found))] == list(range(SENTENCES))


class Killed(BaseException):
    """In place of a signal."""


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_a_manifest_never_stands_beside_another_store(tmp_path, monkeypatch, form):
    output = tmp_path / FORMS[form]
    work(output, form, manifest={"of": "the first"})
    assert read_manifest(output)["of"] == "the first"

    def killed(self, manifest):
        raise Killed

    with monkeypatch.context() as soon:
        soon.setattr(Unfinished, "_write_manifest", killed)
        with pytest.raises(Killed):
            work(output, form, manifest={"of": "the second"})
    assert len(open_vectors(output)) == SENTENCES and not read_manifest(output)
    steps = []
    work(output, form, before=steps.append, manifest={"of": "the second"})
    assert steps == ["publish"] and read_manifest(output)["of"] == "the second"


def test_a_file_that_another_program_wrote_in_its_place_has_no_manifest(tmp_path):
    output = tmp_path / "v.parquet"
    work(output, "parquet")
    assert read_manifest(output) == {"bytes": output.stat().st_size}
    output.write_bytes(b"PAR1 years of work PAR1")
    assert manifest_of(output).exists() and not read_manifest(output)


def test_work_of_one_engine_is_nothing_to_another(tmp_path, tiny_bilm_folder):
    (tmp_path / "a.txt").write_text("One two\n")
    asked = EmbeddingJob(str(tiny_bilm_folder), Sentences(names=(str(tmp_path / "a.txt"),)))
    checksum = find_source(asked.source).checksum()
    output = tmp_path / "v.parquet"
    with UnfinishedShards(output, described_job(asked, checksum, "ray") | {"form": "parquet"}) as shards:
        (shards.shards / name_of_shard(0)).write_bytes(b"an hour of work")
    with pytest.raises(OutputError, match=r'v\.parquet\.part: was begun with engine "ray", now it is "local"'):
        embed_stage(asked, output)
    with pytest.raises(OutputError, match='was begun with form "parquet", now it is null'):
        UnfinishedShards(output, described_job(asked, checksum, "ray"))
    assert (shards.shards / name_of_shard(0)).exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells which files are open")
@pytest.mark.parametrize("form", ["npy", "hdf5", "parquet"])
def test_no_file_of_the_work_is_open_when_its_folder_goes(tmp_path, monkeypatch, form):
    """On NFS the folder would stay."""
    output, removed = tmp_path / FORMS[form], []

    def rmdir(path, *arguments, rmdir=os.rmdir, **more):
        opened = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if exists(number)]
        assert not [name for name in opened if name.startswith(str(part_of(output)))]
        removed.append(os.fspath(path))
        rmdir(path, *arguments, **more)

    def exists(number):
        return os.path.lexists(f"/proc/self/fd/{number}")

    monkeypatch.setattr(os, "rmdir", rmdir)
    work(output, form)
    assert removed[-1] == str(part_of(output)) and not part_of(output).exists()


def test_shards_that_have_their_place_are_no_work_any_more(tmp_path):
    output = tmp_path / "v.parquet"
    with UnfinishedShards(output, JOB) as shards:
        shards.shards.rename(output)
    assert output.is_dir() and not part_of(output).exists()


def test_what_a_store_replaced_does_not_stay_for_ever(tmp_path, tiny_bilm_folder):
    (tmp_path / "a.txt").write_text("One two\n")
    asked = EmbeddingJob(str(tiny_bilm_folder), Sentences(names=(str(tmp_path / "a.txt"),)))
    embed_stage(asked, tmp_path / "v")
    (tmp_path / ".v.replaced").mkdir()
    assert embed_stage(asked, tmp_path / "v").done
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "v", "v.manifest.json"]
