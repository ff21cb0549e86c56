import pytest


@pytest.fixture
def quick_outbox(tmp_path, monkeypatch):
    """What MLflow has not heard is kept in a folder of the test's own, and nobody waits long for MLflow."""
    from pipeline import outbox_sender

    monkeypatch.setenv("TELMO_CACHE", str(tmp_path / "cache"))
    for name, seconds in (("PACE", 0.02), ("LONGEST_PAUSE", 0.1), ("LAST_PATIENCE", 0.2)):
        monkeypatch.setattr(outbox_sender, name, seconds)
