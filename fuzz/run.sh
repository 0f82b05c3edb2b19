#!/bin/sh
# Runs every fuzz target for a while, where cargo-fuzz is there; otherwise says what is missing. What it
# finds lies in fuzz/artifacts/; what it learns stays out of the committed corpus, in
# TARGET/fuzz-corpus/. Sanitizers are nightly features: without a nightly toolchain the installed
# compiler is told to take them.
#
#   FUZZ_SECONDS=60 sh fuzz/run.sh [target ...]
set -eu
cd "$(dirname "$0")/.."

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzzing takes what is not installed: cargo-fuzz: cargo install cargo-fuzz --locked"
    echo "the committed corpus and mutations of it run without: cargo test --test hostile no_input_harms"
    exit 1
fi
toolchain=+nightly
if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi

targets=${*:-command request record wrapped_dk manifest export config qcow2}
seconds=${FUZZ_SECONDS:-60}
learnt=${CARGO_TARGET_DIR:-target}/fuzz-corpus
for target in $targets; do
    mkdir -p "$learnt/$target"
    echo "== $target: $seconds s"
    # shellcheck disable=SC2086 # no word where there is no nightly toolchain
    cargo $toolchain fuzz run "$target" "$learnt/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=60 -print_final_stats=1
done
