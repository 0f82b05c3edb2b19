//! Memory for direct I/O.

/// Zeroed bytes whose start is a multiple of what the medium asks for.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    // `alignment` bytes longer than what is lent.
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// `len` bytes at a multiple of `alignment`, which is a power of two.
    pub fn new(len: usize, alignment: usize) -> Self {
        let memory = vec![0; len + alignment];
        let start = memory.as_ptr().align_offset(alignment).min(alignment);
        AlignedBuffer { memory, start }
    }

    /// The first `len` bytes; no more than it was made for.
    pub fn bytes(&mut self, len: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + len]
    }
}

#[cfg(test)]
mod tests {
    use super::AlignedBuffer;

    #[test]
    fn bytes_start_at_a_multiple_of_the_alignment() {
        for alignment in [1, 512, 4096, 65_536] {
            let mut buffer = AlignedBuffer::new(10_000, alignment);
            let bytes = buffer.bytes(10_000);
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % alignment), (10_000, 0));
        }
    }
}
