#!/bin/sh
# Builds native/bench.cpp and runs it; see there for the arguments.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
${CXX:-g++} -std=c++17 -O3 -ffp-contract=fast -fno-math-errno -Wall -Wextra -Wno-psabi -pthread \
    native/products.cpp native/bench.cpp -o "$out/bench"
"$out/bench" "$@"
