# evsfs: `make demo` shows it, `make test` proves it.

CARGO ?= cargo
# Long forms, an hour in all.
SLOW_SUITES := faults crash secrets hostile tamper exercisers project_model boot schedules guest

.PHONY: help demo test test-slow slow-deps $(SLOW_SUITES:%=slow-%) test-controls test-kernels mutants fuzz bench bench-peers deb static install-deps

help:
	@echo "make demo       build, mount, and walk through the life of an encrypted disk"
	@echo "make test       format, lints and all tests, real mounts and loop devices included"
	@echo "make test-slow  the suites of docs/RELIABILITY.md at length, and a guest in QEMU (an hour);"
	@echo "                one of them: make slow-crash, slow-faults, slow-tamper ..."
	@echo "make test-controls  harm done on purpose, and what the crash suite says of it"
	@echo "make test-kernels  tests of the data path under each sector kernel this processor has"
	@echo "make mutants    which faults put into crypto, kms, disk and records no test finds (an hour; resumable)"
	@echo "make fuzz       fuzz targets of everything that reads bytes from outside (FUZZ_SECONDS=60 each)"
	@echo "make bench      speed of the cipher kernels, disks, the control plane, a mount and its backups here"
	@echo "make bench-peers  the same fio jobs on evsfs, qemu, nbdkit and gocryptfs, with targets (20 minutes)"
	@echo "make deb        a Debian package, in target/"
	@echo "make static     one program without libraries, in target/ (loads no PKCS#11 modules)"

demo:
	@sh examples/quickstart.sh

install-deps:
	@sh tests/support/install-deps.sh

# Half of the time a test waits for a daemon, a disk or a clock: twice as many at a time as cores.
test: export RUSTC_WORKSPACE_WRAPPER := $(CURDIR)/tests/support/clippy.sh
test: install-deps
	$(CARGO) fmt --check
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --no-fail-fast --test-threads $$((2 * $$(nproc))); \
	else \
	    $(CARGO) test --no-fail-fast; \
	fi
	$(CARGO) test --features schedules --test schedules --quiet
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --quiet
	$(CARGO) build --examples --benches --quiet

# One suite after the other, all of them whatever comes of one; each says what it took.
test-slow:
	@$(MAKE) --keep-going --jobs=1 --no-print-directory $(SLOW_SUITES:%=slow-%)

slow-deps:
	@sh tests/support/install-deps.sh slow

$(SLOW_SUITES:%=slow-%): export EVSFS_SLOW = 1
# Takes longer to build than a short run takes, and saves a long one a third of its time.
$(SLOW_SUITES:%=slow-%): export CARGO_PROFILE_DEV_OPT_LEVEL = 1
$(SLOW_SUITES:%=slow-%): slow-%: slow-deps
	$(CARGO) test $(if $(filter schedules,$*),--features schedules) --test $* --no-fail-fast \
	    -- --nocapture $(if $(filter crash faults,$*),--test-threads $$((2 * $$(nproc))))

test-controls: install-deps
	$(CARGO) test --quiet --test crash -- --nocapture control_

# Needs: cargo install cargo-mutants --locked
mutants: install-deps
	@python3 tests/support/mutants/run.py

fuzz:
	@sh fuzz/run.sh

# The compiler decides what goes over the stack, so that is looked at in optimised code.
test-kernels: install-deps
	$(CARGO) test --release --quiet --lib crypto::
	@for kernel in $$($(CARGO) bench --quiet --profile dev --bench sector_kernels -- --list); do \
	    echo "kernel: $$kernel"; \
	    EVSFS_TEST_KERNEL=$$kernel $(CARGO) test --quiet --no-fail-fast --test disk_model \
	        --test disk_life --test semantics --test unruly_hsm --test known_answers || exit 1; \
	done

# Needs: rustup target add x86_64-unknown-linux-musl
static:
	$(CARGO) build --release --target x86_64-unknown-linux-musl
	@mkdir -p target
	@cp $${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-musl/release/evsfs target/evsfs-static
	@echo target/evsfs-static

deb:
	$(CARGO) build --release
	@mkdir -p target
	@contrib/debian/build.sh $${CARGO_TARGET_DIR:-target}/release/evsfs target

bench: install-deps
	$(CARGO) bench --quiet --bench sector_kernels
	$(CARGO) bench --quiet --bench disk
	$(CARGO) bench --quiet --bench control_plane
	@sh benches/mount.sh
	@python3 benches/backup.py

# The systems take turns in each round, so run it on a quiet machine but not on a special one.
bench-peers: install-deps
	@python3 benches/peers.py --write
