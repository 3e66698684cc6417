#!/usr/bin/env bash
# A substitute for python:3.11-slim-bookworm without a registry: base.sh ARCHITECTURE OUT.tar
#
# Debian 12 with its Python 3.11, only unpacked: no package script runs, so arm64 needs no emulation.
# It contains this machine's certificates, for pip during a build: never publish it.
set -euo pipefail

packages=(base-files base-passwd passwd libc-bin dash coreutils findutils sed grep tar gzip
    python3 python3-venv ca-certificates libstdc++6)

# Does what the package scripts would have done, and removes what no build reads.
# shellcheck disable=SC2016  # $1 is the new root, which mmdebstrap names
finish='cd "$1"
    mkdir -p tmp etc/ssl/certs && chmod 1777 tmp
    for file in passwd group; do [ -e etc/$file ] || cp usr/share/base-passwd/$file.master etc/$file; done
    [ -e bin/sh ] || ln -s dash bin/sh
    rm -rf usr/share/doc/* usr/share/man/* usr/share/locale/* var/lib/apt/lists/* var/cache/apt/*'
certificates=/etc/ssl/certs/ca-certificates.crt

# Use this machine's setting for the maximum age of package lists.
options=()
while read -r line; do options+=("--aptopt=$line"); done < <(apt-config dump | grep '^Acquire::Check-' || true)

mmdebstrap --quiet --variant=extract "${options[@]}" --architectures="$1" --include="$(IFS=,; echo "${packages[*]}")" \
    --extract-hook="$finish" --extract-hook="upload $certificates $certificates" \
    bookworm "$2" /etc/apt/sources.list.d/debian.sources
