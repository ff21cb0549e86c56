"""The stage `diagnose`: how an error fades or grows in a biLM on its way back through a text."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic import atomic_file
from embeddings.errors import InputError
from embeddings.gradient_flow import Flow, Measure, flows_of_bilm, flows_of_cells, token_vectors
from embeddings.source import find_source, load_bilm
from embeddings.tokenizer import TokenizerName, tokenizer_of
from pipeline.plots import gradient_flow
from pipeline.readers import data_file, read_sentences

GAINS = (0.5, 1.0, 3.0)
"""What the recurrent weights of the fresh cells are multiplied by: too small, as they are drawn, too large."""


def diagnose_stage(
    source: str,
    text: str,
    plot: Path,
    measure: Measure,
    tokenizer: TokenizerName | None = None,
    encoding: str = "utf-8",
) -> dict[str, Any]:
    """Measure the gradient flow of a biLM and of fresh cells of its width on a text, and draw both.

    Args:
        source: a biLM.
        text: a text file, one sentence a line, or CoNLL-U.
        plot: PNG file for the picture.
        measure: what is measured.
        tokenizer: how a line becomes words; by default as the biLM's vocabulary tells.
        encoding: of the text.

    Returns:
        `layers`: for each direction, layer and part of the state the norms by distance; `cells`: likewise for each
        fresh cell and each of `GAINS`. Nothing but what JSON can hold.

    Raises:
        InputError: the text cannot be read, or is not longer than the distances.
        SourceError: the source cannot be read.
    """
    path = data_file(text)
    tokenizer = tokenizer or tokenizer_of(find_source(source).vocabulary)
    # More than enough, since each has at least a word.
    sentences = list(islice(filter(None, read_sentences(path, tokenizer, encoding)), measure.words))
    bilm = load_bilm(source)
    try:
        layers = flows_of_bilm(bilm, sentences, measure)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    vectors = token_vectors(bilm, sentences, measure)
    cells = {gain: flows_of_cells(bilm.options, vectors, measure, gain) for gain in GAINS}
    with atomic_file(plot) as temporary:
        gradient_flow(layers, cells).savefig(temporary, format="png", dpi=150)
    return {
        "text": str(path),
        "layers": [{"direction": flow.direction, "layer": flow.layer, **_figures(flow)} for flow in layers],
        "cells": [
            {"cell": cell, "gain": gain, **_figures(flow)}
            for gain, found in cells.items()
            for cell, flows in found.items()
            for flow in flows
        ],
    }


def lines_of(found: dict[str, Any]) -> list[str]:
    """What `diagnose_stage` found, as two tables for a person."""
    tables = (
        ("the biLM", [(f"{row['direction']} layer {row['layer']}", row) for row in found["layers"]]),
        ("fresh cells", [(f"{row['cell']}, weights x {row['gain']:g}", row) for row in found["cells"]]),
    )
    lags = len(found["layers"][0]["median"]) - 1
    shown = sorted({1, lags // 10, lags // 4, lags // 2, lags} - {0})
    width = max(len(name) for _, rows in tables for name, _ in rows)
    lines = ["norm of the derivative of a state by the same state so many words earlier; 1 is constant error"]
    lines.append(f"(later: its course from {lags // 2} words on)")
    for title, rows in tables:
        lines.append(f"{title:{width}}  part    {''.join(f'{lag:>10}' for lag in shown)}  later")
        for name, row in rows:
            norms = "".join(f"{row['median'][lag]:10.2g}" for lag in shown)
            lines.append(f"{name:{width}}  {row['part']:6}  {norms}  {_course(row['factor'])}")
    return lines


def _course(factor: float) -> str:
    """What becomes of the norm over the longer half of the distances."""
    if not 0 < factor < np.inf:
        return "vanishes at once" if factor == 0 else "explodes at once"
    if abs(np.log(factor)) < np.log(2) / 1000:
        return "stays"
    words = np.log(2) / abs(np.log(factor))
    return f"{'halves' if factor < 1 else 'doubles'} in {words:,.{0 if words >= 10 else 1}f} words"


def _figures(flow: Flow) -> dict[str, Any]:
    low, median, high = np.quantile(flow.norms, [0.25, 0.5, 0.75], axis=0).tolist()
    return {
        "part": flow.part,
        "exact": flow.exact,
        "factor": flow.factor,
        "median": median,
        "lower_quartile": low,
        "upper_quartile": high,
    }
