//! The JSON of `control`: one request a line, one answer a line (INTERFACE section 3).

use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::service::{Command, FieldValue, Fields, Reply};
use serde_json::Value;
use zeroize::Zeroizing;

/// More than any answer that holds a data key: its longest member is a path.
const ROOM: usize = 16 << 10;
/// The answer when the answer cannot be written.
const NOT_WRITTEN: &[u8] = b"{\"error\":{\"code\":\"EVSFS.internal\",\"kind\":\"internal\",\
    \"message\":\"the answer could not be written\"}}\n";

/// The command in one line of JSON.
///
/// # Errors
/// `invalid`, saying what is malformed.
pub fn command(line: &str) -> Result<Command> {
    let value: Value = serde_json::from_str(line).map_err(|cause| {
        Error::new(ErrorKind::Invalid, "the request is not JSON")
            .caused_by(cause)
            .remedy(r#"write one object a line, such as {"op":"disk.list"}"#)
    })?;
    let Value::Object(members) = value else {
        return Err(invalid("the request is not a JSON object"));
    };
    let mut op = None;
    let mut fields = Fields::new();
    for (word, value) in members {
        match (word.as_str(), value) {
            ("op", Value::String(text)) => op = Some(text),
            ("op", _) => return Err(invalid("\"op\" must be text")),
            (_, Value::Null) => {}
            // Moved, not copied: it may be the material of a key.
            (word, Value::String(text)) => fields.insert(word, FieldValue::Text(text))?,
            (word, Value::Bool(flag)) => fields.insert(word, FieldValue::Flag(flag))?,
            (word, Value::Number(number)) => {
                let number = number
                    .as_i64()
                    .ok_or_else(|| invalid(&format!("{word:?} is not a whole number in range")))?;
                fields.insert(word, FieldValue::Number(number))?;
            }
            (word, Value::Array(_) | Value::Object(_)) => {
                return Err(invalid(&format!("{word:?} must be text, a number or a boolean")));
            }
        }
    }
    let op = op.ok_or_else(|| invalid("\"op\" is missing"))?;
    Command::from_request(&op, fields)
}

/// The answer to a request, with its newline. It may hold a data key, so it is wiped when dropped.
pub fn answer(result: &Result<Reply>) -> Zeroizing<Vec<u8>> {
    // Room for a data key from the start: growing would leave a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(ROOM));
    let written = match result {
        Ok(reply) => {
            line.extend_from_slice(b"{\"ok\":");
            reply.write_json(&mut line)
        }
        Err(error) => {
            line.extend_from_slice(b"{\"error\":");
            serde_json::to_writer(&mut *line, &Refusal::from(error)).map_err(|cause| {
                Error::new(ErrorKind::Internal, "writing an answer").caused_by(cause)
            })
        }
    };
    match written {
        Ok(()) => line.extend_from_slice(b"}\n"),
        Err(error) => {
            log::error!("event=answer-not-written error=\"{error}\"");
            line.clear();
            line.extend_from_slice(NOT_WRITTEN);
        }
    }
    line
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message).remedy(r#"such as {"op":"disk.attach","name":"db"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_meet_in_the_same_command() {
        let json = command(r#"{"op":"disk.create","name":"db","size":1048576,"encrypted":true}"#);
        let text = super::super::grammar::words("name=db size=1M encrypted=yes")
            .and_then(|words| Command::from_request("disk.create", words));
        assert_eq!(json.unwrap(), text.unwrap());
    }

    #[test]
    fn malformed_requests_are_refused() {
        for line in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"op":1}"#,
            r#"{"op":"disk.list","name":[1]}"#,
            r#"{"op":"disk.create","name":"db","size":1e9}"#,
            r#"{"op":"disk.create","name":"db","size":-1}"#,
            r#"{"op":"disk.create","name":"db","size":1.5}"#,
            r#"{"op":"disk.create","name":"db","size":99999999999999999999}"#,
        ] {
            assert_eq!(command(line).unwrap_err().kind(), ErrorKind::Invalid, "{line}");
        }
    }
}
