"""The command `telmo keys`: who may ask a server that was started with `telmo serve --keys FILE`."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(
    name="keys",
    help="Make and end the API keys of a server. A running one sees a change within a second.",
    no_args_is_help=True,
)

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The key file, as for telmo serve --keys.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the caller; it stands in logs and metrics.")]


@keys.command()
def add(
    file: KeyFile,
    name: Name,
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="That it may ask, again for more; docs-* for a beginning.")
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="predict, embed or metrics, again for more; by default the first two.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="By default no limit.", min=1)] = None,
    words_per_minute: Annotated[int | None, typer.Option(help="By default no limit.", min=1)] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="In 90d, 12h or 30m, or at 2027-01-31; by default never.")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once: the file holds its SHA-256 only."""
    from serve.keys import ACTIONS, add_key

    unknown = next((one for one in action or [] if one not in ACTIONS), None)
    if unknown:
        raise typer.BadParameter(f"'{unknown}'; expected one of {', '.join(ACTIONS)}", param_hint="--action")
    asked = {
        "models": model,
        "actions": action,
        "requests_per_minute": requests_per_minute,
        "words_per_minute": words_per_minute,
        "expires": expires and _moment(expires),
    }
    print(add_key(file, name, **{field: value for field, value in asked.items() if value}))


@keys.command()
def rotate(
    file: KeyFile,
    name: Name,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long the old one opens: 24h, 30m, 0s.")] = "24h",
) -> None:
    """Make a new key of the same name and rights and print it; the old one goes on for a while."""
    from serve.keys import rotate_key

    print(rotate_key(file, name, _duration(overlap, "--overlap")))


@keys.command()
def revoke(file: KeyFile, name: Name) -> None:
    """End a key."""
    from serve.keys import revoke_key

    revoke_key(file, name)
    print(f"{file}: '{name}' is revoked")


@keys.command("list")
def list_keys(
    file: KeyFile,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list with all there is to say.")] = False,
) -> None:
    """Show who may do what."""
    from serve.keys import read_keys

    found = read_keys(file)
    if as_json:
        shown = [key.model_dump(mode="json", exclude={"secrets"}) | {"secrets": len(key.secrets)} for key in found]
        print(json.dumps(shown, indent=2))
        return
    print("\t".join(("name", "models", "actions", "requests/min", "words/min", "created", "expires")))
    for key in found:
        ends = key.expires.date().isoformat() if key.expires else "never"
        old = next((secret.expires for secret in key.secrets if secret.expires), None)
        print(
            "\t".join(
                (
                    key.name,
                    ",".join(key.models),
                    ",".join(key.actions),
                    str(key.requests_per_minute or "-"),
                    str(key.words_per_minute or "-"),
                    key.created.date().isoformat(),
                    ends + (f" (the old one {old.isoformat(timespec='minutes')})" if old else ""),
                )
            )
        )


def _moment(when: str) -> datetime:
    if re.fullmatch(r"\d+[smhd]", when):
        return datetime.now(UTC) + _duration(when, "--expires")
    try:
        read = datetime.fromisoformat(when)
    except ValueError:
        raise typer.BadParameter(
            f"'{when}'; expected a time such as 90d, or a date such as 2027-01-31", param_hint="--expires"
        ) from None
    end = read if read.tzinfo else read.replace(tzinfo=UTC)
    if end <= datetime.now(UTC):
        raise typer.BadParameter(f"'{when}' is over; expected a time that comes", param_hint="--expires")
    return end


def _duration(text: str, option: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if not found:
        raise typer.BadParameter(f"'{text}'; expected a time such as 24h, 30m or 0s", param_hint=option)
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    try:
        # A moment that no calendar has is refused, too.
        length = timedelta(**{unit: int(found[1])})
        datetime.now(UTC) + length
    except OverflowError:
        raise typer.BadParameter(f"'{text}'; that is past the calendar; expected less", param_hint=option) from None
    return length
