//! The shape of `mount.toml`: which keys there are and of which type.

use super::mistake::{mistake, nearest};
use crate::error::Result;
use serde::Deserialize;
use std::path::Path;

/// The whole file, not checked yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub mountpoint: String,
    pub state_dir: String,
    #[serde(default = "local")]
    pub region: String,
    #[serde(default = "default_project")]
    pub project: String,
    #[serde(default)]
    pub backing_dirs: Vec<String>,
    #[serde(default)]
    pub mount: MountTable,
    #[serde(default)]
    pub kms: KmsTable,
    #[serde(default)]
    pub defaults: DefaultsTable,
    #[serde(default)]
    pub user: Vec<UserTable>,
}

/// `[mount]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MountTable {
    pub user: Option<String>,
    pub allow_other: bool,
    pub threads: i64,
    pub cache: String,
    pub kernel: String,
    pub passthrough: bool,
    pub direct_backing: bool,
    pub reattach: bool,
    pub jobs: i64,
    pub shutdown_grace: String,
    pub sandbox: bool,
    pub sandbox_also: Vec<String>,
}

/// `[kms]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KmsTable {
    pub hsm: String,
    pub root_key_file: Option<String>,
    pub passphrase: Option<bool>,
    pub module: Option<String>,
    pub token: Option<String>,
    pub pin_file: Option<String>,
}

/// `[defaults]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DefaultsTable {
    pub encryption: String,
    pub key: String,
    pub sector_size: i64,
}

/// One `[[user]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    pub name: String,
    pub uid: i64,
    pub roles: Vec<String>,
}

fn local() -> String {
    "local".to_owned()
}

fn default_project() -> String {
    "default".to_owned()
}

impl Default for MountTable {
    fn default() -> Self {
        MountTable {
            user: None,
            allow_other: false,
            threads: 0,
            cache: "writeback".to_owned(),
            kernel: "auto".to_owned(),
            passthrough: false,
            direct_backing: false,
            reattach: true,
            jobs: 2,
            shutdown_grace: "30s".to_owned(),
            sandbox: true,
            sandbox_also: Vec::new(),
        }
    }
}

impl Default for KmsTable {
    fn default() -> Self {
        KmsTable {
            hsm: "soft".to_owned(),
            root_key_file: None,
            passphrase: None,
            module: None,
            token: None,
            pin_file: None,
        }
    }
}

impl Default for DefaultsTable {
    fn default() -> Self {
        DefaultsTable {
            encryption: "on".to_owned(),
            key: crate::id::Alias::DEFAULT.to_owned(),
            sector_size: 4096,
        }
    }
}

impl Document {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// `invalid` for text that is not TOML, an unknown or repeated key, a missing key, a wrong type.
    pub fn parse(text: &str, file: &Path) -> Result<Document> {
        let deserializer = toml::Deserializer::parse(text)
            .map_err(|error| mistake(file, "", at_line(text, &error)))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let key = error.path().to_string();
            let key = if key == "." { "" } else { key.as_str() };
            mistake(file, key, reason(text, error.inner()))
        })
    }
}

/// Why the text does not have the shape, in the words of `mount.toml` rather than of Rust.
fn reason(text: &str, error: &toml::de::Error) -> String {
    // serde's own words: unknown field `x`, expected one of `a`, `b`. A quoted x may hold anything.
    let message = error.message();
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (unknown, known) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
        let words = known.split('`').skip(1).step_by(2);
        let hint = match nearest(unknown, words.clone()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("known here: {}", words.collect::<Vec<_>>().join(", ")),
        };
        return format!("unknown key; {hint}{}", line_of(text, error));
    }
    if let Some(missing) = message.strip_prefix("missing field `") {
        return format!("{:?} is missing{}", missing.trim_end_matches('`'), line_of(text, error));
    }
    at_line(text, error)
}

fn at_line(text: &str, error: &toml::de::Error) -> String {
    let message = error
        .message()
        .replace("expected i64", "expected a whole number")
        .replace("expected a sequence", "expected a list")
        .replace("expected struct", "expected the table")
        .replace('\n', ", ");
    format!("{}{}", message.trim_end_matches(", "), line_of(text, error))
}

fn line_of(text: &str, error: &toml::de::Error) -> String {
    // A fault of the file as a whole spans all of it and has no line worth naming.
    match error.span().and_then(|span| text.get(..span.start).map(|before| (span, before))) {
        Some((span, before)) if span.end - span.start < text.len() => {
            format!(" (line {})", before.matches('\n').count() + 1)
        }
        _ => String::new(),
    }
}

/// The keys of a table, as serde names them when it meets one it does not know.
#[cfg(test)]
fn keys_of(table: &str) -> Vec<String> {
    let text = format!("mountpoint = '/m'\nstate_dir = '/s'\n{table}\nno-such-key = 1");
    let error = toml::from_str::<Document>(&text).unwrap_err();
    error.message().split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

/// Every key of every table, but the tables themselves.
#[cfg(test)]
pub(super) fn keys() -> Vec<String> {
    let tables = ["", "[mount]", "[kms]", "[defaults]", "[[user]]"];
    let keys = tables.into_iter().flat_map(keys_of);
    keys.filter(|key| !["mount", "kms", "defaults", "user"].contains(&key.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Document, keys_of};
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn every_key_appears_in_the_example_with_a_comment() {
        let lines: Vec<&str> = Config::example().lines().collect();
        for table in ["", "[mount]", "[kms]", "[defaults]", "[[user]]"] {
            let keys = keys_of(table);
            assert!(keys.len() >= 3, "{table}: {keys:?}");
            for key in keys {
                let is_this = |line: &&str| {
                    let line = line.trim_start_matches("# ");
                    line.starts_with(&format!("{key} = "))
                        || line.starts_with(&format!("[{key}]"))
                        || line.starts_with(&format!("[[{key}]]"))
                };
                let at = lines.iter().position(is_this);
                let at = at.unwrap_or_else(|| panic!("{table} {key} is not in the example"));
                assert!(
                    at > 0 && lines[at - 1].starts_with("# "),
                    "{table} {key} is not explained on the line above it"
                );
            }
        }
    }

    #[test]
    fn the_line_of_a_mistake_is_named() {
        let text = "mountpoint = '/m'\nstate_dir = '/s'\n[mount]\nthreads = 'four'\n";
        let error = Document::parse(text, Path::new("/f.toml")).unwrap_err();
        assert_eq!(
            error.message(),
            "/f.toml: mount.threads: invalid type: string \"four\", expected a whole number (line 4)"
        );
    }
}
