//! Keys, ciphers and sealed buffers.
