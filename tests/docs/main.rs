//! The documents are true: what they tell their reader to type gives what they show, and
//! docs/INTERFACE.md names what there is.

#![allow(clippy::unwrap_used)]

mod answers;
mod interface;
mod links;
#[path = "../support/mod.rs"]
mod support;
mod typed;

use support::{Needs, trial};
use typed::{typed_sections, types_a_section};

/// The documents that have lines to type.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/ADMIN.md", "docs/TOUR.md"];

/// Every section with lines to type, its trial, and what it takes.
const TYPED: [(&str, &str, &str, Needs); 13] = [
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
    (
        "disks_and_keys_typed_line_by_line_give_what_the_long_tour_shows",
        "docs/TOUR.md",
        "## Disks and keys",
        Needs::RootAnd(&["mkfs.ext4", "resize2fs", "findmnt"]),
    ),
    (
        "copies_typed_line_by_line_give_what_the_long_tour_shows",
        "docs/TOUR.md",
        "## Backups, images, servers",
        Needs::Root,
    ),
    (
        "files_typed_line_by_line_give_what_the_long_tour_shows",
        "docs/TOUR.md",
        "## Without the command line",
        Needs::Root,
    ),
    (
        "a_first_start_typed_line_by_line_gives_what_the_guide_shows",
        "docs/ADMIN.md",
        "## The first start",
        Needs::Root,
    ),
    (
        "users_and_roles_do_what_the_guide_shows",
        "docs/ADMIN.md",
        "## Users and roles",
        Needs::RootAnd(&["setpriv"]),
    ),
    (
        "a_plan_for_backups_typed_line_by_line_gives_what_the_guide_shows",
        "docs/ADMIN.md",
        "## A plan for backups",
        Needs::Root,
    ),
    (
        "a_lost_key_is_found_as_the_guide_shows",
        "docs/ADMIN.md",
        "## When a key is lost",
        Needs::Root,
    ),
    (
        "a_lost_state_directory_is_made_again_as_the_guide_shows",
        "docs/ADMIN.md",
        "## Drill: the state directory is lost",
        Needs::Root,
    ),
    (
        "a_lost_host_is_replaced_as_the_guide_shows",
        "docs/ADMIN.md",
        "## Drill: the host is lost",
        Needs::Root,
    ),
    ("a_crash_ends_as_the_guide_shows", "docs/ADMIN.md", "## A crash", Needs::Root),
];

fn main() -> std::process::ExitCode {
    let mut trials: Vec<_> = TYPED
        .into_iter()
        .map(|(name, document, title, needs)| {
            trial(name, needs, move || types_a_section(document, title))
        })
        .collect();
    trials.extend(answers::trials());
    trials.extend(interface::trials());
    trials.extend(links::trials());
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
