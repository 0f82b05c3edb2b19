//! docs/INTERFACE.md against the program: what is there is named, and what is named is there.

use crate::support::{Mount, Needs, run, trial};
use evsfs::error::ErrorKind;
use evsfs::service::{Command, Fields, JobState};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const DOCUMENT: &str = include_str!("../../docs/INTERFACE.md");
const NOUNS: [&str; 6] = ["disk", "key", "backup", "image", "server", "job"];

pub type Names = BTreeSet<String>;

pub fn trials() -> Vec<Trial> {
    let nothing = Needs::Nothing;
    vec![
        trial("the_document_names_every_control_file_and_its_mode", nothing, control_files),
        trial("the_document_names_every_operation_and_its_words", nothing, operations),
        trial("the_document_names_every_event", nothing, events),
        trial("the_document_names_every_command_and_its_options", nothing, commands),
        trial("the_document_names_every_kind_code_and_exit_code", nothing, refusals),
        trial("the_document_names_every_key_of_the_configuration", nothing, configuration),
        trial("the_document_names_every_file_of_a_state_directory", Needs::Fuse, state_directory),
    ]
}

pub fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
}

/// All source below a directory, without comments and tests.
fn sources(directory: &str) -> String {
    let mut all = String::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(directory);
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            all.push_str(&sources(&name));
        } else if name.ends_with(".rs") {
            let text = source(&name);
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.for_each(|line| all.push_str(&format!("{line}\n")));
        }
    }
    all
}

/// The lines of a chapter or of a part of one.
fn section(title: &str) -> &'static str {
    let heading = format!("\n{title}\n");
    let text = DOCUMENT.split(&heading).nth(1).unwrap_or_else(|| panic!("no {title:?}"));
    let level = title.split(' ').next().unwrap();
    let end = ["\n# ", "\n## ", "\n### "].into_iter().take(level.len());
    end.filter_map(|heading| text.find(heading)).min().map_or(text, |end| &text[..end])
}

/// The rows of a section's table, cell by cell, without its head.
pub fn rows(section: &str) -> Vec<Vec<&str>> {
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in code font.
pub fn spans(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The text between each `before` and the quote after it.
fn quoted_after<'t>(text: &'t str, before: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[track_caller]
pub fn same(what: &str, documented: &Names, there: &Names) {
    let missing: Vec<_> = there.difference(documented).collect();
    let invented: Vec<_> = documented.difference(there).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: the document does not name {missing:?}, and names {invented:?}, which do not exist"
    );
}

fn control_files() {
    let mut parts = vec![("### `.evs`".to_owned(), "fs/files.rs".to_owned())];
    for noun in NOUNS {
        let object = match noun {
            "key" => "ALIAS",
            "job" => "ID",
            _ => "NAME",
        };
        parts.push((format!("### `{noun}s/{object}`"), format!("fs/objects/{noun}.rs")));
    }
    for (title, file) in parts {
        // Lines such as `Status = "status" Value,`.
        let text = source(&file);
        let table = text.rsplit("control_files! {").next().unwrap().split("\n}").next().unwrap();
        let mut there = Names::new();
        for line in table.lines().filter(|line| line.contains(" = \"")) {
            let mut parts = line.split('"').skip(1);
            let (name, usage) = (parts.next().unwrap(), parts.next().unwrap());
            let mode = match usage.trim() {
                "Value," => "r",
                "Verb," => "w",
                "Both," => "rw",
                other => panic!("{file}: {other}"),
            };
            there.insert(format!("{name} {mode}"));
        }
        assert!(there.len() > 5, "{file}");
        let rows = rows(section(&title));
        let named =
            rows.iter().flat_map(|row| spans(row[0]).map(|name| format!("{name} {}", row[1])));
        same(&title, &named.collect(), &there);
    }
}

fn operations() {
    let files: Vec<String> = ["agency", "audit", "default_encryption", "mount"]
        .into_iter()
        .chain(NOUNS)
        .map(str::to_owned)
        .collect();
    let mut there = Names::new();
    let mut words_of: BTreeMap<String, Names> = BTreeMap::new();
    for file in files {
        let mut text = source(&format!("service/commands/{file}.rs"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/commands");
        // What is put into a file of its own belongs to its noun: disk_import.rs.
        for entry in std::fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(&format!("{file}_")) {
                text.push_str(&source(&format!("service/commands/{name}")));
            }
        }
        let noun = file.replace('_', "-");
        let verbs = text.split("fn from_words").nth(1).unwrap().split("\n    }\n").next().unwrap();
        for line in verbs.lines().map(str::trim_start).filter(|line| line.starts_with('"')) {
            let verb = line.split('"').nth(1).unwrap();
            there.insert(format!("{noun}.{verb}"));
        }
        let mut words = Names::new();
        for kind in ["text", "flag", "alias", "name", "integer"] {
            for method in ["need", "take"] {
                words.extend(
                    quoted_after(&text, &format!("{method}_{kind}(\""))
                        .iter()
                        .map(|w| (*w).to_owned()),
                );
            }
        }
        // Where two verbs call the same word by two names.
        words.extend(quoted_after(&text, "(words, \"").iter().map(|w| (*w).to_owned()));
        if text.contains("take_limit()") {
            words.insert("limit".to_owned());
        }
        words_of.insert(noun, words);
    }
    let (mut named, mut named_words) = (Names::new(), BTreeMap::<String, Names>::new());
    for row in rows(section("## 2. Requests")) {
        for operation in spans(row[0]) {
            let (noun, _) = operation.split_once('.').unwrap();
            let words = spans(row[1]).filter(|word| !word.contains('.'));
            named_words.entry(noun.to_owned()).or_default().extend(words);
            let refusal = Command::from_request(&operation, Fields::new()).err();
            let is_unknown = refusal.is_some_and(|e| e.to_string().contains("no operation"));
            assert!(!is_unknown, "there is no {operation}");
            named.insert(operation);
        }
    }
    same("operations", &named, &there);
    for (noun, words) in words_of {
        same(&format!("words of {noun}"), &named_words[&noun], &words);
    }
}

fn events() {
    let text = sources("service");
    let mut there = Names::from(["lost".to_owned()]);
    let mut literals = BTreeSet::new();
    for teller in ["tell_of_", "Event::of_"] {
        for call in text.split(teller).skip(1) {
            let call: String = call.chars().take(90).collect();
            let Some((_, after)) = call.split_once('(') else { continue };
            let first = after.trim_start().trim_start_matches("&format!(");
            if let Some(literal) = first.strip_prefix('"').and_then(|l| l.split('"').next()) {
                // The others are verbs that have failed.
                if literal.contains('.') {
                    literals.insert(literal.to_owned());
                }
            }
        }
    }
    for literal in literals {
        match literal.split_once('{') {
            None => drop(there.insert(literal)),
            // As src/service/commands/agency.rs says.
            Some(("agency.", _)) => {
                there.extend(["agency.created", "agency.deleted"].map(str::to_owned));
            }
            Some(("job.", _)) => there.extend(
                [JobState::Done, JobState::Failed, JobState::Cancelled]
                    .map(|state| format!("job.{}", state.name())),
            ),
            Some(("key.", _)) => {
                let files = [source("service/commands/key.rs"), source("service/control_plane.rs")];
                for line in files.iter().flat_map(|file| file.lines()) {
                    let is_change = line.contains("(\"") && line.contains("kms.");
                    let words = quoted_after(line, "(\"");
                    there.extend(words.iter().filter(|_| is_change).map(|w| format!("key.{w}")));
                }
                // A line may be too long for its word and its call.
                for line in files[0].lines().filter(|line| line.trim_start().starts_with("(\"")) {
                    there.extend(quoted_after(line, "(\"").iter().map(|w| format!("key.{w}")));
                }
            }
            Some(_) => panic!("{literal}: how many events is that?"),
        }
    }
    assert!(there.len() > 30, "{there:?}");
    let rows = rows(section("## 3. Events"));
    same("events", &rows.iter().flat_map(|row| spans(row[0])).collect(), &there);
}

/// Every command with its options, from `--help`.
fn commands_below(path: &[&str], all: &mut BTreeMap<String, Names>) {
    let mut words = path.to_vec();
    words.push("--help");
    let help = run(env!("CARGO_BIN_EXE_evsfs"), &words).ok();
    if let Some(list) = help.split("\nCommands:\n").nth(1) {
        for line in list.lines().take_while(|line| line.starts_with("  ")) {
            // A verb stands two blanks in, the rest of its description further.
            let verb = line.trim_start().split(' ').next().unwrap();
            if verb != "help" && line.len() - line.trim_start().len() == 2 {
                let path: Vec<&str> = path.iter().copied().chain([verb]).collect();
                commands_below(&path, all);
            }
        }
        return;
    }
    let everywhere = ["--json", "--mount", "--yes", "--help", "--version"];
    let mut options = Names::new();
    for line in help.lines().map(str::trim_start) {
        let long = match line.strip_prefix('-') {
            Some(rest) if rest.starts_with('-') => line,
            Some(rest) => rest.get(3..).unwrap_or(""),
            None => "",
        };
        let end = long.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(long.len());
        let long = &long[..end];
        if long.starts_with("--") && !everywhere.contains(&long) {
            options.insert(long.to_owned());
        }
    }
    all.insert(path.join(" "), options);
}

/// Every command with its options.
pub fn every_command() -> BTreeMap<String, Names> {
    let mut all = BTreeMap::new();
    commands_below(&[], &mut all);
    assert!(all.len() > 50, "{all:?}");
    all
}

fn commands() {
    let there = every_command();
    let mut named = BTreeMap::new();
    for row in rows(section("## 4. The command line")) {
        let command = spans(row[0]).next().unwrap();
        let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let path: Vec<&str> = command.split(' ').take_while(is_word).collect();
        named.insert(path.join(" "), spans(row[1]).collect::<Names>());
    }
    same("commands", &named.keys().cloned().collect(), &there.keys().cloned().collect());
    for (path, options) in &there {
        same(&format!("options of {path}"), &named[path], options);
    }
}

fn refusals() {
    let text = section("## 5. Refusals");
    let (kinds, codes) = text.split_once("A refusal has a code").unwrap();
    let mut there: BTreeMap<&str, (BTreeSet<i32>, u8)> = BTreeMap::new();
    for kind in ErrorKind::all() {
        let entry = there.entry(kind.name()).or_insert((BTreeSet::new(), kind.exit_code()));
        entry.0.insert(kind.errno());
    }
    let mut named = BTreeMap::new();
    let rows_of_kinds = rows(kinds);
    for row in &rows_of_kinds {
        let errnos = row[1].split(", ").map(errno).collect();
        let name = row[0].trim_matches('`');
        named.insert(name, (errnos, row[2].parse().unwrap()));
    }
    assert_eq!(named, there);

    let source = source("error/code.rs");
    let there = source.lines().filter_map(|line| line.split(" = \"").nth(1));
    let there: Names = there.map(|rest| rest.trim_end_matches("\";").to_owned()).collect();
    assert!(there.len() > 30);
    same("codes", &rows(codes).iter().flat_map(|row| spans(row[0])).collect(), &there);
}

fn errno(name: &str) -> i32 {
    use rustix::io::Errno;
    let errno = match name {
        "EINVAL" => Errno::INVAL,
        "ERANGE" => Errno::RANGE,
        "ENOENT" => Errno::NOENT,
        "EBUSY" => Errno::BUSY,
        "EAGAIN" => Errno::AGAIN,
        "EKEYREVOKED" => Errno::KEYREVOKED,
        "EKEYEXPIRED" => Errno::KEYEXPIRED,
        "ENOKEY" => Errno::NOKEY,
        "EACCES" => Errno::ACCESS,
        "EPERM" => Errno::PERM,
        "EKEYREJECTED" => Errno::KEYREJECTED,
        "EUCLEAN" => Errno::UCLEAN,
        "EHOSTDOWN" => Errno::HOSTDOWN,
        "ENOSPC" => Errno::NOSPC,
        "EDQUOT" => Errno::DQUOT,
        "EEXIST" => Errno::EXIST,
        "EIO" => Errno::IO,
        "ENODEV" => Errno::NODEV,
        "EOPNOTSUPP" => Errno::OPNOTSUPP,
        "ENOTCONN" => Errno::NOTCONN,
        other => panic!("{other} is not known here"),
    };
    errno.raw_os_error()
}

fn configuration() {
    let text = source("config/document.rs");
    let tables = [
        ("top", "Document"),
        ("[mount]", "MountTable"),
        ("[kms]", "KmsTable"),
        ("[defaults]", "DefaultsTable"),
        ("[[user]]", "UserTable"),
    ];
    let section = section("## 6. mount.toml");
    for (table, name) in tables {
        let fields = text.split(&format!("struct {name} {{")).nth(1).unwrap();
        let fields = fields.split("\n}").next().unwrap().lines();
        let fields = fields.filter_map(|line| line.trim_start().strip_prefix("pub "));
        let keys = fields.map(|field| field.split(':').next().unwrap().to_owned());
        // Those of the top are tables, with rows of their own.
        let is_table =
            |key: &str| table == "top" && ["mount", "kms", "defaults", "user"].contains(&key);
        let there = keys.filter(|key| !is_table(key));
        let start =
            format!("| {} | ", if table == "top" { "top".into() } else { format!("`{table}`") });
        let row = section.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        same(table, &spans(row).collect(), &there.collect());
    }
}

/// A state directory with one of everything holds what the document names, and it names all it holds.
fn state_directory() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &[]);
    std::fs::write(mount.mountpoint().join("db"), [7; 4096]).unwrap();
    mount.evsfs(&["backup", "create", "db", "monday"]).ok();
    mount.evsfs(&["image", "create", "golden", "--disk", "db"]).ok();
    mount.evsfs(&["server", "create", "web", "--image", "golden"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let mut there = Names::new();
    files_below(mount.state_dir(), "", &mut there);
    let rows = rows(section("## 8. The state directory"));
    let mut named: Names = rows.iter().flat_map(|row| spans(row[0])).collect();
    // Put aside at 10 MiB.
    assert!(named.remove("daemon.log.1"));
    same("state directory", &named, &there);
}

fn files_below(directory: &Path, prefix: &str, files: &mut Names) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let part = |part: &str| match part {
            id if id.len() == 36 && id.split('-').count() == 5 => "ID".to_owned(),
            number if number.parse::<u64>().is_ok() => "N".to_owned(),
            other => other.to_owned(),
        };
        let shown = name.split('.').map(part).collect::<Vec<_>>().join(".");
        let path = format!("{prefix}{shown}");
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), &format!("{path}/"), files);
        } else {
            files.insert(path);
        }
    }
}
