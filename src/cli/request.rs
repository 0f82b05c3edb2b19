//! Requests: one line of JSON each (INTERFACE section 3).

use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::path::Path;
use zeroize::Zeroizing;

/// An operation and its parameters.
#[derive(Clone)]
pub(super) struct Request {
    members: Map<String, Value>,
    /// A parameter that is a secret.
    secret: Option<(&'static str, Zeroizing<String>)>,
}

impl Request {
    /// The longest request, as the control file takes it.
    pub const MAX_LEN: usize = 4096;

    /// A request for `op`, a `noun.verb`.
    pub fn new(op: &str) -> Self {
        Request { members: Map::new(), secret: None }.with("op", op)
    }

    /// Adds a parameter.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.members.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a parameter that was given; leaves it to the daemon's default otherwise.
    pub fn with_given(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a secret in hexadecimal digits, which is wiped with the request and its line.
    pub fn with_secret(self, key: &'static str, digits: Zeroizing<String>) -> Self {
        Request { secret: Some((key, digits)), ..self }
    }

    /// Adds a path, made absolute: the daemon has another working directory.
    ///
    /// # Errors
    /// `invalid` for a path that is not UTF-8, which JSON cannot carry.
    pub fn with_path(self, key: &str, path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path)
            .map_err(|cause| Error::io(format!("finding the directory of {path:?}"), cause))?;
        match absolute.to_str() {
            Some(text) => Ok(self.with(key, text)),
            None => Err(Error::new(ErrorKind::Invalid, format!("the path {path:?} is not UTF-8"))
                .remedy("use a path made of UTF-8 characters")),
        }
    }

    /// The line to write, its end included.
    ///
    /// # Errors
    /// `invalid` when it is longer than the control file takes.
    pub fn line(&self) -> Result<Zeroizing<String>> {
        // Room for all of it from the start: growing would leave a copy behind.
        let mut line = Zeroizing::new(String::with_capacity(2 * Request::MAX_LEN));
        line.push_str(&Value::from(self.members.clone()).to_string());
        if let Some((key, digits)) = &self.secret {
            line.pop();
            for part in [",\"", *key, "\":\"", digits.as_str(), "\"}"] {
                line.push_str(part);
            }
        }
        line.push('\n');
        if line.len() > Request::MAX_LEN {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("the request is {} bytes long, and 4096 are allowed", line.len()),
            )
            .remedy("use shorter names and texts"));
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_request_is_one_line_with_what_was_given() {
        let line = Request::new("disk.create")
            .with("name", "a\nb")
            .with_given("key", None::<&str>)
            .with_given("size", Some(1 << 30))
            .line()
            .unwrap();
        assert_eq!(*line, "{\"op\":\"disk.create\",\"name\":\"a\\nb\",\"size\":1073741824}\n");
        let secret = zeroize::Zeroizing::new("00ff".to_owned());
        let line = Request::new("x").with_secret("key", secret).line().unwrap();
        assert_eq!(*line, "{\"op\":\"x\",\"key\":\"00ff\"}\n");
    }

    #[test]
    fn a_request_longer_than_the_control_file_takes_is_refused_here() {
        assert!(Request::new("x").with("text", "a".repeat(5000)).line().is_err());
    }
}
