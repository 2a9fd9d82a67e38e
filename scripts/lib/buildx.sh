# shellcheck shell=bash
# buildx, the client's plugin for BuildKit builds. byoc builds without it too, only slower, so it is never a reason to fail.

PLUGIN_DIR=/usr/local/lib/docker/cli-plugins
NEWER_SUITE=trixie

step_buildx() {
    step_begin buildx
    local version
    if version=$(working_buildx); then
        step_end "$version (reused)"
    elif ! can_install; then
        step_end "not here; byoc build uses the engine's older builder"
    elif try_distribution_buildx || fetch_newer_buildx; then
        step_end "$(working_buildx) installed"
    else
        step_end "not to be had for this release; byoc build uses the engine's older builder"
    fi
}

# Several clients may be on PATH, and the first one need not be the one with the plugin.
docker_clients() {
    type -ap docker | while read -r client; do readlink -f "$client"; done | awk '!seen[$0]++'
}

working_buildx() {
    local client answer version
    while read -r client; do
        # "github.com/docker/buildx 0.13.1 ..."
        if answer=$("$client" buildx version 2>/dev/null); then
            read -r _ version _ <<<"$answer"
            printf 'buildx %s for %s' "$version" "$client"
            return
        fi
    done < <(docker_clients)
    return 1
}

# Only where the package exists: with another vendor's client installed it is called differently.
try_distribution_buildx() {
    apt-cache show docker-buildx >/dev/null 2>&1 && apt_install docker-buildx && working_buildx >/dev/null
}

# Debian 12 has no docker-buildx; that of the next release runs on it. apt itself fetches it, with a state of its own and
# the signatures checked, so nothing of this machine's package state changes.
fetch_newer_buildx() {
    local work
    debian_sources "$NEWER_SUITE" | grep -q . || return 1
    step_note "fetching docker-buildx of Debian $NEWER_SUITE"
    work=$(mktemp -d)
    CLEANUP_PATHS+=("$work")
    # apt drops its rights while it downloads.
    chmod 755 "$work"
    quietly "$STATE_DIR/buildx.log" download_buildx "$work" || return 1
    dpkg -x "$work"/docker-buildx_*.deb "$work/root"
    as_root install -D -m 755 "$work/root/usr/libexec/docker/cli-plugins/docker-buildx" "$PLUGIN_DIR/docker-buildx"
    working_buildx >/dev/null && return
    # It does not run here (an older C library, say): leave nothing broken behind.
    as_root rm -f "$PLUGIN_DIR/docker-buildx"
    return 1
}

download_buildx() {
    local work=$1 options
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"
    # The main suite is enough; updates and security may not exist for it.
    debian_sources "$NEWER_SUITE" | grep " $NEWER_SUITE " >"$work/sources.list"
    options=(-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts"
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update &&
        (cd "$work" && apt-get "${options[@]}" download docker-buildx)
}
