"""The biLM that comes with Telmo, so that nothing need be fetched or trained before the first vector."""

from pathlib import Path
from typing import Any

DEFAULT = "telmo-small-en"
"""English; `embeddings/pretrained/telmo-small-en/README.md` tells of what it was trained on, and how well."""

FOLDER = Path(__file__).parent / "pretrained"


def bundled(source: Any) -> Path | None:
    """The folder of the biLM that has this name, or None. What a user has under the same name comes first."""
    return FOLDER / DEFAULT if source == DEFAULT and not Path(DEFAULT).exists() else None
