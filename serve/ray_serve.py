"""The same application on many machines: a deployment of Ray Serve, an extra, `pip install 'telmo[ray-serve]'`.

    serve run serve.ray_serve:build models=models:/docs-library@champion max_replicas=8 cpus=2

The word `serve` at its beginning is Ray's command; `serve.ray_serve` is this module, which Ray imports on every
machine, so Telmo is to be installed there. A folder must be there, too; what MLflow has is fetched by each replica.

A replica is what a worker of `telmo serve` is: it batches, follows aliases, and is healthy when its models are warm.
Whoever asks `/metrics` would see one replica, so there is none: Ray exports metrics of its own for each.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator
from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.log_format import configure_logging
from serve.options import ServeOptions
from serve.request_log import HEADER

ONGOING = 256
"""Requests that a replica has at most at once; batches are made of them, so they are to be many."""


class RayServeOptions(BaseModel):
    """What `build` takes, as `key=value` or from the `args` of a Ray Serve config.

    Args:
        models: folders or places in MLflow; in a string they are separated by commas.
        min_replicas, max_replicas: between which Ray keeps the number of replicas.
        ongoing_requests: of each replica, that Ray aims at by making more or fewer.
        cpus: processors of a replica.

    Each field of `ServeOptions` may be given, too, but those that Ray sees to: workers and metrics.
    """

    model_config = ConfigDict(extra="allow")

    models: list[str] = Field(min_length=1)
    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1)
    ongoing_requests: float = Field(32, gt=0)
    cpus: float = Field(1, gt=0)

    @field_validator("models", mode="before")
    @classmethod
    def _parted(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _checked(self) -> "RayServeOptions":
        self.max_replicas = max(self.min_replicas, self.max_replicas)
        self.options()
        return self

    def options(self) -> ServeOptions:
        """The options of each replica.

        Raises:
            ValueError: a key is not known, or its value is not understood.
        """
        given: Mapping[str, Any] = self.model_extra or {}
        known = {field.name for field in fields(ServeOptions)} - {"workers", "metrics"}
        unknown = next((key for key in given if key not in known), None)
        if unknown:
            raise ValueError(f"'{unknown}'; expected one of {', '.join(sorted({*type(self).model_fields, *known}))}")
        return replace(TypeAdapter(ServeOptions).validate_python(given), metrics=False)


def build(args: RayServeOptions) -> serve.Application:
    """The deployment, for `serve run`, `serve build` and `serve.run`."""
    models, options = args.models, args.options()

    def application() -> Any:
        return _application(models, options)

    @serve.deployment(
        name="telmo",
        max_ongoing_requests=max(ONGOING, round(2 * args.ongoing_requests)),
        autoscaling_config={
            "min_replicas": args.min_replicas,
            "max_replicas": args.max_replicas,
            "target_ongoing_requests": args.ongoing_requests,
        },
        ray_actor_options={"num_cpus": args.cpus},
        # Ray sends a replica that is to go no more requests, and lets it answer those that it has.
        graceful_shutdown_timeout_s=options.grace,
        health_check_period_s=10,
        health_check_timeout_s=30,
    )
    @serve.ingress(application)
    class Telmo:
        """A replica; it takes requests when its models are warm."""

        async def check_health(self) -> None:
            if not self.app.state.service.ready:  # type: ignore[attr-defined]
                raise RuntimeError("the server stops")

    return Telmo.bind()  # type: ignore[attr-defined]


def _application(models: list[str], options: ServeOptions) -> Any:
    """The application of a replica, in its process."""
    from serve.app import put_behind
    from serve.registry import find_served
    from serve.worker import SWITCH, worker_app

    configure_logging(options.log_format, options.log_level)
    sys.setswitchinterval(SWITCH)
    app = worker_app(find_served(models, dict(options.shadow)), options)
    put_behind([Middleware(_WithoutRequestId)], app)
    return app


class _WithoutRequestId:
    """ASGI middleware: Ray's proxy writes the id of a request into its answer, and once is enough."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [one for one in message["headers"] if one[0] != HEADER]
            await send(message)

        await self.app(scope, receive, send_without)
