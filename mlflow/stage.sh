# Runs a stage from the code of this checkout, installed or not: stage.sh FOLDER STAGE [ARGUMENT ...]
set -euo pipefail
house=$(cd "$(dirname "$0")/.." && pwd)
folder=$1 stage=$2 first=$3
shift 3
cd "$folder"
[[ ! -e $first && $first == configs/* ]] && first=$house/$first
export PYTHONPATH=$house${PYTHONPATH:+:$PYTHONPATH}
# -P: what lies in the folder is no code of Telmo.
exec python -P -m pipeline.cli "$stage" "$first" "$@"
