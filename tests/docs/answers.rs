//! docs/JSON.md: the words that answers choose from, and the commands that have answers. That its
//! members are those of the answers is shown by `tests/watch`.

use super::interface::{Names, every_command, rows, same, source, spans};
use crate::support::{Needs, trial};
use libtest_mimic::Trial;

const DOCUMENT: &str = include_str!("../../docs/JSON.md");

pub fn trials() -> Vec<Trial> {
    let nothing = Needs::Nothing;
    vec![
        trial("the_document_of_answers_names_every_status_and_kind", nothing, statuses),
        trial("the_document_of_answers_has_every_command", nothing, commands),
    ]
}

/// The words of a member that has one of several.
fn choices(object: &str, member: &str) -> Names {
    let section = DOCUMENT.split(&format!("\n## {object}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = rows(section);
    let row = rows.iter().find(|row| row[0] == format!("`{member}`")).unwrap();
    spans(row[2]).filter(|word| !word.contains(' ')).collect()
}

fn statuses() {
    for (object, member, file, kind) in [
        ("disk", "status", "service/status.rs", "DiskStatus"),
        ("backup", "status", "service/backup/status.rs", "BackupStatus"),
        ("image", "status", "service/images/entry.rs", "ImageStatus"),
        ("server", "status", "service/servers/entry.rs", "ServerStatus"),
        ("job", "kind", "service/jobs/kind.rs", "JobKind"),
        ("job", "state", "service/jobs/state.rs", "JobState"),
    ] {
        // Lines such as `JobState::Done => "done",`.
        let text = source(file);
        let arms =
            text.lines().map(str::trim).filter(|line| line.starts_with(&format!("{kind}::")));
        let words = arms.filter_map(|arm| arm.split("=> \"").nth(1)?.split('"').next());
        let there: Names = words.map(str::to_owned).collect();
        assert!(there.len() > 3, "{file}: {there:?}");
        same(&format!("docs/JSON.md, {member} of {object}"), &choices(object, member), &there);
    }
}

/// What prints no value of JSON: completions are a script.
const WITHOUT_ANSWER: [&str; 1] = ["completions"];

fn commands() {
    let table = DOCUMENT.split("\n| command | answer |\n").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let there: Names = every_command().into_keys().collect();
    let mut named = Names::from(WITHOUT_ANSWER.map(str::to_owned));
    for row in table.lines().filter(|row| !row.starts_with("|--")) {
        let mut noun = String::new();
        for span in spans(row.split('|').nth(1).unwrap()) {
            let words = span.split(' ').filter(|w| w.starts_with(|c: char| c.is_ascii_lowercase()));
            let words: Vec<&str> = words.collect();
            match words[..] {
                [] => {}
                [verb] if there.contains(&format!("{noun} {verb}")) => {
                    named.insert(format!("{noun} {verb}"));
                }
                [first, ..] => {
                    noun = first.to_owned();
                    named.insert(words.join(" "));
                }
            }
        }
    }
    same("docs/JSON.md, commands", &named, &there);
}
