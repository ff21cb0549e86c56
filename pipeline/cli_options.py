"""What several commands of `telmo` share."""

import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn, get_args

import typer

from embeddings.tokenizer import TokenizerName

if TYPE_CHECKING:
    from pipeline.config import Tracking

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""

Track = Annotated[
    str | None,
    typer.Option(
        metavar="EXPERIMENT",
        help="Keep it as a run of this experiment of MLflow; where MLFLOW_TRACKING_URI is set by default of telmo.",
    ),
]
NoTrack = Annotated[bool, typer.Option("--no-track", help="Keep no run of it.")]
Encoding = Annotated[str, typer.Option(help="Encoding of the input.")]


def tracking(experiment: str | None, off: bool) -> "Tracking | None":
    """Where a run is kept of a stage that makes none unless it is asked to: to load MLflow and make a database may take
    longer than the stage.

    Raises:
        BadParameter: it is asked for, and for none.
    """
    from pipeline.config import Tracking

    if experiment and off:
        raise typer.BadParameter("does not go with --track", param_hint="--no-track")
    if off or not (experiment or os.environ.get("MLFLOW_TRACKING_URI")):
        return None
    return Tracking(experiment=experiment) if experiment else Tracking()


def check_tokenizer(tokenizer: str | None) -> None:
    """Raise BadParameter, if there is no such tokenizer."""
    if tokenizer not in (None, *get_args(TokenizerName)):
        message = f"'{tokenizer}'; expected one of {', '.join(get_args(TokenizerName))}"
        raise typer.BadParameter(message, param_hint="--tokenizer")


def load_keras() -> None:
    """Import Keras and its backend without the greetings that TensorFlow writes to standard error before it can be
    told not to."""
    from embeddings.quiet import quiet_stderr

    with quiet_stderr():
        import keras  # noqa: F401
    silence_tensorflow()


def silence_tensorflow() -> None:
    """Have TensorFlow tell errors only."""
    # Each head is a graph of its own, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line on standard error and an exit code."""
    print(f"telmo: {message}", file=sys.stderr)
    sys.exit(code)
