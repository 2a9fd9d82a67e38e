# shellcheck shell=bash
# The container engine: found, or installed from Debian's packages and started. Only one that we started is ever stopped.

DOCKER_SOCKET=/var/run/docker.sock
DOCKER_PID_FILE=/var/run/docker.pid
ENGINE_RECORD=$STATE_DIR/engine           # "PID START-TIME HOW" of the engine that we started
ENGINE_LOG=$STATE_DIR/dockerd.log
ENGINE_SECONDS=60
ENGINE_INSTALLED=""

step_engine() {
    step_begin engine
    local version
    if version=$(engine_version); then
        step_end "Docker Engine $version answers (reused)"
    else
        refuse_unfixable_engine "$(engine_error)"
        bring_up_engine
        step_end "Docker Engine $(engine_version), started$(engine_is_ours && printf ' (make stop ends it)')"
    fi
    engine_tools
}

# A `docker` on PATH proves nothing: these ask the engine (see engine.py).
engine_version() {
    "$VENV/bin/python" "$LIB/engine.py" version 2>/dev/null
}

engine_error() {
    { "$VENV/bin/python" "$LIB/engine.py" version >/dev/null || true; } 2>&1
}

engine_sees_registry() {
    "$VENV/bin/python" "$LIB/engine.py" registry "$1" 2>/dev/null
}

docker_cli() {
    docker "$@"
}

# What another engine on this machine would not mend.
refuse_unfixable_engine() {
    local error=$1 context=""
    if [ -n "${DOCKER_HOST:-}" ]; then
        die 3 "no engine answers at DOCKER_HOST=$DOCKER_HOST" "$error" "hint: start that engine, or unset DOCKER_HOST"
    fi
    have docker && context=$(docker context show 2>/dev/null || true)
    if [ -n "$context" ] && [ "$context" != default ]; then
        die 3 "no engine answers in the docker context '$context'" "$error" \
            "hint: start that engine, or choose another context (docker context use default)"
    fi
    if [ -S "$DOCKER_SOCKET" ] && [ ! -w "$DOCKER_SOCKET" ]; then
        no_permission
    fi
}

no_permission() {
    die 3 "the engine's socket $DOCKER_SOCKET is there, but $(id -un) may not use it" \
        "hint: sudo usermod -aG docker $(id -un)" \
        "      then log in again (or: newgrp docker) and run this again"
}

bring_up_engine() {
    if ! have dockerd; then
        can_install || no_engine
        apt_install docker.io "${ENGINE_EXTRAS[@]}" || no_engine
        ENGINE_INSTALLED=yes
        # Newer releases pack the client on its own.
        have docker || apt_install docker-cli || true
    fi
    can_root || no_engine
    start_engine
    if [ ! -w "$DOCKER_SOCKET" ]; then
        no_permission
    fi
}

# iptables: a package that only "recommends" it leaves containers without a network. AppArmor's tools: needed where the
# kernel enforces it.
ENGINE_EXTRAS=(iptables ca-certificates)
if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
    ENGINE_EXTRAS+=(apparmor)
fi

no_engine() {
    die 3 "no container engine answers, and this set-up can install one only on Debian or Ubuntu, as root or with sudo" \
        "hint: macOS, Windows: install Docker Desktop and start it" \
        "      other Linux: install Docker Engine, then: sudo systemctl enable --now docker" \
        "      Debian, Ubuntu without sudo: ask for 'apt-get install docker.io' and to be in the group docker"
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        step_note "starting the engine (systemctl start docker)"
        quietly "$ENGINE_LOG" as_root systemctl start docker || engine_failed
        await_engine "" || engine_failed
        record_engine "$(systemctl show --property MainPID --value docker)" systemd
    else
        clear_stale_pid_file "$DOCKER_PID_FILE" dockerd
        if process_from "$DOCKER_PID_FILE" dockerd >/dev/null; then
            step_note "waiting for the engine that is already starting"
            await_engine "" || engine_failed
            # A package that we installed may have started its service at once.
            [ -z "$ENGINE_INSTALLED" ] || record_engine "$(cat "$DOCKER_PID_FILE")" dockerd
        else
            start_dockerd
        fi
    fi
}

# In a session of its own and without our descriptors: it outlives this shell and does not hold the lock.
start_dockerd() {
    local launcher become_root=()
    is_root || become_root=(sudo -n)
    step_note "starting the engine (dockerd; its log: $ENGINE_LOG)"
    mkdir -p "$STATE_DIR"
    # Outside of sudo: a hang-up that reaches sudo would be handed on to dockerd.
    setsid nohup "${become_root[@]}" dockerd >"$ENGINE_LOG" 2>&1 </dev/null 9>&- &
    launcher=$!
    await_engine "$launcher" || engine_failed
    disown "$launcher" 2>/dev/null || true
    record_engine "$(cat "$DOCKER_PID_FILE")" dockerd
}

# await_engine PID: until it answers; not longer than its process lives (PID may be empty).
await_engine() {
    local pid=$1 deadline=$((SECONDS + ENGINE_SECONDS))
    until [ -S "$DOCKER_SOCKET" ] && { engine_version >/dev/null || [ ! -w "$DOCKER_SOCKET" ]; }; do
        if [ "$SECONDS" -ge "$deadline" ] || { [ -n "$pid" ] && ! [ -d "/proc/$pid" ]; }; then
            return 1
        fi
        sleep 0.2
    done
}

engine_failed() {
    local lines
    # dockerd is talkative about what goes well; that would hide the cause.
    lines=$(grep -v 'level=info' "$ENGINE_LOG" 2>/dev/null | tail -n 10 | sed 's/^/  | /' || true)
    die 3 "the container engine does not start; its last words (all of them: $ENGINE_LOG):" "$lines" "" \
        "hint: an engine needs a machine, or a privileged container, that lets it make networks and mounts"
}

# process_from FILE NAME: the live process whose pid stands in FILE and whose program is NAME.
process_from() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] && printf '%s\n' "$pid"
}

# dockerd refuses to start when the pid in its file belongs to any live process, also to one that merely got the number
# of a dead dockerd.
clear_stale_pid_file() {
    local file=$1 name=$2
    if [ -e "$file" ] && ! process_from "$file" "$name" >/dev/null; then
        step_note "removing $file, left by an engine that is gone"
        rm -f "$file" 2>/dev/null || as_root rm -f "$file"
    fi
}

# A pid may come again; the pid together with the moment of its start (clock ticks since boot) does not.
process_start() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name in parentheses may contain blanks: count from its end. Field 22 is the 20th after it.
    read -r -a fields <<<"${stat##*) }"
    printf '%s' "${fields[19]}"
}

record_engine() {
    printf '%s %s %s\n' "$1" "$(process_start "$1")" "$2" >"$ENGINE_RECORD"
}

engine_is_ours() {
    local pid start how
    read -r pid start how 2>/dev/null <"$ENGINE_RECORD" || return 1
    [ -n "$how" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && [ "$(process_start "$pid")" = "$start" ]
}

stop_engine() {
    step_begin stop
    local pid how
    if ! engine_is_ours; then
        rm -f "$ENGINE_RECORD"
        step_end "no engine that we started is running; any other is left alone"
        return
    fi
    read -r pid _ how <"$ENGINE_RECORD"
    if [ "$how" = systemd ]; then
        as_root systemctl stop docker.socket docker.service
    else
        # The shell's own kill: a small system has no program of that name.
        as_root sh -c "kill -TERM $pid"
    fi
    local deadline=$((SECONDS + ENGINE_SECONDS))
    while engine_is_ours; do
        [ "$SECONDS" -lt "$deadline" ] || die 1 "the engine (process $pid) did not end within $ENGINE_SECONDS s"
        sleep 0.1
    done
    rm -f "$ENGINE_RECORD"
    step_end "the engine that we started has ended"
}

# What the tests need beside the engine: a registry to push to.
engine_tools() {
    have docker-registry && return
    step_begin engine
    if can_install && apt_install docker-registry; then
        keep_registry_quiet
        step_end "docker-registry installed (the tests push to it)"
    else
        step_end "no docker-registry: tests that push will be skipped"
    fi
}

# The tests start their own registries; the package's service would hold port 5000.
keep_registry_quiet() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now docker-registry >/dev/null 2>&1 || true
    elif have update-rc.d; then
        as_root sh -c 'invoke-rc.d docker-registry stop; update-rc.d docker-registry disable' >/dev/null 2>&1 || true
    fi
}
