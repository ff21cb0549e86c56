"""Install one peer into a virtual environment of its own: python benchmarks/peers/install.py allennlp

The Python version a peer needs stands in the first line of its requirements file (NAME.txt beside this script).
The packages come from wherever pip is configured to look.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = sorted(path.stem for path in HERE.glob("*.txt"))


def version_of(python):
    """Return "3.9" for a Python 3.9 that runs, and None for anything that does not (a dead pyenv shim, say)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def find_python(version):
    """Return a Python of this version from PATH or pyenv, or None."""
    candidates = [sys.executable, shutil.which(f"python{version}")]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    return next((python for python in candidates if python and version_of(python) == version), None)


def main():
    parser = argparse.ArgumentParser(description="Install one peer into a virtual environment of its own.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--python", metavar="PATH", help="the Python to use, of the version the peer needs")
    parser.add_argument("--into", metavar="FOLDER", type=Path, help="default: benchmarks/peers/.envs/PEER")
    args = parser.parse_args()

    requirements = HERE / f"{args.peer}.txt"
    version = requirements.read_text(encoding="utf-8").splitlines()[0].split()[-1]
    if args.python and version_of(args.python) != version:
        sys.exit(f"error: {args.peer} needs Python {version}, and {args.python} is not one")
    python = args.python or find_python(version)
    if python is None:
        sys.exit(f"error: {args.peer} needs Python {version}: none on PATH or under ~/.pyenv/versions (see --python)")

    folder = args.into or HERE / ".envs" / args.peer
    env_python = folder / "bin" / "python"
    for command in (
        [python, "-m", "venv", folder],
        [env_python, "-m", "pip", "install", "-r", requirements],
    ):
        status = subprocess.run([str(part) for part in command], check=False).returncode
        if status:
            sys.exit(f"error: {args.peer} was not installed (`{' '.join(map(str, command))}` ended with {status})")
    print(f"{args.peer}: {env_python}")


if __name__ == "__main__":
    main()
