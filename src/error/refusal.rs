//! Errors as they cross the control file.

use super::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// An error as it crosses the control file: the `error` object of INTERFACE section 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `EVS.2040`, `KMS.1104`, or `EVSFS.` and a kind.
    pub code: String,
    /// The kind's public name, such as `key-unusable`.
    pub kind: String,
    /// What was refused and why, in words.
    pub message: String,
    /// What to do, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// The code of the refusal below this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
}

impl Refusal {
    /// The exit code a command ends with after this refusal (INTERFACE section 4).
    pub fn exit_code(&self) -> u8 {
        ErrorKind::all()
            .iter()
            .find(|kind| kind.name() == self.kind)
            .map_or(1, |kind| kind.exit_code())
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Refusal {
            code: error.shown_code(),
            kind: error.kind().name().to_owned(),
            message: error.explained(),
            remedy: error.suggested_remedy().map(str::to_owned),
            cause: error.cause_code().map(|code| code.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_refusal_carries_code_cause_and_the_remedy_of_the_cause() {
        let cause = Error::new(ErrorKind::KeyDisabled, "key \"finance\" is disabled")
            .code(Code::KMS_0209)
            .remedy("evsfs key enable finance");
        let error = Error::new(ErrorKind::KeyDisabled, "disk \"db\" cannot be attached")
            .code(Code::EVS_2040)
            .caused_by(cause);
        let refusal = Refusal::from(&error);
        assert_eq!(refusal.code, "EVS.2040");
        assert_eq!(refusal.cause.as_deref(), Some("KMS.0209"));
        assert_eq!(refusal.kind, "key-unusable");
        assert_eq!(refusal.remedy.as_deref(), Some("evsfs key enable finance"));
        assert_eq!(refusal.message, "disk \"db\" cannot be attached: key \"finance\" is disabled");
        assert_eq!(refusal.exit_code(), 5);
    }
}
