"""The stage `sync`: what MLflow has not heard of yet is sent to it."""

from collections.abc import Callable

from embeddings.errors import OutputError
from pipeline.outbox import InUse, Outbox, address_of, outboxes
from pipeline.outbox_delivery import Delivery
from pipeline.outbox_sender import Sender, send_left
from pipeline.tracking import tracking_address
from serve.tracking_server import reason_of


def runs_of(count: int) -> str:
    """A number of runs, in words."""
    return f"{count} run{'' if count == 1 else 's'}"


def sync_stage(tell: Callable[[str], None]) -> int:
    """Send what commands have left for the MLflow that is used now.

    Args:
        tell: is called with a line for what MLflow refuses, what is in use, and what is there for other addresses.

    Returns:
        The number of runs that were sent.

    Raises:
        OutputError: MLflow does not answer, or takes no run of some of them, of which it is told; these are kept.
    """
    address = tracking_address()
    delivery, sent, kept = Delivery(address), 0, 0
    mine = outboxes(address)
    for folder in mine:
        try:
            outbox = Outbox(folder)
        except InUse:
            tell(f"{folder}: a command that runs now sends it")
            continue
        runs = len(outbox.runs())
        try:
            send_left(outbox, Sender(outbox, delivery, tell))
        except Exception as error:
            outbox.close()
            told = f"{delivery.shown}: {reason_of(error)}; {folder} is kept"
            if not delivery.is_hopeless(error):
                raise OutputError(told) from None
            tell(told)
            kept += 1
            continue
        sent += runs
    others = [folder for folder in outboxes() if folder not in mine]
    if others:
        places = ", ".join(dict.fromkeys(map(address_of, others)))
        tell(
            f"{others[0].parent.parent} holds {len(others)} more, for {places}; MLFLOW_TRACKING_URI says where to send"
        )
    if kept:
        raise OutputError(f"{delivery.shown}: {runs_of(sent)} sent; {kept} of {len(mine)} folders are kept")
    return sent
