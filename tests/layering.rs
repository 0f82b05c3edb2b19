//! The stack of `src/lib.rs` as data, and the fences around it.
//!
//! Production code is what stands before a file's `#[cfg(test)]`. Reading is textual: comments are
//! dropped, then every `crate::module` and every fenced token is looked at.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Module, and what it may import. Lowest first; `daemon` and `service` may import all above them.
const STACK: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("units", &["error"]),
    ("id", &["error"]),
    ("sync", &[]),
    ("measure", &[]),
    ("sys", &["error", "units", "sync"]),
    ("config", &["error", "units", "id"]),
    ("crypto", &["error", "units", "id", "sys"]),
    ("records", &["error", "id", "sync", "sys", "crypto"]),
    ("backing", &["error", "units", "sync", "sys"]),
    ("kms", &["error", "units", "id", "sync", "measure", "sys", "crypto", "records"]),
    ("auth", &["error", "id", "sync", "config", "records"]),
    ("disk", &["error", "units", "id", "sync", "measure", "sys", "crypto", "backing"]),
    ("archive", &["error", "units", "id", "sync", "sys", "crypto", "records", "backing", "disk"]),
    (
        "service",
        &[
            "error", "units", "id", "sync", "measure", "sys", "config", "crypto", "records",
            "backing", "kms", "auth", "disk", "archive",
        ],
    ),
    ("fs", &["error", "units", "id", "sync", "auth", "disk", "service"]),
    ("fuse", &["error", "units", "id", "sync", "sys", "fs"]),
    (
        "daemon",
        &[
            "error", "units", "id", "sync", "measure", "sys", "config", "crypto", "records",
            "backing", "kms", "auth", "disk", "archive", "service", "fs", "fuse",
        ],
    ),
    ("bench", &["error", "units", "sys", "crypto", "backing", "disk"]),
    ("cli", &["error", "units", "id", "config", "service", "daemon", "bench"]),
];

/// Token, and the only places where it may stand.
const FENCES: &[(&str, &[&str])] = &[
    ("fuser::", &["src/fuse/"]),
    // What knows event loops over /dev/fuse; another transport would stand beside it.
    ("BackgroundSession", &["src/fuse/session.rs"]),
    ("fuser::Session", &["src/fuse/session.rs"]),
    ("n_threads", &["src/fuse/session.rs"]),
    ("clone_fd", &["src/fuse/session.rs"]),
    ("libc::", &["src/sys/", "src/crypto/simd"]),
    ("unsafe", &["src/sys/", "src/crypto/simd"]),
    ("aes::", &["src/crypto/"]),
    ("argon2::", &["src/crypto/"]),
    ("aes_gcm::", &["src/crypto/"]),
    ("xts_mode::", &["src/crypto/"]),
    ("rsa::", &["src/crypto/"]),
    ("landlock::", &["src/sys/sandbox.rs"]),
    ("seccompiler::", &["src/sys/sandbox.rs"]),
    ("cryptoki::", &["src/kms/"]),
    ("toml::", &["src/config/", "src/records/"]),
    ("clap::", &["src/cli/"]),
    ("sd_notify::", &["src/daemon/"]),
    // Hostile files are parsed in the process of whoever brings them, never in the daemon.
    ("imago::", &["src/cli/"]),
    ("clap_complete::", &["src/cli/"]),
    ("clap_mangen::", &["src/cli/"]),
    ("systemd_journal_logger::", &["src/cli/"]),
    ("env_logger::", &["src/cli/"]),
];

const MAX_PRODUCTION_LINES: usize = 500;

struct Source {
    path: String,
    module: String,
    production: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let module =
                path["src/".len()..].split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let production = text.split("#[cfg(test)]").next().unwrap().to_owned();
            Source { path, module, production }
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code_lines(production: &str) -> impl Iterator<Item = &str> {
    production.lines().map(|line| line.split("//").next().unwrap_or(""))
}

/// The modules named as `crate::module` or inside `crate::{a, b}`.
fn imports(production: &str) -> Vec<String> {
    let code: String = code_lines(production).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with("$") {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        assert!(!rest.starts_with('{'), "write one `use crate::module` a line, not a group");
        found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    found
}

fn has_token(code: &str, token: &str) -> bool {
    code.match_indices(token).any(|(at, _)| {
        !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '"')
            && (token.ends_with(':')
                || !code[at + token.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn every_file_lies_in_a_module_of_the_stack() {
    for source in sources() {
        let known = STACK.iter().any(|(module, _)| *module == source.module)
            || matches!(source.module.as_str(), "lib" | "main");
        assert!(known, "{} is not in the stack", source.path);
    }
}

#[test]
fn imports_point_downwards_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = STACK.iter().find(|(module, _)| *module == source.module) else {
            continue;
        };
        for import in imports(&source.production) {
            if import != source.module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_stack_itself_points_downwards() {
    for (at, (module, allowed)) in STACK.iter().enumerate() {
        for import in *allowed {
            assert!(
                STACK[..at].iter().any(|(lower, _)| lower == import),
                "{module} may not import {import}, which is not below it"
            );
        }
    }
}

#[test]
fn fenced_tokens_stay_inside_their_fences() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (token, homes) in FENCES {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            for (number, line) in code_lines(&source.production).enumerate() {
                if has_token(line, token) {
                    wrong.push(format!("{}:{} has {token}", source.path, number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_has_more_than_500_production_lines() {
    for source in sources() {
        let lines = source.production.lines().count();
        assert!(lines <= MAX_PRODUCTION_LINES, "{} has {lines} lines", source.path);
    }
}

#[test]
fn lib_rs_and_main_rs_define_nothing() {
    for source in sources() {
        let allowed: &[&str] = match source.module.as_str() {
            "lib" => &["pub mod "],
            // The heap is the program's choice, and can be made nowhere else.
            "main" => &[
                "#[global_allocator]",
                "static HEAP: evsfs::sys::WipingHeap",
                "fn main()",
                "evsfs::cli::run()",
                "}",
            ],
            _ => continue,
        };
        for line in code_lines(&source.production).map(str::trim).filter(|line| !line.is_empty()) {
            assert!(allowed.iter().any(|start| line.starts_with(start)), "{}: {line}", source.path);
        }
    }
}

#[test]
fn the_table_in_lib_rs_is_this_table() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    for (module, allowed) in STACK {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("//! | [`{module}`]")))
            .unwrap_or_else(|| panic!("{module} has no row"));
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        match shown {
            "-" => assert!(allowed.is_empty(), "{module}"),
            "all above" => {}
            list => assert_eq!(list.split(' ').collect::<Vec<_>>(), *allowed, "{module}"),
        }
    }
}
