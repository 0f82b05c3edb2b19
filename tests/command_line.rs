//! The program as a user meets it where no mount is needed: exit codes, streams, three lines.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program with an environment in which it finds neither a mount nor a configuration.
fn evsfs(nowhere: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evsfs"))
        .args(arguments)
        .env("EVSFS_MOUNT", nowhere.join("mount"))
        .env("EVSFS_CONFIG", nowhere.join("mount.toml"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(lines[0].starts_with("evsfs: ") && lines[1].ends_with(')'), "{stderr}");
    assert!(lines[2].starts_with("fix: "), "{stderr}");
}

#[test]
fn refusals_are_three_lines_on_stderr_with_the_documented_exit_code() {
    let nowhere = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["disk", "creat"][..], 2),
        (&["disk", "create", "db"], 2),
        (&["disk", "show", "a/b"], 2),
        (&["disk", "delete", "db"], 2),
        (&["mount"], 3),
        (&["mount", "-f"], 3),
        (&["check"], 3),
        (&["disk", "list"], 11),
        (&["status", "--json"], 11),
        (&["umount"], 11),
        (&["bench"], 11),
        (&["bench", "--disk", "db"], 11),
        (&["bench", "--disk", "db", "--memory"], 2),
        (&["bench", "--memory", "--seconds", "0"], 2),
    ] {
        refused(&evsfs(nowhere.path(), arguments), code);
    }
}

#[test]
fn a_mistake_in_the_configuration_stops_mount_with_its_key() {
    let nowhere = tempfile::tempdir().unwrap();
    let file = nowhere.path().join("mount.toml");
    std::fs::write(&file, "mountpoint = '/m'\nstate_dir = '/s'\n[mount]\nthreds = 1\n").unwrap();
    let output = evsfs(nowhere.path(), &["mount"]);
    refused(&output, 2);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = format!("{}: mount.threds: unknown key; did you mean", file.display());
    assert!(stderr.contains(&expected), "{stderr}");
}

#[test]
fn help_and_version_are_answers() {
    let nowhere = tempfile::tempdir().unwrap();
    for arguments in [&["--version"][..], &["help"], &["help", "disk", "create"], &["key", "-h"]] {
        let output = evsfs(nowhere.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty() && output.stdout.ends_with(b"\n"), "{arguments:?}");
    }
}

#[test]
fn a_closed_pipe_is_met_without_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_evsfs"))
        .arg("help")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}

#[test]
fn bench_in_memory_takes_no_mount_and_shows_every_kernel_and_both_kinds_of_disk() {
    let nowhere = tempfile::tempdir().unwrap();
    let bench = ["bench", "--memory", "--seconds", "0.02"];
    let output = evsfs(nowhere.path(), &[&bench[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kernels = answer["kernels"].as_array().unwrap();
    assert_eq!(kernels.len(), 2 * evsfs::crypto::Kernel::available().count());
    for kernel in kernels {
        assert!(kernel["seal_bytes_per_second"].as_u64().unwrap() > 0, "{kernel}");
        assert!(kernel["open_bytes_per_second"].as_u64().unwrap() > 0, "{kernel}");
    }
    let requests = answer["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 8);
    for row in requests {
        assert!(row["bytes_per_second"].as_u64().unwrap() > 0, "{row}");
    }
    let text = evsfs(nowhere.path(), &bench);
    let text = String::from_utf8(text.stdout).unwrap();
    for part in ["KERNEL", "portable", "GB/s", "REQUESTS", "sequential-read", "unencrypted"] {
        assert!(text.contains(part), "{text}");
    }
}

/// What `evsfs help` names, and what each of these names, as words: `["disk", "create"]`.
fn verbs(nowhere: &Path, words: &[&str]) -> Vec<Vec<String>> {
    let output = evsfs(nowhere, &[words, &["--help"]].concat());
    let help = String::from_utf8(output.stdout).unwrap();
    let Some((_, commands)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut found = Vec::new();
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        let words: Vec<&str> = words.iter().copied().chain([name]).collect();
        found.push(words.iter().map(ToString::to_string).collect());
        found.extend(verbs(nowhere, &words));
    }
    found
}

#[test]
fn every_verb_has_a_manual_page_and_is_completed_by_every_shell() {
    let nowhere = tempfile::tempdir().unwrap();
    let directory = nowhere.path().join("man1");
    let output = evsfs(nowhere.path(), &["man", directory.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let scripts = ["bash", "zsh", "fish"].map(|shell| {
        let output = evsfs(nowhere.path(), &["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        String::from_utf8(output.stdout).unwrap()
    });
    let verbs = verbs(nowhere.path(), &[]);
    assert!(verbs.len() > 40, "{verbs:?}");
    for verb in &verbs {
        let page = directory.join(format!("evsfs-{}.1", verb.join("-")));
        let text =
            std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{verb:?} has no page"));
        let synopsis = format!("evsfs {}", verb.join(" "));
        assert!(text.replace("\\-", "-").contains(&synopsis), "{}: {text}", page.display());
        for script in &scripts {
            assert!(script.contains(verb.last().unwrap()), "{verb:?}");
        }
    }
    let pages = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(pages, verbs.len() + 3, "evsfs.1, a page a verb, mount.evsfs.8 and mount.toml.5");
    refused(&evsfs(nowhere.path(), &["man", "/proc/nowhere"]), 1);
    refused(&evsfs(nowhere.path(), &["completions", "tcsh"]), 2);
}
