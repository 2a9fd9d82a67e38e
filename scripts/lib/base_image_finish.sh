#!/bin/sh
# The last touch to the base image's root ($1), called by mmdebstrap before it packs it.
set -eu
root=$1

if [ -e "$root/usr/bin/python3.11" ]; then
    # The names of the official image. Debian marks its Python as its own (PEP 668); in an image there is nothing to protect.
    rm -f "$root"/usr/lib/python3.*/EXTERNALLY-MANAGED
    for name in python python3 python3.11; do
        ln -sf /usr/bin/python3.11 "$root/usr/local/bin/$name"
    done
    for name in pip pip3 pip3.11; do
        ln -sf /usr/bin/pip3 "$root/usr/local/bin/$name"
    done
    # pip of Debian installs into dist-packages; Dockerfiles written for the official image copy site-packages.
    mkdir -p "$root/usr/local/lib/python3.11/dist-packages"
    ln -sfn dist-packages "$root/usr/local/lib/python3.11/site-packages"
fi

# As in the official image: a layer keeps no downloaded packages.
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'CONF'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
CONF

# How this machine reaches its sources is its own affair (a proxy may carry a password); whether old dates are tolerated
# goes with the sources, which would be refused without it.
transport=$root/etc/apt/apt.conf.d/00transport
grep '^Acquire::Check-' "$transport" >"$root/etc/apt/apt.conf.d/10dates" || rm -f "$root/etc/apt/apt.conf.d/10dates"
rm -f "$transport"
: >"$root/etc/resolv.conf"
echo localhost >"$root/etc/hostname"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log \
    "$root"/usr/share/doc-base
