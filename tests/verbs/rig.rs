//! What the tests of verbs share: requests on `control`, other users, refusals.

pub use crate::support::as_user;
use crate::support::{Mount, Output};
use rustix::io::Errno;
use serde_json::Value;
use std::io::{Read, Write};

/// One request on `control` and its answer.
#[track_caller]
pub fn ask(mount: &Mount, request: &Value) -> Value {
    let mut file =
        std::fs::File::options().read(true).write(true).open(mount.control("control")).unwrap();
    file.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with('\n'), "{answer}");
    serde_json::from_str(&answer).unwrap()
}

/// The errno a call failed with.
#[track_caller]
pub fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Errno {
    Errno::from_io_error(&result.expect_err("this must fail")).unwrap()
}

/// The three lines of a refusal: what was refused, why with these codes, what helps.
#[track_caller]
pub fn three_lines(output: Output, exit: i32, codes: &str) -> [String; 3] {
    assert_eq!(output.stdout, "", "nothing but the answer is on stdout");
    let text = output.refused(exit);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("evsfs: "), "{text}");
    assert!(lines[1].ends_with(&format!("({codes})")), "{text}");
    assert!(lines[2].starts_with("fix: "), "{text}");
    lines.try_into().unwrap()
}

/// Runs `evsfs` on this mount as another user.
pub fn evsfs_as(mount: &Mount, uid: u32, arguments: &[&str]) -> Output {
    let mountpoint = mount.mountpoint();
    let mut all = vec!["--mount", mountpoint.to_str().unwrap()];
    all.extend_from_slice(arguments);
    mount.as_uid(uid, mount.program(), &all)
}

/// The entries of a directory, sorted.
#[track_caller]
pub fn names_in(directory: &std::path::Path) -> Vec<String> {
    try_names_in(directory).unwrap()
}

pub fn try_names_in(directory: &std::path::Path) -> std::io::Result<Vec<String>> {
    let mut names = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap()))
        .collect::<std::io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}
