//! The documents are true: what they tell their reader to type gives what they show.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod typed;

use support::{Needs, trial};
use typed::{typed_sections, types_a_section};

/// The documents that have lines to type.
const DOCUMENTS: [&str; 1] = ["README.md"];

/// Every section with lines to type, its trial, and what it takes.
const TYPED: [(&str, &str, &str, Needs); 3] = [
    (
        "the_tour_typed_line_by_line_gives_what_the_readme_shows",
        "README.md",
        "## Five-minute tour",
        Needs::Root,
    ),
    (
        "an_hsm_used_line_by_line_gives_what_the_readme_shows",
        "README.md",
        "## Use your HSM",
        Needs::RootAnd(&["softhsm2-util", "pkcs11-tool"]),
    ),
    (
        "leaving_line_by_line_gives_what_the_readme_shows",
        "README.md",
        "## Leave again",
        Needs::RootAnd(&["cryptsetup", "nbdkit", "nbdcopy"]),
    ),
];

fn main() -> std::process::ExitCode {
    let mut trials: Vec<_> = TYPED
        .into_iter()
        .map(|(name, document, title, needs)| {
            trial(name, needs, move || types_a_section(document, title))
        })
        .collect();
    trials.push(trial("no_section_is_left_untyped", Needs::Nothing, no_section_is_left_untyped));
    support::run_trials(trials)
}

/// A section with a console is typed by a trial.
fn no_section_is_left_untyped() {
    for document in DOCUMENTS {
        for section in typed_sections(document) {
            let is_it =
                |(_, of, title, _): &(_, &str, &str, _)| *of == document && *title == section;
            assert!(TYPED.iter().any(is_it), "{document}, {section}: no trial types it");
        }
    }
}
