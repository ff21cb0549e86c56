"""Workers of a Ray cluster write what one process does, whoever of them is killed."""

import gzip
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from pyarrow import dataset

from embeddings.errors import ConfigError, InputError, OutputError
from embeddings.selection import Selection
from embeddings.stores import open_vectors
from pipeline import embed_ray
from pipeline.cli import main
from pipeline.embed import EmbeddingJob, embed_stage
from pipeline.embed_ray import embed_ray_stage
from pipeline.ray_cluster import Cluster, connected, ray
from pipeline.sentence_stream import Sentences

TEXTS = [" ".join(f"w{(k * k + j) % 37}" for j in range(k % 9)) for k in range(120)]


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine, for all tests here."""
    pytest.importorskip("ray")
    made = Cluster(workers=2)
    with connected(made):
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_bilm_folder):
    """The texts in files of several formats, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n".join(TEXTS) + "\n")
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"One . Two !\nThree\n"))
    pandas.DataFrame({"text": [*TEXTS[:40], "of two\nlines"]}).to_csv(folder / "c.csv", index=False)
    pandas.DataFrame({"text": TEXTS}).to_parquet(folder / "d.parquet", row_group_size=50)
    (folder / "e.jsonl").write_text("".join(json.dumps({"text": text.split()}) + "\n" for text in TEXTS[1:9]))
    (folder / "f.conllu").write_text("1\tIt\t_\n2\trained\t_\n\n1\tTwo\t_\n")
    embed_stage(job_in(folder, tiny_bilm_folder), folder / "local.parquet")
    return folder


def job_in(folder, source, selection=None, **how):
    names = tuple(str(folder / name) for name in ("a.txt", "b.txt.gz", "c.csv", "d.parquet", "e.jsonl", "f.conllu"))
    sentences = Sentences(**{"names": names, "tokenizer": "whitespace"} | how)
    return EmbeddingJob(str(source), sentences, selection or Selection())


@pytest.fixture(scope="module")
def whole(folder, cluster, tiny_bilm_folder):
    """What workers make of them that nobody disturbs."""
    embed_ray_stage(job_in(folder, tiny_bilm_folder), folder / "whole.parquet", cluster, shard_words=100)
    return folder / "whole.parquet"


def files_of(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def same_rows(found, expected):
    assert len(found) == len(expected)
    for k in range(len(expected)):
        assert found.words(k) == expected.words(k)
        np.testing.assert_allclose(found[k], expected[k], atol=1e-5)


def workers():
    """The processes of Ray's workers below this one, as the benchmark that kills them finds them."""
    path = Path(__file__).parents[2] / "benchmarks" / "interruptions.py"
    return runpy.run_path(str(path))["workers_of"](os.getpid())


def test_rows_are_those_of_the_local_engine(folder, whole):
    same_rows(open_vectors(whole), open_vectors(folder / "local.parquet"))
    rows = dataset.dataset(whole).to_table().to_pandas()
    assert len(list(whole.iterdir())) > 10
    assert list(rows["sentence"]) == list(range(len(rows)))
    local = pandas.read_parquet(folder / "local.parquet")
    assert list(rows.columns) == list(local.columns) and list(map(list, rows["words"])) == list(
        map(list, local["words"])
    )
    manifest = json.loads((folder / "whole.parquet.manifest.json").read_text())
    expected = json.loads((folder / "local.parquet.manifest.json").read_text())
    shards = manifest.pop("shards")
    assert manifest.pop("shard_words") == 100
    assert (manifest.pop("engine"), expected.pop("engine")) == ("ray", "local")
    assert expected.pop("bytes") == (folder / "local.parquet").stat().st_size and manifest == expected
    assert [shard["file"] for shard in shards] == sorted(file.name for file in whole.iterdir())
    assert sum(shard["words"] for shard in shards) == manifest["counts"]["words"]
    assert not (folder / "whole.parquet.part").exists()


def test_a_complete_store_is_not_computed_again(folder, whole, cluster, tiny_bilm_folder, monkeypatch):
    monkeypatch.setattr(embed_ray, "connected", None)
    done = embed_ray_stage(job_in(folder, tiny_bilm_folder), whole, cluster, shard_words=100)
    assert done.done and done.counts.sentences == len(open_vectors(whole))


def test_workers_and_the_command_are_killed_and_the_bytes_are_the_same(
    folder, whole, cluster, tiny_bilm_folder, tmp_path
):
    asked, output = job_in(folder, tiny_bilm_folder), tmp_path / "v.parquet"
    killed = set()

    class Killed(BaseException):
        """In place of a signal."""

    def kill(progress):
        done = progress.shards[0]
        if done in (2, 4) and done not in killed and (found := workers()):
            os.kill(found[0], signal.SIGKILL)
            killed.add(done)
        if done == 6:
            raise Killed

    with pytest.raises(Killed):
        embed_ray_stage(asked, output, cluster, 100, kill)
    assert killed == {2, 4}
    parts = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "v.parquet.part/shards").glob("part-*")}
    assert len(parts) >= 6
    with pytest.raises(OutputError, match=r"v\.parquet\.part: was begun with shard_words 100, now it is 50"):
        embed_ray_stage(asked, output, cluster, 50)
    seen = []
    done = embed_ray_stage(asked, output, Cluster(workers=1), 100, lambda now: seen.append(now.shards[0]))
    assert seen[0] >= 6 and done.work.words < done.counts.words
    assert {name: (output / name).stat().st_mtime_ns for name in parts} == parts
    assert files_of(output) == files_of(whole)
    same = [(path.parent / f"{path.name}.manifest.json").read_bytes() for path in (output, whole)]
    assert same[0] == same[1]


def test_texts_of_several_sentences_are_numbered_and_all_options_hold(
    folder, cluster, tiny_bilm_folder, tmp_path, monkeypatch
):
    (tmp_path / "bad.txt").write_bytes(b"It rained . Did it ?\nno \xff\n\nThree words here . One .\n")
    names = (str(folder / "c.csv"), "bad.txt", str(folder / "b.txt.gz"))
    selection = Selection("average", "mean", "float16")
    asked = job_in(
        folder, tiny_bilm_folder, selection, names=names, tokenizer="spacy", split=True, cut=3, unreadable="skip"
    )
    # Workers find what is named from here.
    monkeypatch.chdir(tmp_path)
    told = []
    done = embed_ray_stage(asked, Path("v.parquet"), cluster, 5, tell=told.append)
    expected = embed_stage(asked, Path("w.parquet"))
    assert done.counts == expected.counts and done.counts.cut and len(told) == 1 and "bad.txt line 2" in told[0]
    rows = [pandas.read_parquet(tmp_path / name) for name in ("v.parquet", "w.parquet")]
    assert list(rows[0]["sentence"]) == list(rows[1]["sentence"]) == list(range(done.counts.sentences))
    assert list(map(list, rows[0]["words"])) == list(map(list, rows[1]["words"]))
    vectors = [np.stack(found["vectors"].tolist()) for found in rows]
    assert vectors[0].dtype == np.float16
    np.testing.assert_allclose(*vectors, atol=1e-3)


def test_a_mistake_is_told_in_one_line_and_what_is_done_stays(cluster, tiny_bilm_folder, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one two\n" * 4 + b"no \xff\n")
    asked = job_in(tmp_path, tiny_bilm_folder, names=(str(tmp_path / "a.txt"),))
    with pytest.raises(InputError, match=r"^[^\n]*a\.txt line 5: byte 0xff[^\n]*$"):
        embed_ray_stage(asked, tmp_path / "v.parquet", Cluster(workers=1), 2)
    assert len(list((tmp_path / "v.parquet.part/shards").iterdir())) == 2
    assert not (tmp_path / "v.parquet").exists()


def test_a_cluster_that_is_too_small_is_told(cluster, tiny_bilm_folder, tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    asked = job_in(tmp_path, tiny_bilm_folder, names=(str(tmp_path / "a.txt"),))
    for wanted, message in ((Cluster(workers=900), "900 workers of 1"), (Cluster(worker_cpus=900), "1 workers of 900")):
        with pytest.raises(ConfigError, match=f"the Ray cluster has .* processors; expected enough for {message}"):
            embed_ray_stage(asked, tmp_path / "v.parquet", wanted)
    assert not (tmp_path / "v.parquet.part").exists()


@pytest.fixture
def refused(tmp_path, tiny_bilm_folder, monkeypatch, capsys):
    """Gives a command's exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("one\n")

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["embed", *arguments, "--source", str(tiny_bilm_folder)])
        return end.value.code, " ".join(capsys.readouterr().err.replace("│", " ").split())

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.txt", "v.parquet", "--engine", "spark"], "'spark'; expected one of local, ray"),
        (["a.txt", "v.hdf5", "--engine", "ray"], "--engine ray writes parquet, not hdf5"),
        (["-", "v.parquet", "--engine", "ray"], "standard input cannot be parted; expected files"),
        (["a.txt", "v.parquet", "--engine", "ray", "--stateful"], "as one stream; expected --engine local"),
        (["a.txt", "v.parquet", "--workers", "2"], "needs --engine ray"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(refused, arguments, message):
    code, said = refused(*arguments)
    assert code == 2 and message in said


def test_where_ray_is_missing_the_command_says_what_to_install(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, said = refused("a.txt", "v.parquet", "--engine", "ray")
    assert code == 2
    assert said == "telmo: Ray is not installed; expected it for this engine: pip install 'telmo[ray]'"
    with pytest.raises(ConfigError):
        ray()


def test_an_address_at_which_nobody_answers_is_told_at_once(monkeypatch):
    pytest.importorskip("ray")
    with socket.socket() as taken:
        # Bound, and not listened on.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("ray.is_initialized", lambda: False)
        for asked, message in (
            (address, "no Ray cluster answers there"),
            (f"ray://{address}", "Ray Data cannot be used through Ray Client; expected auto"),
        ):
            with pytest.raises(ConfigError, match=f"^{asked}: {message}"), connected(Cluster(asked)):
                pass


def test_what_is_not_a_store_in_shards_is_not_replaced(refused, tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "v.parquet").mkdir()
    (tmp_path / "v.parquet/thesis.txt").write_text("years of work")
    code, said = refused("a.txt", "v.parquet", "--engine", "ray")
    assert code == 1 and "v.parquet: holds something else" in said
    (tmp_path / "w.parquet").write_bytes(b"PAR1")
    code, said = refused("a.txt", "w.parquet", "--engine", "ray")
    assert code == 1 and "w.parquet: is a file; expected a new or an empty folder" in said
