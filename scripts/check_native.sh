#!/bin/sh
# Runs the native library on random little models under AddressSanitizer, UBSan and ThreadSanitizer,
# and once with the code of 16-float vectors on any CPU. Usage: scripts/check_native.sh [CASES]
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# GCC 12 warns of uninitialised values in its own header of AVX-512.
flags="-std=c++17 -O1 -g -ffp-contract=fast -fno-math-errno -pthread"
flags="$flags -Wall -Wextra -Wno-psabi -Wno-maybe-uninitialized -Wno-uninitialized"
cases=${1:-30}
build() {
    echo "== $1"
    name=$1
    shift
    # shellcheck disable=SC2086
    ${CXX:-g++} $flags "$@" native/products.cpp -o "$out/$name"
}
check() {
    build "$@" native/check.cpp native/rows.cpp
    "$out/$1" "$cases"
}
build products -fsanitize=address,undefined -fno-sanitize-recover=all native/check_products.cpp \
    native/matrices.cpp
"$out/products" "$cases" "$(date +%s)"
check address -fsanitize=address,undefined -fno-sanitize-recover=all
check wide -fsanitize=address,undefined -fno-sanitize-recover=all -DPADDOCK_BASE_WIDTH=16
check threads -fsanitize=thread
check optimised -O3
