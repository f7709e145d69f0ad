#!/bin/sh
# Builds what tests/backends tests against, with Go alone: a real Jaeger 2, a real OpenTelemetry
# Collector, and docker compose, which checks docker-compose.yml without an engine.
# Takes ten minutes and 3 GB the first time; what is there already is not built again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
into=${TRACEBENCH_BACKENDS:-${XDG_CACHE_HOME:-$HOME/.cache}/tracebench/backends}
export GOFLAGS="-buildvcs=false ${GOFLAGS:-}"
mkdir -p "$into"

# Built in the module's own folder, so that its go.sum says what it is built of.
from_module() { # name, module, version, package
    [ -x "$into/$1-$3" ] && return
    folder=$(go mod download -json "$2@$3" | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p')
    (cd "$folder" && nice -n 19 go build -ldflags "-s -w" -o "$into/$1-$3" "$4")
}

# Jaeger 2.13.0: to Go, whose module path ends in no /v2, it goes by the name of v1.76.0.
from_module jaeger github.com/jaegertracing/jaeger v1.76.0 ./cmd/jaeger
from_module compose github.com/docker/compose/v2 v2.40.3 ./cmd

version=v0.155.0
[ -x "$into/collector-$version" ] ||
    (cd "$here/collector" && nice -n 19 go build -ldflags "-s -w" -o "$into/collector-$version" .)
