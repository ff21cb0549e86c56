"""`telmo serve`; nothing that computes is imported here."""

import logging
import re
import signal
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from serve.options import LogFormat, LogLevel, ServeOptions

SERVE = ServeOptions()
"""What holds where an option is not given."""


def serve(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Folders, or places in MLflow.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 8000,
    workers: Annotated[
        int, typer.Option(help="Processes that answer; each holds the models and uses all processors.", min=1)
    ] = SERVE.workers,
    batch_words: Annotated[
        int, typer.Option(help="Most words that are computed together; a longer text goes alone.", min=1)
    ] = SERVE.batch_words,
    queue_words: Annotated[
        int,
        typer.Option(
            help="Most words ahead of a new request, of each other request at most 64; beyond it the answer is 429.",
            min=1,
        ),
    ] = SERVE.queue_words,
    max_wait_ms: Annotated[
        float,
        typer.Option(help="How long a batch waits at most for clients just answered; 0 for never.", min=0, max=10_000),
    ] = SERVE.max_wait_ms,
    poll_seconds: Annotated[
        float, typer.Option(help="How often to look whether an alias has moved.", min=0.1)
    ] = SERVE.poll_seconds,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Give a share of a model's requests to another, too, and log where they disagree: "
            "docs-code=models:/docs-code@challenger.",
        ),
    ] = None,
    shadow_share: Annotated[
        float, typer.Option(help="The share of the requests that a shadow gets.", min=0, max=1)
    ] = SERVE.shadow_share,
    grace: Annotated[
        float, typer.Option(help="Seconds that requests under way have when the server stops.", min=0)
    ] = SERVE.grace,
    max_texts: Annotated[int, typer.Option(help="Most texts of a request.", min=1)] = SERVE.max_texts,
    max_words: Annotated[int, typer.Option(help="Most words of a request.", min=1)] = SERVE.max_words,
    max_text_words: Annotated[int, typer.Option(help="Most words of a text.", min=1)] = SERVE.max_text_words,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="API keys, from telmo keys add; by default everybody may ask."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Whose pages may ask from a browser: https://example.org, again for more."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Refuse requests that name another host; *.example.org, again for more."),
    ] = None,
    log_format: Annotated[
        str, typer.Option(help="Of the log on standard error: text for people, or json, an object a line.")
    ] = SERVE.log_format,
    log_level: Annotated[
        str, typer.Option(help="debug, info (a line a request), warning (what went wrong), or error.")
    ] = SERVE.log_level,
    metrics: Annotated[bool, typer.Option(help="Whether Prometheus can read /metrics.")] = SERVE.metrics,
) -> None:
    """Answer over REST."""
    from serve.exposure import warning_of
    from serve.keys import read_keys
    from serve.listener import listen
    from serve.log_format import configure_logging
    from serve.registry import find_served
    from serve.server import run_server

    for value, known, hint in (
        (log_format, get_args(LogFormat), "--log-format"),
        (log_level, get_args(LogLevel), "--log-level"),
    ):
        if value not in known:
            raise typer.BadParameter(f"'{value}'; expected one of {', '.join(known)}", param_hint=hint)
    shadows = dict(_shadow(one) for one in shadow or [])
    asked = ServeOptions(
        workers=workers,
        batch_words=batch_words,
        queue_words=queue_words,
        max_wait_ms=max_wait_ms,
        poll_seconds=poll_seconds,
        shadow=shadows,
        shadow_share=shadow_share,
        grace=grace,
        max_texts=max_texts,
        max_words=max_words,
        max_text_words=max_text_words,
        keys=keys,
        cors_origins=tuple(_origin(one) for one in cors_origin or []),
        allowed_hosts=tuple(_host(one) for one in allowed_host or []),
        log_format=log_format,  # type: ignore[arg-type]
        log_level=log_level,  # type: ignore[arg-type]
        metrics=metrics,
    )
    configure_logging(asked.log_format, asked.log_level)
    if keys:
        read_keys(keys)
    # While models are fetched: the first process of a container does not end by this signal of itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = listen(host, port)
    if warning := warning_of(host, keys):
        logging.getLogger("telmo.serve").warning(warning)
    run_server(find_served(models, shadows), listener, asked)


def _origin(text: str) -> str:
    # As browsers write it (RFC 6454, section 6.2): in small letters, without a path.
    if text != "*" and not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d+)?", text):
        raise typer.BadParameter(f"'{text}'; expected one such as https://example.org", param_hint="--cors-origin")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9.-]+|\[[0-9a-f:]+\]", text):
        message = f"'{text}'; expected a name such as example.org, without a port, or an address such as [::1]"
        raise typer.BadParameter(message, param_hint="--allowed-host")
    return text


def _shadow(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise typer.BadParameter(f"'{text}'; expected NAME=MODEL", param_hint="--shadow")
    return name, model
