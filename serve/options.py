"""How `telmo serve` is to run; picklable, since every worker process gets it, and light to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


MAX_TIMEOUT_MS = 3_600_000
"""The longest deadline that a request may name."""


@dataclass(frozen=True)
class ServeOptions:
    """How the server is to run.

    Args:
        workers: processes that answer, each with the models; those that compute share the processors.
        batch_words: most words that are computed together.
        queue_words: most words ahead of a new request of a model (`serve.batcher.Batcher`).
        max_wait_ms: how long a batch may wait for clients that have just been answered; 0 for never.
        poll_seconds: between two looks at where the aliases stand.
        shadow: for the name of a model another model, to which a share of its requests is given, too.
        shadow_share: of the requests, from 0 to 1.
        grace: seconds that the requests under way have when the server stops.
        max_texts: of a request.
        max_words: of a request, in all its texts.
        max_text_words: of one text.
        max_numbers: of the vectors that answer a request.
        max_body: bytes of a request's body.
        keys: file of the API keys (`serve.keys`); without one everybody may ask.
        cors_origins: whose pages may ask from a browser, such as `https://example.org`, or `*` for all.
        allowed_hosts: that requests may name, such as `models.example.org` or `*.example.org`; all if there are none.
        log_format, log_level: of the log on standard error (`serve.log_format`).
        metrics: whether there is `/metrics`.
    """

    workers: int = 1
    batch_words: int = 2_048
    queue_words: int = 2_048
    max_wait_ms: float = 25.0
    poll_seconds: float = 5.0
    shadow: Mapping[str, str] = field(default_factory=dict)
    shadow_share: float = 0.1
    grace: float = 30.0
    max_texts: int = 1_000
    max_words: int = 50_000
    max_text_words: int = 10_000
    max_numbers: int = 4_000_000
    max_body: int = 8 * 1024 * 1024
    keys: Path | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    metrics: bool = True
