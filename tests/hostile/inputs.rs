//! Random and mutated bytes for every reader of bytes from outside, in this process.

use crate::amount::Amount;
use crate::report;
use crate::support::mutation::{Mutator, corpus};
use crate::support::{Needs, trial};
use crate::targets::{self, Outcome};
use libtest_mimic::Trial;

/// A reader, the corpus of the same name, and how many inputs it gets in the short form.
type Target = (&'static str, fn(&[u8]) -> Outcome, usize);

const REQUESTS: [Target; 2] =
    [("command", targets::command, 50_000), ("request", targets::request, 50_000)];

const DOCUMENTS: [Target; 6] = [
    ("record", targets::record, 4_000),
    ("wrapped_dk", targets::wrapped_dk, 4_000),
    ("manifest", targets::manifest, 1_000),
    ("export", targets::export, 1_000),
    ("config", targets::config, 2_000),
    ("qcow2", targets::qcow2, 1_000),
];

pub fn trials() -> Vec<Trial> {
    let all = REQUESTS.into_iter().chain(DOCUMENTS);
    let valid = all.clone().map(|(name, target, _)| {
        trial(&format!("the_corpus_is_read_as_meant::{name}"), Needs::Nothing, move || {
            the_corpus_is_read_as_meant(name, target);
        })
    });
    let hostile = all.map(|target| {
        trial(&format!("no_input_harms::{}", target.0), Needs::Nothing, move || {
            no_input_harms(target);
        })
    });
    valid.chain(hostile).collect()
}

/// Every member of the corpus is taken, but those that are there for being refused: nothing could be
/// said of mutations of what no reader understands.
fn the_corpus_is_read_as_meant(name: &str, target: fn(&[u8]) -> Outcome) {
    let outcomes: Vec<Outcome> = corpus(name).iter().map(|input| target(input)).collect();
    let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::Taken).count();
    assert!(taken * 2 > outcomes.len(), "{name}: {taken} of {} are valid", outcomes.len());
}

/// Whatever the bytes are, the reader refuses them with a reason or gives the data that was meant.
fn no_input_harms((name, target, inputs): Target) {
    let inputs = Amount::of(inputs, inputs * 20);
    let mut mutator = Mutator::of(name);
    let mut taken = 0;
    for number in 0..inputs {
        let input = match number % 2 {
            0 => mutator.next(),
            _ => mutator.next_with_one_byte_changed(),
        };
        let outcome = std::panic::catch_unwind(|| target(&input));
        let outcome = outcome.unwrap_or_else(|_| {
            panic!("{name}, input {number}: {:?}", String::from_utf8_lossy(&input))
        });
        taken += usize::from(outcome == Outcome::Taken);
    }
    report(&format!(
        "{name}: {inputs} inputs, {} refused, {taken} valid, 0 panics",
        inputs - taken
    ));
}
