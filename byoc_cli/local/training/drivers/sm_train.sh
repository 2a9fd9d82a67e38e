#!/bin/bash
# What ModelTrainer of SageMaker's SDK v3 has its own sm_train.sh do for a single script, in the words of byoc.
set -e
ml=$(cd "$(dirname "$0")/../../.." && pwd)
drivers=$ml/input/data/sm_drivers

fail() {
    [ -s "$ml/output/failure" ] || echo "$2" >"$ml/output/failure"
    exit "$1"
}

python=$(command -v python3 || command -v python) || fail 1 "there is no Python in the image, which SDK v3 needs (T-09)"
command -v pip3 >/dev/null || command -v pip >/dev/null || fail 1 "there is no pip in the image, which SDK v3 needs (T-09)"

trap 'fail $? "sm_train.sh failed"' ERR
"$python" "$drivers/environment.py"
# shellcheck source=/dev/null
source "$ml/input/sm_training.env"
cd "$ml/input/data/code"
"$python" "$drivers/entry_script.py"
