# shellcheck shell=bash
# CIFAR-10 as TFRecords, in a cache that outlives this clone; the bundled project sees it as data/cifar-10.

DATA_DIR=$REPO/container/data/cifar-10
DATA_CACHE=$CACHE_DIR/cifar-10
GENERATOR=$REPO/container/utils/generate_cifar10_tfrecords.py

step_data() {
    step_begin data
    link_data
    if data_finished; then
        step_end "CIFAR-10 in ${DATA_DIR#"$REPO/"} (reused)"
        return
    fi
    step_note "making CIFAR-10 as TFRecords in $(readlink -f "$DATA_DIR")"
    make_data || die 1 "CIFAR-10 could not be made" \
        "hint: with the official archive at hand: .venv/bin/python ${GENERATOR#"$REPO/"} --data-dir $DATA_DIR --source ARCHIVE"
    step_end "CIFAR-10 in ${DATA_DIR#"$REPO/"}: 45,000 + 5,000 + 10,000 pictures"
}

# A folder with files in it is the user's own and stays; an empty one, or a link to a cache that is gone, is replaced.
link_data() {
    if [ -L "$DATA_DIR" ] && [ ! -d "$DATA_DIR" ]; then
        rm -f "$DATA_DIR"
    fi
    if [ ! -L "$DATA_DIR" ]; then
        rmdir "$DATA_DIR" 2>/dev/null || [ ! -e "$DATA_DIR" ] || return 0
        mkdir -p "$DATA_CACHE" "$(dirname "$DATA_DIR")"
        ln -s "$DATA_CACHE" "$DATA_DIR"
    fi
}

# The generator gives a file its name only when it is whole and verified.
data_finished() {
    local split
    for split in train validation eval; do
        [ -s "$DATA_DIR/$split.tfrecords" ] || return 1
    done
}

# npm is the generator's second way, for a network that does not reach the official site: installed only when needed.
make_data() {
    if have npm || ! can_install; then
        generate_data
    else
        generate_data >"$STATE_DIR/data.log" 2>&1 || { apt_install nodejs npm && generate_data; }
    fi
}

generate_data() {
    "$VENV/bin/python" "$GENERATOR" --data-dir "$DATA_DIR" </dev/null >&2
}
