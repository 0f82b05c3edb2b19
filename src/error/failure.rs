//! The error itself.

use super::{Code, ErrorKind};

/// The result of everything in this crate that can be refused or fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal or a failure.
///
/// The message says what was being done and to what, never a secret and never a bare errno.
pub struct Error {
    inner: Box<Inner>,
}

// Boxed so that `Result<T>` stays small on the data path, where errors are rare.
struct Inner {
    kind: ErrorKind,
    code: Option<Code>,
    message: String,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` is a clause such as `disk "db" is not attached`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Error { inner: Box::new(Inner { kind, code: None, message, remedy: None, source: None }) }
    }

    /// The failure of a system call: ENOSPC and EDQUOT become [`ErrorKind::NoSpace`], the rest
    /// [`ErrorKind::Io`]. `doing` is what was attempted and on what.
    pub fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::NoSpace
            }
            _ => ErrorKind::Io,
        };
        Error::new(kind, doing).caused_by(source)
    }

    /// Adds the documented code of the service this project follows, such as `EVS.2040`.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.inner.code = Some(code);
        self
    }

    /// Adds what the reader should do, ideally a command to type.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.inner.remedy = Some(remedy.into());
        self
    }

    /// Adds the error that made this one.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same once more, its causes in words: for whoever asks again.
    #[must_use]
    pub fn again(&self) -> Error {
        let mut error = Error::new(self.kind(), self.explained());
        error.inner.code = self.documented_code();
        error.inner.remedy = self.suggested_remedy().map(str::to_owned);
        error
    }

    /// What a caller acts on.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The documented code, where there is one.
    pub fn documented_code(&self) -> Option<Code> {
        self.inner.code
    }

    /// The code shown to people: the documented one, else `EVSFS.` and the kind's name.
    pub fn shown_code(&self) -> String {
        match self.inner.code {
            Some(code) => code.as_str().to_owned(),
            None => format!("EVSFS.{}", self.inner.kind.name()),
        }
    }

    /// What was refused and why, without the cause.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What the reader should do.
    pub fn suggested_remedy(&self) -> Option<&str> {
        self.inner
            .remedy
            .as_deref()
            .or_else(|| self.crate_source().and_then(Error::suggested_remedy))
    }

    /// The documented code of the nearest cause that has one: EVS.2040 is caused by KMS.0209.
    pub fn cause_code(&self) -> Option<Code> {
        let cause = self.crate_source()?;
        cause.documented_code().or_else(|| cause.cause_code())
    }

    /// The errno given to a system call that met this error.
    pub fn errno(&self) -> i32 {
        self.inner.kind.errno()
    }

    fn crate_source(&self) -> Option<&Error> {
        self.inner.source.as_deref().and_then(|source| source.downcast_ref::<Error>())
    }

    /// The message followed by the messages of all causes, for one line of text.
    pub fn explained(&self) -> String {
        let mut text = self.inner.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            match cause.downcast_ref::<Error>() {
                Some(error) => text.push_str(error.message()),
                None => text.push_str(&cause.to_string()),
            }
            source = cause.source();
        }
        text
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.explained(), self.shown_code())
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Error[{}] {self}", self.inner.kind.name())?;
        match &self.inner.remedy {
            Some(remedy) => write!(f, "; fix: {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_space_and_not_a_plain_io_error() {
        let full = std::io::Error::from_raw_os_error(28);
        assert_eq!(Error::io("writing a record", full).kind(), ErrorKind::NoSpace);
        let broken = std::io::Error::from_raw_os_error(5);
        assert_eq!(Error::io("writing a record", broken).kind(), ErrorKind::Io);
    }
}
