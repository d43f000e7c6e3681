#!/bin/bash
# Unpack mail servers from Debian's packages into DIR, for tests that are given DNSLB_PEERS=DIR.
# They exclude one another as packages, and installed they would change the mail set-up of this machine.
# The shared libraries that they need are installed, when run as root.
set -euo pipefail

dir=${1:?usage: fetch_peers.sh DIR}
mkdir -p "$dir"
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root \
    postfix exim4-base exim4-daemon-light opensmtpd dovecot-core dovecot-lmtpd
libraries=()
for package in *.deb; do
    dpkg-deb --extract "$package" .
    mapfile -t needed < <(dpkg-deb --field "$package" Depends | tr ',' '\n' | sed -nE 's/^ *(lib[^ (|]*).*/\1/p')
    libraries+=("${needed[@]}")
    rm "$package"
done
chmod 0755 .
if [[ $EUID -eq 0 ]]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${libraries[@]}" >/dev/null
else
    printf 'needed besides: %s\n' "${libraries[*]}"
fi
