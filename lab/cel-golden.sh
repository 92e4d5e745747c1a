#!/bin/sh
# What the API server's own CEL gives and costs for the expressions of crates/cel/tests/golden.
# Writes kubernetes-1.34.jsonl there. Needs Go; fetches k8s.io/apiserver through the Go module proxy.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
golden="$here/../crates/cel/tests/golden"
work="${JINWU_CACHE:?set JINWU_CACHE to a folder for fetched things}/go/cel-golden"
mkdir -p "$work"
cp "$here/cel/golden.go" "$work/main.go"
cd "$work"
[ -f go.mod ] || go mod init golden >/dev/null 2>&1
go mod edit -require k8s.io/apiserver@v0.34.4 -require k8s.io/apimachinery@v0.34.4
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
GOFLAGS=-mod=mod go build -p 1 -o golden .
./golden "$golden/expressions.txt" "$golden/object.json" >"$golden/kubernetes-1.34.jsonl"
wc -l "$golden/kubernetes-1.34.jsonl"
