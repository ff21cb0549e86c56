"""How many cores an operation of a head may take."""

import os
from typing import Any

from embeddings.cores import processors
from models.options import RECURRENT, Task


def share_cores(task: Task, head: Any, source: str = "none") -> None:
    """Give each direction of a recurrent head half of the cores, where there is nothing else to compute: both run at
    once, and the products of a step are too small to be parted further. A user's own setting wins.

    To be called before TensorFlow is imported.

    Args:
        task: of the head.
        head: its options.
        source: what is below it (`Embedding.kind`).
    """
    if task != "seq2seq" and source != "bilm" and head.bidirectional and head.encoder in RECURRENT:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, processors() // 2)))
