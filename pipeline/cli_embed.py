"""`telmo embed`; nothing that computes is imported here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer

from embeddings.bundled import DEFAULT
from embeddings.tokenizer import TokenizerName
from pipeline.cli_options import INTERRUPTED, Encoding, NoTrack, Track, fail, load_keras, tracking


def embed(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help="Text, CSV, TSV, JSON lines, Parquet or CoNLL-U, compressed or not: files, folders, patterns, or - "
            "for standard input; and the store to write: .hdf5, .parquet, .zarr, or a folder in NumPy's form.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(help="The biLM: a name, a folder, an archive, a TF-Hub handle, OPTIONS,WEIGHTS, or in MLflow."),
    ] = DEFAULT,
    layers: Annotated[str, typer.Option(help="all, numbers such as 0,2, average, or mix:0.2,0.5,0.3.")] = "all",
    pool: Annotated[str, typer.Option(help="none for a vector a word; mean or max for one a sentence.")] = "none",
    dtype: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    format: Annotated[str | None, typer.Option(help="hdf5, parquet, zarr or npy, if the name does not tell.")] = None,
    column: Annotated[str, typer.Option(help="Of a table: the column of the texts.")] = "text",
    tokenizer: Annotated[
        str, typer.Option(help="spacy, whitespace for text that is tokenised already, or characters.")
    ] = "spacy",
    split_sentences: Annotated[
        bool, typer.Option("--split-sentences", help="A line is a text of several sentences, not one.")
    ] = False,
    cut: Annotated[
        int | None, typer.Option(help="End a sentence after so many words; by default none is cut.", min=1)
    ] = None,
    encoding: Encoding = "utf-8",
    unreadable: Annotated[
        str, typer.Option(help="stop at a line that cannot be read, or skip it as a sentence without words.")
    ] = "stop",
    stateful: Annotated[
        bool, typer.Option("--stateful", help="Carry the LSTM state on from sentence to sentence.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="Of the LSTM's weights: float32; bfloat16 or int8 save time where a sentence is alone.")
    ] = "float32",
    engine: Annotated[
        str, typer.Option(help="local; or ray for the workers of a cluster, which write a folder of Parquet files.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of the Ray cluster, from a machine of it: auto or HOST:6379; by default one is made of this machine.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on the cluster; by default as many as it has processors for.", min=1)
    ] = None,
    worker_cpus: Annotated[int | None, typer.Option(help="Processors of each; by default 1.", min=1)] = None,
    shard_words: Annotated[
        int | None, typer.Option(help="Words of each of the Parquet files, about; by default 100,000.", min=1)
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time went.")] = False,
    track: Track = None,
    no_track: NoTrack = False,
) -> None:
    """Write the vectors of a corpus to a store. A command that was interrupted goes on when it is given again."""
    from embeddings.options import Precision
    from embeddings.selection import Dtype, Pooling, Selection
    from embeddings.stores import StoreFormat, check_replaceable, store_format
    from pipeline.corpora import check_apart
    from pipeline.sentence_stream import Sentences
    from pipeline.sources import find_source
    from pipeline.work_folder import manifest_of

    *names, last = paths
    if not names:
        raise typer.BadParameter(f"found {last} alone; expected an output behind it", param_hint="INPUT... OUTPUT")
    for value, known, hint in (
        (tokenizer, get_args(TokenizerName), "--tokenizer"),
        (pool, get_args(Pooling), "--pool"),
        (dtype, get_args(Dtype), "--dtype"),
        (unreadable, ("stop", "skip"), "--unreadable"),
        (precision, get_args(Precision), "--precision"),
        (format, (None, *get_args(StoreFormat)), "--format"),
        (engine, ("local", "ray"), "--engine"),
    ):
        if value not in known:
            expected = ", ".join(filter(None, known))
            raise typer.BadParameter(f"'{value}'; expected one of {expected}", param_hint=hint)
    output, form = Path(last), format or store_format(Path(last))
    distributed = engine == "ray"
    for wrong, message, hint in (
        (distributed and stateful, "reads the corpus as one stream; expected --engine local", "--stateful"),
        (distributed and "-" in names, "standard input cannot be parted; expected files", "INPUT... OUTPUT"),
        (distributed and form != "parquet", f"--engine ray writes parquet, not {form}", "--format"),
        (not distributed and address, "needs --engine ray", "--address"),
        (not distributed and workers, "needs --engine ray", "--workers"),
        (not distributed and worker_cpus, "needs --engine ray", "--worker-cpus"),
        (not distributed and shard_words, "needs --engine ray", "--shard-words"),
    ):
        if wrong:
            raise typer.BadParameter(message, param_hint=hint)
    sentences = Sentences(
        names=tuple(names),
        column=column,
        tokenizer=tokenizer,  # type: ignore[arg-type]
        split=split_sentences,
        encoding=encoding,
        unreadable=unreadable,  # type: ignore[arg-type]
        cut=cut,
    )
    if distributed:
        from pipeline.ray_cluster import LOCAL, Cluster, ray
        from pipeline.shards import check_shards

        ray()
        check_shards(output)
    else:
        check_replaceable(output, form)  # type: ignore[arg-type]
    is_file = not distributed and form in ("hdf5", "parquet")
    check_apart(names, sentences.files or [], output, [manifest_of(output), *([output] if is_file else [])])
    found = find_source(source)
    selection = Selection(layers, pool, dtype)  # type: ignore[arg-type]
    selection.names(found.options.layers + 1)
    load_keras()
    from pipeline.embed import EmbeddingJob, embed_stage
    from pipeline.embed_report import lines_of
    from pipeline.progress import embedding_bar, print_notice

    job = EmbeddingJob(source, sentences, selection, stateful, precision)  # type: ignore[arg-type]
    kept = tracking(track, no_track)
    if distributed:
        from pipeline.embed_ray import SHARD_WORDS, embed_ray_stage
        from pipeline.progress import shards_bar

        cluster = Cluster(address or LOCAL, workers, worker_cpus or 1)
        with _telling_what_is_kept(output), shards_bar() as report:
            size = shard_words or SHARD_WORDS
            done = embed_ray_stage(job, output, cluster, size, report, print_notice, kept)
    else:
        with _telling_what_is_kept(output), embedding_bar(sentences) as report:
            done = embed_stage(job, output, form, report, print_notice, kept)  # type: ignore[arg-type]
    print("\n".join(lines_of(output, done, found.options if profile else None)))


@contextmanager
def _telling_what_is_kept(output: Path) -> Iterator[None]:
    from pipeline.work_folder import keeps, part_of

    try:
        yield
    except KeyboardInterrupt:
        part = part_of(output)
        fail(f"interrupted{keeps(part) if part.exists() else '; nothing was done yet'}", INTERRUPTED)
