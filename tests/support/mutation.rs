//! Inputs made from valid ones, the same at every run.

use super::files::Numbers;
use std::path::Path;

/// Pieces that have meant something to some reader somewhere.
const TOKENS: [&[u8]; 28] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"=",
    b" ",
    b"{",
    b"}",
    b"[",
    b"]]",
    b",",
    b":",
    b"../",
    b"%s%n",
    b"-1",
    b"18446744073709551616",
    b"9223372036854775807",
    b"1e308",
    b"NaN",
    b"null",
    b"true",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xc3\x28",
    "\u{202e}\u{0}".as_bytes(),
    "\\u0000\\ud800".as_bytes(),
    b"encrypted=no ",
];

/// A source of inputs: the valid ones, and what changes them.
pub struct Mutator {
    valid: Vec<Vec<u8>>,
    numbers: Numbers,
}

impl Mutator {
    /// From the corpus of a fuzz target.
    pub fn of(target: &str) -> Mutator {
        Mutator::seeded(target, 0)
    }

    /// One of several, each with a number of its own.
    pub fn seeded(target: &str, number: u64) -> Mutator {
        Mutator::between(corpus(target), number)
    }

    /// From inputs that are no corpus.
    pub fn between(valid: Vec<Vec<u8>>, number: u64) -> Mutator {
        Mutator { valid, numbers: Numbers::new(seed() + number) }
    }

    /// The next input: seldom noise, mostly a valid one with one to eight changes.
    pub fn next(&mut self) -> Vec<u8> {
        if self.numbers.below(16) == 0 {
            return self.noise(64);
        }
        let at = self.numbers.below(self.valid.len());
        let mut input = self.valid[at].clone();
        for _ in 0..=self.numbers.below(8) {
            self.change(&mut input);
        }
        input
    }

    /// A valid input with one byte that is another one.
    pub fn next_with_one_byte_changed(&mut self) -> Vec<u8> {
        let which = self.numbers.below(self.valid.len());
        let mut input = self.valid[which].clone();
        let at = self.numbers.below(input.len());
        input[at] ^= u8::try_from(1 + self.numbers.below(255)).unwrap();
        input
    }

    /// A number below `limit`, for what else is to be chosen.
    pub fn below(&mut self, limit: usize) -> usize {
        self.numbers.below(limit)
    }

    fn noise(&mut self, longest: usize) -> Vec<u8> {
        let len = self.numbers.below(longest + 1);
        (0..len).map(|_| self.numbers.next().to_le_bytes()[7]).collect()
    }

    /// Makes one change, which at times changes nothing.
    pub fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.numbers.below(input.len() + 1);
        let end = (at + self.numbers.below(17)).min(input.len());
        match self.numbers.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.numbers.below(8),
            1 if at < input.len() => input[at] = self.numbers.next().to_le_bytes()[7],
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let piece = self.noise(8);
                input.splice(at..end, piece);
            }
            5 => {
                let token = TOKENS[self.numbers.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
            6 => {
                let other = self.numbers.below(self.valid.len());
                let other = &self.valid[other];
                let from = self.numbers.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at),
        }
    }
}

/// `EVSFS_TEST_SEED`, or 1.
pub fn seed() -> u64 {
    std::env::var("EVSFS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// The committed inputs of a fuzz target, in the order of their names.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{directory:?} is empty");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}
