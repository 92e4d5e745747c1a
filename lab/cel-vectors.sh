#!/bin/sh
# CEL's conformance vectors: fetches the module cel.dev/expr with Go and prints the folder of its
# *.textproto files, for JINWU_CEL_VECTORS.
set -eu
version=v0.25.3
target="${JINWU_CACHE:?set JINWU_CACHE to a folder for fetched things}/go/cel-expr"
vectors="$target/cel.dev/expr@$version/tests/simple/testdata"
if [ ! -d "$vectors" ]; then
    mkdir -p "$target"
    (cd "$target" && GOMODCACHE="$target" GOFLAGS=-modcacherw go mod download "cel.dev/expr@$version") >&2
fi
echo "$vectors"
