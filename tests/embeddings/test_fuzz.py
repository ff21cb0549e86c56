import subprocess
import sys


def test_of_a_thousand_damaged_sources_none_does_harm(house):
    done = subprocess.run(
        [sys.executable, house / "benchmarks/fuzz.py", "--tries", "1000", "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
