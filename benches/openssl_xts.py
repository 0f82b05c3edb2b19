"""Speed of OpenSSL's AES-256-XTS, to hold beside `cargo bench --bench sector_kernels`.

    python3 -m venv /tmp/openssl && /tmp/openssl/bin/pip install cryptography
    /tmp/openssl/bin/python benches/openssl_xts.py

PyPI's `cryptography` brings its own OpenSSL. One thread, one buffer sealed or opened again and again,
median of several rounds of the thread's own time on a core, as the bench does it. A call from Python
costs about as much as 4 KiB of XTS, so one data unit of 1 MiB is what to compare; the other rows show
what the calls cost. OpenSSL takes such a unit in one go, evsfs 256 sectors with a tweak each.
`openssl speed -evp aes-256-xts -bytes 4096` is a second reference, for the OpenSSL of the system.
"""

import os
import statistics
import time

from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ROUNDS = 9
ROUND_SECONDS = 0.04


def gigabytes_a_second(direction, unit_bytes):
    cipher = Cipher(algorithms.AES(os.urandom(64)), modes.XTS(bytes(16)))
    data, out = os.urandom(unit_bytes), bytearray(unit_bytes + 15)
    rounds = []
    for _ in range(ROUNDS):
        start, done = time.thread_time(), 0
        while time.thread_time() - start < ROUND_SECONDS:
            for _ in range(4):
                getattr(cipher, direction)().update_into(data, out)
            done += 4 * unit_bytes
        rounds.append(done / (time.thread_time() - start) / 1e9)
    return statistics.median(rounds)


print(backend.openssl_version_text())
print(f"GB/s, one thread, median of {ROUNDS} rounds\n")
print(f"{'unit':>8} {'seal':>8} {'open':>8}")
for unit_bytes in (512, 4096, 1 << 20):
    row = (gigabytes_a_second(direction, unit_bytes) for direction in ("encryptor", "decryptor"))
    print(f"{unit_bytes:>8} {next(row):>8.2f} {next(row):>8.2f}")
