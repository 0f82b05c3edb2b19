#!/bin/sh
# For RUSTC_WORKSPACE_WRAPPER: compiles with Clippy's compiler, so that what is built for the tests is
# linted as it is built; `cargo clippy` would go through everything once more.
exec clippy-driver "$@" -D warnings
