#!/usr/bin/env bash
# A container engine for a build machine that has none: Debian 12, root, no image registry needed.
#
#   engine.sh up      install and start Docker with Compose and buildx, and make the base image(s)
#   engine.sh down    stop the engine if `up` started it; images and containers stay on disk
#   engine.sh env     print the variables that make `docker` use it, for `eval`
#
# With a working `docker`, `up` does nothing and says so. ARM64=1 adds what builds and runs
# linux/arm64 under emulation. STATE names the folder for tools, log and pid file.
set -euo pipefail

STATE=${STATE:-/var/tmp/mobilenet-gateway-engine}
ARM64=${ARM64:-}
BASE_TOOL=$(cd "$(dirname "$0")" && pwd)/base.sh
BASE=python:3.11-slim-bookworm
BASE_ARM64=base-arm64:bookworm
PID_FILE=$STATE/dockerd.pid
export DOCKER_CONFIG=$STATE/client
# Another client may come first on the PATH; this one belongs to the engine.
DOCKER=/usr/bin/docker

say() { echo "engine: $*" >&2; }

works() { command -v docker >/dev/null && docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }

install_engine() {
    local missing=() package
    for package in docker.io iptables mmdebstrap arch-test ${ARM64:+qemu-user-static binfmt-support}; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt-get update -qq
    # Do not let the package start the engine as a system service: it is started below, with its log.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Debian 12 has neither Compose v2 nor buildx; those of Debian 13 run on Debian 12's libc.
install_plugins() {
    local apt=$STATE/apt plugins=$DOCKER_CONFIG/cli-plugins
    [ -x "$plugins/docker-buildx" ] && [ -x "$plugins/docker-compose" ] && return
    say "fetching Compose and buildx"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/sources" "$apt/tools" "$plugins"
    sed 's/bookworm/trixie/g' /etc/apt/sources.list.d/debian.sources >"$apt/sources/trixie.sources"
    local options=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache::Archives=$apt/archives"
        -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
        -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$apt/sources")
    chmod -R a+rX "$apt"
    apt-get "${options[@]}" update -qq
    (cd "$apt" && apt-get "${options[@]}" download -qq docker-compose docker-buildx)
    for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$apt/tools"; done
    cp "$apt"/tools/usr/libexec/docker/cli-plugins/* "$plugins/"
    rm -rf "$apt"
}

start_engine() {
    "$DOCKER" info >/dev/null 2>&1 && return
    rm -f "$PID_FILE"
    setsid nohup dockerd --pidfile "$PID_FILE" >"$STATE/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 60); do
        "$DOCKER" info >/dev/null 2>&1 && { say "started"; return; }
        sleep 0.5
    done
    tail -n 20 "$STATE/dockerd.log" >&2
    say "the engine did not start"
    return 1
}

enable_arm64() {
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
}

has() { "$DOCKER" image inspect "$1" >/dev/null 2>&1; }

# Substitutes for the official Python image, which only a registry has. Never publish them.
make_bases() {
    local folder
    folder=$(mktemp -d)
    if ! has "$BASE"; then
        say "making $BASE"
        "$BASE_TOOL" amd64 "$folder/amd64.tar"
        "$DOCKER" import "$folder/amd64.tar" "$BASE" >/dev/null
    fi
    if [ -n "$ARM64" ] && ! has "$BASE_ARM64"; then
        say "making $BASE_ARM64"
        mkdir "$folder/arm64"
        "$BASE_TOOL" arm64 "$folder/arm64/base.tar"
        printf 'FROM scratch\nADD base.tar /\n' >"$folder/arm64/Dockerfile"
        "$DOCKER" buildx build --quiet --platform linux/arm64 --tag "$BASE_ARM64" --load "$folder/arm64" >/dev/null
    fi
    rm -rf "$folder"
}

up() {
    if [ ! -e "$PID_FILE" ] && works; then
        say "docker already works"
        return
    fi
    [ "$(id -u)" = 0 ] && [ -e /etc/apt/sources.list.d/debian.sources ] || {
        say "docker does not work here. This script can set it up as root on Debian 12 only."
        return 1
    }
    mkdir -p "$STATE"
    install_engine
    install_plugins
    start_engine
    if [ -n "$ARM64" ]; then enable_arm64; fi
    make_bases
}

down() {
    [ -e "$PID_FILE" ] || return 0
    local pid
    pid=$(cat "$PID_FILE")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 60); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.5
    done
}

case ${1:-} in
up) up ;;
down) down ;;
env)
    if [ -e "$PID_FILE" ]; then
        echo "export DOCKER_CONFIG=$DOCKER_CONFIG PATH=/usr/bin:\$PATH"
        has "$BASE_ARM64" && echo "export BASE_IMAGE_ARM64=$BASE_ARM64" || true
    fi
    ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
