# shellcheck shell=bash
# Debian packages, from the sources that this machine already has.

APT_LISTS=/var/lib/apt/lists

is_debian_like() {
    [ -r /etc/os-release ] && have apt-get && grep -qE '^(ID|ID_LIKE)=.*(debian|ubuntu)' /etc/os-release
}

can_install() {
    is_debian_like && can_root
}

package_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# missing_packages NAME...: those that are not installed, on one line.
missing_packages() {
    local name missing=()
    for name in "$@"; do
        package_installed "$name" || missing+=("$name")
    done
    printf '%s' "${missing[*]}"
}

# Package lists that are missing or older than a day point at versions that the mirror no longer has.
apt_lists_fresh() {
    apt_lists_present && [ -n "$(find "$APT_LISTS" -maxdepth 0 -mmin -1440 -print -quit)" ]
}

apt_lists_present() {
    [ -n "$(find "$APT_LISTS" -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ]
}

apt_update() {
    quietly "$STATE_DIR/apt-update.log" as_root apt-get -o DPkg::Lock::Timeout=300 update
}

apt_try() {
    as_root apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" \
        >"$STATE_DIR/apt-install.log" 2>&1 </dev/null
}

# apt_install NAME...: installs what is missing of these.
apt_install() {
    local missing
    read -r -a missing <<<"$(missing_packages "$@")"
    [ "${#missing[@]}" -gt 0 ] || return 0
    step_note "installing ${missing[*]} (apt-get)"
    mkdir -p "$STATE_DIR"
    if apt_lists_fresh && apt_try "${missing[@]}"; then
        return 0
    fi
    # Either the lists are old, or the install failed because they are.
    apt_update || return 1
    quietly "$STATE_DIR/apt-install.log" \
        as_root apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${missing[@]}"
}

# debian_sources SUITE: this machine's own Debian sources as one-line entries, for SUITE in place of its own suite. Taking
# them from the machine keeps a company's mirror in use; other vendors' entries (by their Origin) stay out. Prints nothing
# on a machine whose sources are not Debian's, such as Ubuntu.
debian_sources() {
    local suite=$1 own
    # Who an entry's origin is, apt knows only from the lists.
    if ! apt_lists_present && can_install; then
        apt_update || true
    fi
    # shellcheck source=/dev/null
    own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-none}")
    # The fields are apt's own placeholders.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v own="$own" -v suite="$suite" '
            $1 == "Debian" && $3 ~ "^" own "(-security|-updates)?$" && !seen[$0]++ {
                sub("^" own, suite, $3)
                print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $2, $3, $4
            }' | sort
}

# How this machine's apt reaches its sources (proxy, certificates, tolerated dates), in the form of apt.conf.
apt_transport_options() {
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Check-[A-Za-z-]*|Retries)\b.* "[^"]+";$' || true
}
