# shellcheck shell=bash
# What every step of the set-up uses: messages, the timing of a step, root rights, one run at a time.

# Logs and what we started; and what is dear to make and outlives a clone.
STATE_DIR=${XDG_STATE_HOME:-$HOME/.local/state}/byoc
export CACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/byoc

# The set-up never waits at a question: it may run in CI.
export DEBIAN_FRONTEND=noninteractive

# step_begin NAME: the line that step_end or step_note will close with what was done and how long it took.
step_begin() {
    STEP_NAME=$1
    STEP_START=$EPOCHREALTIME
}

step_seconds() {
    local now=$EPOCHREALTIME
    local tenths=$(( (${now/[.,]/} - ${STEP_START/[.,]/} + 50000) / 100000 ))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# step_end TEXT: "  engine      Docker 20.10.24 answers (reused)          0.1 s"
step_end() {
    printf '  %-11s %-70s %6s s\n' "$STEP_NAME" "$*" "$(step_seconds)" >&2
}

# What a step is about to do, when that takes longer than a moment.
step_note() {
    printf '  %-11s %s ...\n' "$STEP_NAME" "$*" >&2
}

warn() {
    printf 'warning: %s\n' "$*" >&2
}

# die CODE WHAT [LINE...]: what went wrong, then what to do. Exit codes are byoc's own: 1 failed, 2 usage, 3 machine not ready.
die() {
    local code=$1 what=$2 line
    shift 2
    printf '\nerror: %s\n' "$what" >&2
    for line in "$@"; do
        printf '%s\n' "$line" >&2
    done
    exit "$code"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# May we become root without a question?
can_root() {
    is_root || { have sudo && sudo -n true 2>/dev/null; }
}

# Services that a package starts must not inherit the lock: it would live as long as they do.
as_root() {
    if is_root; then
        "$@" 9>&-
    else
        sudo -n --preserve-env=DEBIAN_FRONTEND "$@" 9>&-
    fi
}

as_root_if_possible() {
    if can_root; then
        as_root "$@"
    else
        "$@"
    fi
}

# quietly LOG COMMAND...: the command's own chatter goes to LOG; its end is shown only when it fails.
quietly() {
    local log=$1 status=0
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        printf '\n$ %s   (exit code %d; all of it: %s)\n' "$*" "$status" "$log" >&2
        tail -n 15 "$log" | sed 's/^/  | /' >&2
    fi
    return "$status"
}

# Removed when the set-up ends, however it ends.
CLEANUP_PATHS=()
cleanup() {
    local path
    for path in "${CLEANUP_PATHS[@]}"; do
        remove_tree "$path"
    done
}

# --one-file-system: what is mounted inside is not ours to empty.
remove_tree() {
    rm -rf --one-file-system "$1" 2>/dev/null || as_root rm -rf --one-file-system "$1" || true
}

# One set-up at a time for this user, whatever clone it runs from: they share the engine, its images and the caches.
take_lock() {
    exec 9>"$STATE_DIR/setup.lock"
    if ! flock --nonblock 9; then
        printf '  another set-up is running; waiting for it to end ...\n' >&2
        flock 9
    fi
}
