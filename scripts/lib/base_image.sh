# shellcheck shell=bash
# The base images where no registry answers: Debian's own Python in the role of python:3.11-slim-bookworm, and Debian 13.
#
# `byoc build` finds such a stand-in among the images called byoc-base, by its label byoc.base-for=<the reference that it
# stands for> (the label alone would not do: images made from the stand-in inherit it).

BASE_SLIM=(
    --variant=minbase
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*'
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*'
    --aptopt='Acquire::Languages "none"' --aptopt='Acquire::GzipIndexes "true"'
    --aptopt='Dir::Cache::pkgcache ""' --aptopt='Dir::Cache::srcpkgcache ""'
)

# Its shape follows the official image where users notice: python, pip and their 3.11 names in /usr/local/bin, pip may
# install into the system, apt works, LANG=C.UTF-8, `python3` as the command.
base_python() {
    BASE_REFERENCE=python:3.11-slim-bookworm
    BASE_IMAGE=byoc-base:bookworm-py3.11
    BASE_SUITE=bookworm
    BASE_OPTIONS=('--include=python3,python3-pip,python3-venv,ca-certificates,netbase,tzdata,debian-archive-keyring')
    BASE_CHANGES=('ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' 'ENV LANG=C.UTF-8' 'CMD ["python3"]')
    # shellcheck disable=SC2034 # used by check_base_image
    BASE_CHECK='python -c "import ctypes, lzma, sqlite3, ssl, sys, venv; assert sys.version_info[:2] == (3, 11)"
        python3 --version; pip --version; pip3 --version; python -m pip --version; apt-get --version'
    base_recipe
}

# For the templates whose language or library comes from Debian.
base_debian() {
    BASE_REFERENCE=debian:trixie-slim
    BASE_IMAGE=byoc-base:trixie
    BASE_SUITE=trixie
    BASE_OPTIONS=('--include=ca-certificates,netbase,tzdata,debian-archive-keyring')
    BASE_CHANGES=('ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' 'CMD ["bash"]')
    BASE_CHECK='apt-get --version; grep -q trixie /etc/os-release'
    base_recipe
}

BASE_FINISH=$LIB/base_image_finish.sh

# A change of the recipe makes a new image; an older one is then not trusted.
base_recipe() {
    BASE_RECIPE=$({ printf '%s\n' "${BASE_SLIM[@]}" "${BASE_OPTIONS[@]}" "${BASE_CHANGES[@]}" && cat "$BASE_FINISH"; } | sha256sum | cut -c1-12)
}

base_python

step_base_image() {
    local base
    for base in base_python base_debian; do
        "$base"
        base_image
    done
}

base_image() {
    step_begin base-image
    if docker_cli image inspect "$BASE_REFERENCE" >/dev/null 2>&1; then
        step_end "$BASE_REFERENCE is here (reused)"
    elif base_image_trusted; then
        step_end "$BASE_IMAGE stands for $BASE_REFERENCE (reused)"
    elif engine_sees_registry "$BASE_REFERENCE"; then
        step_end "the registry answers: byoc build pulls $BASE_REFERENCE itself"
    else
        make_base_image
        step_end "no registry answers: made $BASE_IMAGE from Debian's packages ($(base_image_size))"
    fi
}

base_image_trusted() {
    local format='{{index .Config.Labels "byoc.base-for"}} {{index .Config.Labels "byoc.recipe"}}'
    [ "$(docker_cli image inspect --format "$format" "$BASE_IMAGE" 2>/dev/null)" = "$BASE_REFERENCE $BASE_RECIPE" ]
}

base_image_size() {
    docker_cli image ls --format '{{.Size}}' "$BASE_IMAGE"
}

# Whole or not at all: the file system is finished before the engine sees it, and the name is given last, after a look
# inside. What a killed run left is removed first; the lock makes sure that nobody is using it.
make_base_image() {
    local work superseded candidate=byoc-unverified:base
    have mmdebstrap || { can_install && apt_install mmdebstrap debian-archive-keyring; } || base_image_impossible
    for work in "${TMPDIR:-/var/tmp}/byoc-base-$(id -u)".*; do
        remove_tree "$work"
    done
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/byoc-base-$(id -u).XXXXXX")
    CLEANUP_PATHS+=("$work")
    chmod 755 "$work"

    step_note "no registry answers: making $BASE_IMAGE from Debian's packages (about a minute)"
    base_image_root "$work" || die 1 "the base image could not be made" \
        "hint: make an image byoc-base:TAG of the same kind with the label byoc.base-for=$BASE_REFERENCE"
    import_base_image "$work/root.tar" "$candidate"
    if ! quietly "$STATE_DIR/base-image-check.log" check_base_image "$candidate"; then
        docker_cli image rm "$candidate" >/dev/null
        die 1 "the base image that was made does not work; it is removed again"
    fi
    superseded=$(docker_cli image inspect --format '{{.Id}}' "$BASE_IMAGE" 2>/dev/null || true)
    docker_cli tag "$candidate" "$BASE_IMAGE"
    docker_cli image rm "$candidate" >/dev/null
    # It stays while images made from it are there.
    [ -z "$superseded" ] || docker_cli image rm "$superseded" >/dev/null 2>&1 || true
}

base_image_impossible() {
    die 3 "no registry answers, and mmdebstrap is not there to make a base image" \
        "hint: pull or load $BASE_REFERENCE into this engine, then run this again"
}

# base_image_root WORK: Debian's packages become WORK/root.tar. Dates are cut off at the archive's own, so that the same
# packages give nearly the same image.
base_image_root() {
    local work=$1
    debian_sources "$BASE_SUITE" >"$work/sources.list"
    apt_transport_options >"$work/transport.conf"
    local mirror=()
    if [ -s "$work/sources.list" ]; then
        mirror=("$work/sources.list")
    fi
    # As root mmdebstrap mounts /proc, /sys and /dev in its work folder: in a mount namespace of their own these end with
    # it, also when it is killed. As a user it makes namespaces itself.
    local own_mounts=()
    if can_root; then
        own_mounts=(unshare --mount)
    fi
    quietly "$STATE_DIR/base-image.log" as_root_if_possible "${own_mounts[@]}" env TMPDIR="$work" \
        SOURCE_DATE_EPOCH="$(stat -c %Y /usr/share/keyrings/debian-archive-keyring.gpg)" \
        mmdebstrap "${BASE_SLIM[@]}" "${BASE_OPTIONS[@]}" \
        --setup-hook="cp '$work/transport.conf' \"\$1/etc/apt/apt.conf.d/00transport\"" \
        --customize-hook="sh '$BASE_FINISH' \"\$1\"" \
        "$BASE_SUITE" "$work/root.tar" "${mirror[@]}"
}

import_base_image() {
    local changes=() change
    for change in "${BASE_CHANGES[@]}" "LABEL byoc.base-for=$BASE_REFERENCE" "LABEL byoc.recipe=$BASE_RECIPE"; do
        changes+=(--change "$change")
    done
    docker_cli import "${changes[@]}" "$1" "$2" >/dev/null
}

check_base_image() {
    docker_cli run --rm --network none "$1" sh -ec "$BASE_CHECK"
}
