"""The whole pipe on the embedded default, as a new user sees it."""

import json
import shlex
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from rich.table import Table

from embeddings.errors import OutputError
from models.baseline import tfidf_predictions
from models.metrics import main_metric, score
from pipeline.config import PretrainConfig, TrainConfig, read_config
from pipeline.docs_corpus import docs_corpus
from pipeline.embed import EmbeddingJob, embed_stage
from pipeline.pretrain import pretrain_stage
from pipeline.progress import console, counting_bar, embedding_bar, pretraining_bar
from pipeline.readers import data_file
from pipeline.sentence_stream import Sentences
from pipeline.train import Trained, read_split, train_stage

SEEDS = (1, 2, 3)
SENTENCES_TO_EMBED = 1_000
TEXTS = [
    "Returns a DataFrame with one row for each group.",
    "If axis is None, the input array is flattened before np.sum is called.",
]


def run_demo(output: Path, port: int) -> None:
    """Pretrain, embed, train, track, register, serve, and ask.

    Args:
        output: folder for everything that is made.
        port: of the server; 0 for a free one.

    Raises:
        OutputError: something cannot be written, or the server does not start.
    """
    began = time.perf_counter()

    def step(title: str) -> None:
        console.print(f"\n[bold]{title}[/bold]  [dim]{time.perf_counter() - began:.0f} s[/dim]")

    step("1. The docs corpus: what your installed libraries say about themselves")
    with counting_bar("reading docstrings") as report:
        corpus = docs_corpus(report)
    counts = json.loads((corpus / "corpus.json").read_text("utf-8"))["counts"]
    console.print(f"{counts['sentences']:,} sentences, {counts['words']:,} words, in {corpus}")

    step("2. Pretrain a biLM on it")
    config = read_config(PretrainConfig, _config("docs-bilm"), [f"output={output}/bilm"])
    with pretraining_bar() as report_batch:
        scores = pretrain_stage(config, report_batch)
    forward, backward = scores["forward_perplexity"], scores["backward_perplexity"]
    console.print(f"held-out perplexity {forward:.1f} forward, {backward:.1f} backward, in {config.output}")

    step(f"3. Embed {SENTENCES_TO_EMBED:,} sentences")
    text = output / "sentences.txt"
    with data_file("docs:text/test").open(encoding="utf-8") as lines:
        text.write_text("".join(islice(lines, SENTENCES_TO_EMBED)), "utf-8")
    sentences = Sentences(names=(str(text),), tokenizer="whitespace")
    with embedding_bar(sentences) as report_progress:
        job = EmbeddingJob(str(config.output), sentences)
        embedded = embed_stage(job, output / "vectors.hdf5", report=report_progress)
    console.print(f"{embedded.counts.words:,} words, three vectors each, in {output}/vectors.hdf5")

    step("4. Train a classifier and a tagger, and what they have to beat")
    rows = [_compare(name, output) for name in ("docs-library", "docs-code")]
    table = Table("task", "metric", "pretrained biLM", "random biLM", "TF-IDF + logistic regression")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(
        f"[dim]On held-out objects; mean ± standard deviation over the seeds {SEEDS}. `mlflow ui` shows the runs.[/dim]"
    )

    step("5. Serve both from the registry, and ask")
    with _server(["models:/docs-library@champion", "models:/docs-code@champion"], port) as address:
        for model in ("docs-library", "docs-code"):
            _ask(f"{address}/v1/models/{model}:predict", {"texts": TEXTS})
    step("Done")
    console.print(f"Serve them yourself: telmo serve {output}/models/library {output}/models/code")


def _config(name: str) -> Path:
    """An example config: a wheel carries them beside this file, a checkout keeps them in its root."""
    house = Path(__file__).parent
    packed = house / "configs"
    return (packed if packed.is_dir() else house.parent / "configs") / f"{name}.yaml"


def _compare(name: str, output: Path) -> tuple[str, ...]:
    """A row of the table: the head on pretrained and on random layers, and the baseline; the first of the pretrained
    is registered."""
    trained: dict[str, list[Trained]] = {"pretrained": [], "random": []}
    base = read_config(TrainConfig, _config(name), _places(output))
    labels = read_split(base, "train").label_set()
    metric = main_metric(base.task, labels)
    with counting_bar(f"training {name}") as report:
        for weights, results in trained.items():
            for seed in SEEDS:
                kept = weights == "pretrained" and seed == SEEDS[0]
                folder = f"{output}/models/{name.removeprefix('docs-')}" if kept else f"{output}/comparison/{name}"
                changes = [
                    f"embedding.weights={weights}",
                    f"seed={seed}",
                    f"output={folder}",
                    f"tracking.register_model={kept}",
                    # A demo that is run again serves what it has just trained.
                    "tracking.alias=champion",
                ]
                results.append(train_stage(read_config(TrainConfig, _config(name), _places(output) + changes)))
                report(sum(map(len, trained.values())), 2 * len(SEEDS))
    shutil.rmtree(output / "comparison")
    train, test = read_split(base, "train"), read_split(base, "test")
    baseline = score(base.task, test.targets, tfidf_predictions(base.task, train, test), labels)[metric]
    columns = [_mean_and_spread([result.scores[metric] for result in results]) for results in trained.values()]
    return name, metric, *columns, f"{baseline:.3f}"


def _places(output: Path) -> list[str]:
    return [f"embedding.source={output}/bilm", f"embedding.store={output}/layers"]


def _mean_and_spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


@contextmanager
def _server(models: list[str], port: int) -> Iterator[str]:
    """A `telmo serve` in a process of its own; gives its address when it is ready.

    Raises:
        OutputError: it ends before it is ready.
    """
    command = [sys.executable, "-m", "pipeline.cli", "serve", *models, "--port", str(port), "--log-level", "warning"]
    console.print(f"$ telmo serve {' '.join(models)}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        ready = process.stdout.readline()
        if "http://" not in ready:
            raise OutputError("the server did not start; its message stands above")
        console.print(ready.strip())
        yield "http://" + ready.split("http://")[1].split()[0]
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _ask(url: str, body: dict) -> None:
    """Send a request with curl, as a person would, and show the answer."""
    command = ["curl", "-sS", url, "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    console.print(f"$ {shlex.join(command)}", soft_wrap=True, markup=False)
    if shutil.which("curl"):
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        console.print("[dim](curl is not installed; asked by Python)[/dim]")
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            answer = response.read().decode()
    for prediction in json.loads(answer)["predictions"]:
        console.print(_short(prediction), markup=False, soft_wrap=True)


def _short(prediction: dict) -> str:
    """The parts of an answer that fit on a line."""
    if "label" in prediction:
        likely = list(prediction["probabilities"].items())[:3]
        return json.dumps({"label": prediction["label"], "probabilities": {k: round(p, 3) for k, p in likely}})
    return json.dumps({"spans": prediction["spans"]})
