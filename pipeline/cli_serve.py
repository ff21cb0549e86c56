"""`telmo serve`; nothing that computes is imported here."""

import logging
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from serve.options import LogFormat, LogLevel, ServeOptions

SERVE = ServeOptions()
"""What holds where an option is not given."""


Models = Annotated[list[str], typer.Argument(metavar="MODEL", help="Folders, or places in MLflow.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)]
Workers = Annotated[
    int,
    typer.Option(help="Processes that answer, each with the models; one for each processor answers most.", min=1),
]
BatchWords = Annotated[
    int, typer.Option(help="Most words that are computed together; a longer text goes alone.", min=1)
]
QueueWords = Annotated[
    int,
    typer.Option(
        help="Most words ahead of a new request, of each other request at most 64; beyond it the answer is 429.", min=1
    ),
]
MaxWaitMs = Annotated[
    float,
    typer.Option(help="How long a batch waits at most for clients just answered; 0 for never.", min=0, max=10_000),
]
PollSeconds = Annotated[float, typer.Option(help="How often to look whether an alias has moved.", min=0.1)]
Shadows = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=MODEL",
        help="Give a share of a model's requests to another, too, and log where they disagree.",
    ),
]
ShadowShare = Annotated[float, typer.Option(help="The share of the requests that a shadow gets.", min=0, max=1)]
Grace = Annotated[float, typer.Option(help="Seconds that requests under way have when the server stops.", min=0)]
MaxTexts = Annotated[int, typer.Option(help="Most texts of a request.", min=1)]
MaxWords = Annotated[int, typer.Option(help="Most words of a request.", min=1)]
MaxTextWords = Annotated[int, typer.Option(help="Most words of a text.", min=1)]
Keys = Annotated[
    Path | None, typer.Option(metavar="FILE", help="API keys, from telmo keys add; by default everybody may ask.")
]
CorsOrigins = Annotated[
    list[str] | None,
    typer.Option(metavar="ORIGIN", help="Whose pages may ask from a browser: https://a.org, again for more."),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST", help="Refuse requests that name another host; *.example.org, again for more."),
]
Format = Annotated[
    LogFormat, typer.Option(help="Of the log on standard error: text for people, or json, an object a line.")
]
Level = Annotated[LogLevel, typer.Option(help="debug, info (a line a request), warning (what went wrong), or error.")]
Metrics = Annotated[bool, typer.Option(help="Whether Prometheus can read /metrics.")]


def serve(
    models: Models,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = SERVE.workers,
    batch_words: BatchWords = SERVE.batch_words,
    queue_words: QueueWords = SERVE.queue_words,
    max_wait_ms: MaxWaitMs = SERVE.max_wait_ms,
    poll_seconds: PollSeconds = SERVE.poll_seconds,
    shadow: Shadows = None,
    shadow_share: ShadowShare = SERVE.shadow_share,
    grace: Grace = SERVE.grace,
    max_texts: MaxTexts = SERVE.max_texts,
    max_words: MaxWords = SERVE.max_words,
    max_text_words: MaxTextWords = SERVE.max_text_words,
    keys: Keys = None,
    cors_origin: CorsOrigins = None,
    allowed_host: AllowedHosts = None,
    log_format: Format = SERVE.log_format,
    log_level: Level = SERVE.log_level,
    metrics: Metrics = SERVE.metrics,
) -> None:
    """Answer over REST."""
    options = ServeOptions(
        workers=workers,
        batch_words=batch_words,
        queue_words=queue_words,
        max_wait_ms=max_wait_ms,
        poll_seconds=poll_seconds,
        shadow=dict(_shadow(one) for one in shadow or []),
        shadow_share=shadow_share,
        grace=grace,
        max_texts=max_texts,
        max_words=max_words,
        max_text_words=max_text_words,
        keys=keys,
        cors_origins=tuple(_origin(one) for one in cors_origin or []),
        allowed_hosts=tuple(_host(one) for one in allowed_host or []),
        log_format=log_format,
        log_level=log_level,
        metrics=metrics,
    )
    _run(models, host, port, options)


def _run(models: list[str], host: str, port: int, options: ServeOptions) -> None:
    from serve.exposure import warning_of
    from serve.keys import read_keys
    from serve.listener import listen
    from serve.log_format import configure_logging
    from serve.registry import find_served
    from serve.server import run_server

    configure_logging(options.log_format, options.log_level)
    if options.keys:
        read_keys(options.keys)
    # While models are fetched: the first process of a container does not end by this signal of itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = listen(host, port)
    if warning := warning_of(host, options.keys):
        logging.getLogger("telmo.serve").warning(warning)
    run_server(find_served(models, options.shadow), listener, options)


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
