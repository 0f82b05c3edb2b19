//! The text of `create` files: `word=value` separated by blanks, values with blanks in double
//! quotes (INTERFACE section 1).

use crate::error::{Error, ErrorKind, Result};
use crate::service::Fields;

/// The longest command (INTERFACE section 1).
pub const MAX_COMMAND: usize = 4096;

/// A command's bytes as one line of text.
///
/// # Errors
/// `invalid` when it is too long, is not UTF-8, or holds a NUL or more than one line.
pub fn line(bytes: &[u8]) -> Result<&str> {
    let refuse = |why: &str| Error::new(ErrorKind::Invalid, format!("the command {why}"));
    if bytes.len() > MAX_COMMAND {
        return Err(refuse("is longer than 4096 bytes").remedy("write a shorter command"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        refuse("is not text in UTF-8").remedy("write one line of text; `help` says what it may be")
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.contains(['\0', '\n', '\r']) {
        return Err(refuse("must be a single line")
            .remedy("write one command at a time; one write is one command"));
    }
    Ok(text)
}

/// The words of a `create` line.
///
/// # Errors
/// `invalid`, quoting the place where the grammar is left.
pub fn words(line: &str) -> Result<Fields> {
    let mut fields = Fields::new();
    let mut rest = line.trim_start_matches(' ');
    while !rest.is_empty() {
        let Some((word, after)) = rest.split_once('=') else {
            return Err(malformed(rest, "has no `=`"));
        };
        if word.is_empty() || word.contains([' ', '"']) {
            return Err(malformed(word, "is not a word"));
        }
        let (value, after) = value(after)?;
        fields.insert_text(&word.replace('-', "_"), value)?;
        rest = after.trim_start_matches(' ');
    }
    Ok(fields)
}

/// Splits off a value; returns it and what follows.
fn value(text: &str) -> Result<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let Some((value, after)) = quoted.split_once('"') else {
            return Err(malformed(text, "has no closing quote"));
        };
        if !after.is_empty() && !after.starts_with(' ') {
            return Err(malformed(after, "follows a quoted value without a blank"));
        }
        return Ok((value, after));
    }
    let end = text.find(' ').unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    if value.contains('"') {
        return Err(malformed(value, "has a quote inside a word"));
    }
    Ok((value, after))
}

fn malformed(near: &str, why: &str) -> Error {
    let near: String = near.chars().take(40).collect();
    Error::new(ErrorKind::Invalid, format!("near {near:?}: it {why}"))
        .remedy("write word=value pairs separated by blanks, such as: name=db size=10G")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quoted_values_are_read() {
        let mut fields = words(r#" alias=finance  description="all of it" "#).unwrap();
        assert_eq!(fields.need_text("alias").unwrap(), "finance");
        assert_eq!(fields.need_text("description").unwrap(), "all of it");
        fields.finish().unwrap();
        assert_eq!(words("").unwrap(), Fields::new());
        let mut dashed = words("sector-size=512").unwrap();
        assert_eq!(dashed.need_text("sector_size").unwrap(), "512");
    }

    #[test]
    fn half_commands_are_refused() {
        for text in
            ["name", "=db", "na me=db", "d=\"x", "d=\"x\"y=1", "d=x\"y\"", "\"a\"=b", "a=1 b"]
        {
            assert!(words(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn commands_that_are_not_one_line_of_text_are_refused() {
        let long = vec![b'a'; MAX_COMMAND + 1];
        for bytes in [&b"a\nb"[..], b"a\0", b"\xff", b"a\r", &long] {
            assert_eq!(line(bytes).unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert_eq!(line(b"abc\n").unwrap(), "abc");
        assert_eq!(line(b"\n").unwrap(), "");
        assert_eq!(line(b"").unwrap(), "");
    }
}
