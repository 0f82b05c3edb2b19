# evsfs: `make demo` shows it, `make test` proves it.

CARGO ?= cargo

.PHONY: help demo test test-slow bench install-deps

help:
	@echo "make demo       build, mount, and walk through the life of an encrypted disk"
	@echo "make test       format, lints and all tests, real mounts and loop devices included"
	@echo "make bench      speed of the cipher kernels, the control plane and a mount on this machine"

demo:
	@sh examples/quickstart.sh

install-deps:
	@sh tests/support/install-deps.sh

test: install-deps
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --no-fail-fast; \
	else \
	    $(CARGO) test --no-fail-fast; \
	fi
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --quiet
	$(CARGO) build --examples --quiet

bench: install-deps
	$(CARGO) bench --quiet --bench sector_kernels
	$(CARGO) bench --quiet --bench control_plane
	@sh benches/mount.sh
