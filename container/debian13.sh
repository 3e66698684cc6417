#!/usr/bin/env bash
# Runs make in a Debian 13 root, with its Python 3.13: debian13.sh test [more arguments of make...]
#
# Needs root, mmdebstrap and Debian: the packages come from this machine's own apt sources. The root
# is made once and kept in STATE. The files that git knows are copied into it, and beside them the
# models and real material that are here already.
set -euo pipefail
cd "$(dirname "$0")/.."

STATE=${STATE:-/var/tmp/mobilenet-gateway-debian13}
ROOT=$STATE/root
CHECKOUT=$ROOT/srv/mobilenet-gateway
# The first line is what .ci/run installs; what else some tests need, and are skipped without.
PACKAGES=(make python3 python3-venv chromium fonts-dejavu-core mosquitto prometheus wrk
    ca-certificates curl openssl systemd)

make_root() {
    [ -e "$STATE/.made" ] && return
    rm -rf "$ROOT"
    mkdir -p "$STATE"
    local sources=$STATE/debian13.sources options=()
    sed 's/bookworm/trixie/g' /etc/apt/sources.list.d/debian.sources >"$sources"
    # This machine's rule on how old a list of packages may be holds here too.
    while read -r line; do options+=("--aptopt=$line"); done < <(apt-config dump | grep '^Acquire::Check-' || true)
    mmdebstrap --quiet --variant=minbase "${options[@]}" --include="$(IFS=,; echo "${PACKAGES[*]}")" \
        trixie "$ROOT" "$sources"
    touch "$STATE/.made"
}

# Names, certificates and pip's configuration of this machine: the root reaches what the machine reaches.
copy_configuration() {
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /etc/pip.conf ~/.config/pip/pip.conf; do
        [ -e "$file" ] || continue
        mkdir -p "$ROOT$(dirname "$file")"
        cp --remove-destination "$file" "$ROOT$file"
    done
}

copy_checkout() {
    mkdir -p "$CHECKOUT"
    find "$CHECKOUT" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$CHECKOUT"
    local folder
    for folder in models/store models/weights ../shared; do
        [ -d "$folder" ] || continue
        rm -rf "${CHECKOUT:?}/$folder"
        cp -rL "$folder" "$CHECKOUT/$folder"
    done
}

# In mounts of its own, which end with it.
run_make() {
    # shellcheck disable=SC2016  # $1 is the root
    unshare --mount --propagation private bash -c '
        for folder in dev proc sys; do mount --rbind "/$folder" "$1/$folder"; done
        exec chroot "$1" make --directory /srv/mobilenet-gateway "${@:2}"' bash "$ROOT" "$@"
}

make_root
copy_configuration
copy_checkout
run_make "${@:-test}"
