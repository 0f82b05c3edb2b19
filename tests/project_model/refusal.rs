//! Refusals as RULES and INTERFACE section 4 describe them.

use rustix::io::Errno;
use std::fmt;

pub type Outcome = Result<(), Refusal>;

/// A refusal: its kind, its documented code and that of the refusal below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub kind: &'static str,
    pub code: Option<&'static str>,
    pub cause: Option<&'static str>,
}

/// INTERFACE section 4: kind, its public name, errno, exit code.
const KINDS: [(&str, &str, Errno, u8); 16] = [
    ("invalid", "invalid", Errno::INVAL, 2),
    ("out-of-range", "out-of-range", Errno::RANGE, 2),
    ("not-found", "not-found", Errno::NOENT, 3),
    ("wrong-status", "wrong-status", Errno::INVAL, 4),
    ("in-use", "in-use", Errno::BUSY, 4),
    ("key-disabled", "key-unusable", Errno::KEYREVOKED, 5),
    ("key-pending-deletion", "key-unusable", Errno::KEYEXPIRED, 5),
    ("key-gone", "key-unusable", Errno::NOKEY, 5),
    ("key-pending-import", "key-unusable", Errno::NOKEY, 5),
    ("denied", "denied", Errno::ACCESS, 6),
    ("no-agency", "no-agency", Errno::ACCESS, 6),
    ("protected", "protected", Errno::PERM, 6),
    ("no-space", "no-space", Errno::NOSPC, 9),
    ("quota", "quota", Errno::DQUOT, 9),
    ("exists", "exists", Errno::EXIST, 10),
    ("detached", "detached", Errno::NODEV, 1),
];

impl Refusal {
    pub const fn new(kind: &'static str) -> Refusal {
        Refusal { kind, code: None, cause: None }
    }

    pub const fn coded(kind: &'static str, code: &'static str) -> Refusal {
        Refusal { kind, code: Some(code), cause: None }
    }

    /// Of a verb on a key that is named: the kind follows from the code.
    pub fn of_key_verb(code: &'static str) -> Refusal {
        let kind = match code {
            "-" => return Refusal::new("wrong-status"),
            "KMS.0207" => "not-found",
            "KMS.0211" => "protected",
            "KMS.1101" | "KMS.2602" | "KMS.2604" | "KMS.2606" => "invalid",
            "KMS.1104" => "exists",
            "KMS.1105" => "quota",
            "KMS.1401" | "KMS.3001" => "out-of-range",
            "KMS.0209" => "key-disabled",
            "KMS.0210" => "key-pending-deletion",
            "KMS.0309" | "KMS.0310" | "KMS.0312" | "KMS.0313" | "KMS.1201" | "KMS.1301"
            | "KMS.1402" | "KMS.1501" | "KMS.2701" | "KMS.2901" => "wrong-status",
            other => panic!("{other} is no refusal of a verb on keys"),
        };
        Refusal::coded(kind, code)
    }

    /// Of making or opening a data key (the row of RULES K1).
    pub fn of_use(code: &'static str) -> Refusal {
        let kind = match code {
            "KMS.0207" => "key-gone",
            "KMS.0209" => "key-disabled",
            "KMS.0210" => "key-pending-deletion",
            "KMS.1301" => "key-pending-import",
            other => panic!("{other} is no refusal of a data key"),
        };
        Refusal::coded(kind, code)
    }

    /// EVS.2040, caused by this one (RULES D4, D5).
    pub fn of_disk(self) -> Refusal {
        Refusal { kind: self.kind, code: Some("EVS.2040"), cause: self.code }
    }

    pub fn errno(self) -> Errno {
        self.row().2
    }

    /// Code, cause and kind, as the first line of `error` has them.
    pub fn shown(self) -> String {
        let name = self.row().1;
        let code = self.code.map_or(format!("EVSFS.{name}"), str::to_owned);
        shown(&code, self.cause, name)
    }

    /// All that a caller is told but the words: also errno and exit code.
    pub fn told(self) -> String {
        told(&self.shown(), self.errno().raw_os_error(), self.row().3)
    }

    fn row(self) -> (&'static str, &'static str, Errno, u8) {
        let row = KINDS.into_iter().find(|(kind, ..)| *kind == self.kind);
        row.unwrap_or_else(|| panic!("INTERFACE has no kind {}", self.kind))
    }
}

pub fn shown(code: &str, cause: Option<&str>, kind: &str) -> String {
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("{code}{cause} {kind}")
}

pub fn told(shown: &str, errno: i32, exit: u8) -> String {
    format!("{shown}, errno {errno}, exit code {exit}")
}

/// As a cell of a table: the numbers of the codes, or else the kind.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |code: &'static str| code.split_once('.').map_or(code, |(_, number)| number);
        match (self.code, self.cause) {
            (Some(code), Some(cause)) => write!(f, "{}:{}", number(code), number(cause)),
            (Some(code), None) => f.write_str(number(code)),
            (None, _) => f.write_str(self.kind),
        }
    }
}
