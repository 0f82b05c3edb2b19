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
    /// The refusal as the file `error` has it: codes and kind, the message, the remedy; a line each.
    pub fn to_text(&self) -> String {
        let mut text = self.code.clone();
        if let Some(cause) = &self.cause {
            text.push_str(&format!(" ({cause})"));
        }
        let one_line = |text: &str| text.replace('\n', " ");
        text.push_str(&format!(" {}\n{}\n", self.kind, one_line(&self.message)));
        if let Some(remedy) = &self.remedy {
            text.push_str(&format!("fix: {}\n", one_line(remedy)));
        }
        text
    }

    /// The refusal that [`Refusal::to_text`] has made a text of; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Refusal> {
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (code, next) = (words.next()?, words.next()?);
        let cause = next.strip_prefix('(').and_then(|cause| cause.strip_suffix(')'));
        let kind = if cause.is_some() { words.next()? } else { next };
        Some(Refusal {
            code: code.to_owned(),
            kind: kind.to_owned(),
            message: lines.next()?.to_owned(),
            remedy: lines.next().and_then(|line| line.strip_prefix("fix: ")).map(str::to_owned),
            cause: cause.map(str::to_owned),
        })
    }

    /// Whether a system call that meets this refusal ends with this errno.
    pub fn has_errno(&self, errno: i32) -> bool {
        // Several kinds share a name.
        let mut of_name = ErrorKind::all().iter().filter(|kind| kind.name() == self.kind);
        of_name.any(|kind| kind.errno() == errno)
    }

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
    fn a_refusal_comes_back_from_its_text() {
        let whole = Refusal {
            code: "EVS.2040".to_owned(),
            kind: "key-unusable".to_owned(),
            message: "backup \"b\" cannot be opened: key \"k\" is disabled".to_owned(),
            remedy: Some("evsfs key enable k".to_owned()),
            cause: Some("KMS.0209".to_owned()),
        };
        let bare = Refusal { remedy: None, cause: None, ..whole.clone() };
        for refusal in [whole, bare] {
            assert_eq!(Refusal::from_text(&refusal.to_text()), Some(refusal));
        }
        for text in ["", "\n", "EVS.1046", "EVS.1046 in-use", "EVS.1046 (KMS.0209)\nmessage\n"] {
            assert_eq!(Refusal::from_text(text), None, "{text:?}");
        }
    }

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
