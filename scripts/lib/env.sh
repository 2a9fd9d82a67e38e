# shellcheck shell=bash
# The project's environment: .venv with byoc (editable) and what its development needs; .venv/bin/byoc is the command.

VENV=$REPO/.venv
# Exists while packages are being installed: an environment that carries it was interrupted and is made anew.
VENV_UNFINISHED=$VENV/byoc-unfinished
# Written last. Says what the environment was made from.
VENV_STAMP=$VENV/byoc-stamp

step_env() {
    step_begin env
    local python
    if env_trusted; then
        step_end ".venv, $("$VENV/bin/python" --version) (reused)"
        return
    fi
    if [ -e "$VENV_UNFINISHED" ] || ! env_runs; then
        python=$(find_python) || python=$(install_python) || no_python
        make_venv "$python"
    fi
    fill_venv
    step_end ".venv, $("$VENV/bin/python" --version), byoc and its development tools installed"
}

# One line that changes whenever the environment has to: its place (scripts in it hold absolute paths), the interpreter
# behind it, and the project's own list of what it needs.
env_fingerprint() {
    printf '%s %s %s\n' "$VENV" "$(readlink -f "$VENV/bin/python")" "$(sha256sum <"$REPO/pyproject.toml" | cut -c1-16)"
}

env_runs() {
    "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

env_trusted() {
    [ ! -e "$VENV_UNFINISHED" ] && [ -f "$VENV_STAMP" ] && env_runs &&
        [ -x "$VENV/bin/byoc" ] && [ "$(cat "$VENV_STAMP")" = "$(env_fingerprint)" ]
}

# A name on PATH proves nothing (a version manager's stand-in may have no version behind it): each is run.
find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if have "$name" && "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

install_python() {
    can_install && apt_install python3 python3-venv && find_python
}

no_python() {
    die 3 "no Python 3.11 or newer with its venv module was found" \
        "hint: install Python 3.11, 3.12 or 3.13 (Debian and Ubuntu: apt-get install python3 python3-venv;" \
        "      macOS: brew install python@3.13), make sure that it is on PATH, and run this again"
}

make_venv() {
    local python=$1
    step_note "making .venv with $("$python" --version) ($python)"
    rm -rf "$VENV"
    mkdir "$VENV"
    touch "$VENV_UNFINISHED"
    quietly "$STATE_DIR/venv.log" "$python" -m venv "$VENV" || die 1 "the environment .venv could not be made"
}

fill_venv() {
    step_note "installing byoc and its development tools (pip)"
    rm -f "$VENV_STAMP"
    touch "$VENV_UNFINISHED"
    # --group came with pip 25.1; the one that a Python brings along may be older.
    if ! quietly "$STATE_DIR/pip.log" in_venv pip install --quiet --upgrade 'pip>=25.1' ||
        ! quietly "$STATE_DIR/pip.log" in_venv pip install --editable "$REPO" --group "$REPO/pyproject.toml:dev"; then
        die 1 "the packages of byoc could not be installed into .venv" \
            "hint: see above; a private index or a proxy is set up in pip's own configuration (pip config list)"
    fi
    env_fingerprint >"$VENV_STAMP"
    rm -f "$VENV_UNFINISHED"
}

in_venv() {
    "$VENV/bin/python" -m "$@"
}
