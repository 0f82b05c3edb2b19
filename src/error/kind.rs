//! What a caller can act on.

use rustix::io::Errno;

/// The kinds of refusal and failure, each with one errno and one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request makes no sense: bad name, unknown word, malformed document.
    Invalid,
    /// A number is outside the allowed range.
    OutOfRange,
    /// The object does not exist, or the caller may not know that it does.
    NotFound,
    /// The object's status does not allow the verb.
    WrongStatus,
    /// The object is open or held by somebody.
    InUse,
    /// The master key is disabled.
    KeyDisabled,
    /// The master key is scheduled for deletion.
    KeyPendingDeletion,
    /// The master key does not exist any more.
    KeyGone,
    /// The master key has no material yet.
    KeyPendingImport,
    /// The caller's roles do not allow this.
    Denied,
    /// A passphrase or PIN is not the right one; another can be tried.
    WrongSecret,
    /// The agency that lets EVS use the KMS is missing.
    NoAgency,
    /// The object protects itself: the default key, a server's system disk.
    Protected,
    /// Stored data fails authentication or does not have the form it must have.
    Integrity,
    /// A wrapped key belongs to another object.
    WrongContext,
    /// The KMS or its HSM does not answer.
    KmsUnreachable,
    /// The medium is full.
    NoSpace,
    /// The project's quota is used up.
    Quota,
    /// The name is taken.
    Exists,
    /// The backing or the state directory failed.
    Io,
    /// The attachment behind an open file has gone.
    Detached,
    /// The disk has no data key for now; whoever asked may wait until it has one again.
    Suspended,
    /// The filesystem does not offer this operation.
    Unsupported,
    /// No mount was found (command line only).
    NoMount,
    /// A bug.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const fn all() -> &'static [ErrorKind] {
        use ErrorKind as K;
        &[
            K::Invalid,
            K::OutOfRange,
            K::NotFound,
            K::WrongStatus,
            K::InUse,
            K::KeyDisabled,
            K::KeyPendingDeletion,
            K::KeyGone,
            K::KeyPendingImport,
            K::Denied,
            K::WrongSecret,
            K::NoAgency,
            K::Protected,
            K::Integrity,
            K::WrongContext,
            K::KmsUnreachable,
            K::NoSpace,
            K::Quota,
            K::Exists,
            K::Io,
            K::Detached,
            K::Suspended,
            K::Unsupported,
            K::NoMount,
            K::Internal,
        ]
    }

    /// The public name, as in `"kind":"key-unusable"`.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::OutOfRange => "out-of-range",
            ErrorKind::NotFound => "not-found",
            ErrorKind::WrongStatus => "wrong-status",
            ErrorKind::InUse => "in-use",
            ErrorKind::KeyDisabled
            | ErrorKind::KeyPendingDeletion
            | ErrorKind::KeyGone
            | ErrorKind::KeyPendingImport => "key-unusable",
            ErrorKind::Denied => "denied",
            ErrorKind::WrongSecret => "wrong-secret",
            ErrorKind::NoAgency => "no-agency",
            ErrorKind::Protected => "protected",
            ErrorKind::Integrity => "integrity",
            ErrorKind::WrongContext => "wrong-context",
            ErrorKind::KmsUnreachable => "kms-unreachable",
            ErrorKind::NoSpace => "no-space",
            ErrorKind::Quota => "quota",
            ErrorKind::Exists => "exists",
            ErrorKind::Io => "io",
            ErrorKind::Detached => "detached",
            ErrorKind::Suspended => "suspended",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::NoMount => "no-mount",
            ErrorKind::Internal => "internal",
        }
    }

    /// The errno of the table in INTERFACE section 4.
    pub const fn errno(self) -> i32 {
        match self {
            ErrorKind::Invalid => Errno::INVAL.raw_os_error(),
            ErrorKind::OutOfRange => Errno::RANGE.raw_os_error(),
            ErrorKind::NotFound => Errno::NOENT.raw_os_error(),
            ErrorKind::WrongStatus => Errno::INVAL.raw_os_error(),
            ErrorKind::InUse => Errno::BUSY.raw_os_error(),
            ErrorKind::KeyDisabled => Errno::KEYREVOKED.raw_os_error(),
            ErrorKind::KeyPendingDeletion => Errno::KEYEXPIRED.raw_os_error(),
            ErrorKind::KeyGone | ErrorKind::KeyPendingImport => Errno::NOKEY.raw_os_error(),
            ErrorKind::Denied | ErrorKind::WrongSecret | ErrorKind::NoAgency => {
                Errno::ACCESS.raw_os_error()
            }
            ErrorKind::Protected => Errno::PERM.raw_os_error(),
            ErrorKind::Integrity => Errno::KEYREJECTED.raw_os_error(),
            ErrorKind::WrongContext => Errno::UCLEAN.raw_os_error(),
            ErrorKind::KmsUnreachable => Errno::HOSTDOWN.raw_os_error(),
            ErrorKind::NoSpace => Errno::NOSPC.raw_os_error(),
            ErrorKind::Quota => Errno::DQUOT.raw_os_error(),
            ErrorKind::Exists => Errno::EXIST.raw_os_error(),
            ErrorKind::Io | ErrorKind::Internal => Errno::IO.raw_os_error(),
            ErrorKind::Detached => Errno::NODEV.raw_os_error(),
            ErrorKind::Suspended => Errno::AGAIN.raw_os_error(),
            ErrorKind::Unsupported => Errno::OPNOTSUPP.raw_os_error(),
            ErrorKind::NoMount => Errno::NOTCONN.raw_os_error(),
        }
    }

    /// The exit code of the table in INTERFACE section 4.
    pub const fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Invalid | ErrorKind::OutOfRange | ErrorKind::Unsupported => 2,
            ErrorKind::NotFound => 3,
            ErrorKind::WrongStatus | ErrorKind::InUse | ErrorKind::Suspended => 4,
            ErrorKind::KeyDisabled
            | ErrorKind::KeyPendingDeletion
            | ErrorKind::KeyGone
            | ErrorKind::KeyPendingImport => 5,
            ErrorKind::Denied
            | ErrorKind::WrongSecret
            | ErrorKind::NoAgency
            | ErrorKind::Protected => 6,
            ErrorKind::Integrity | ErrorKind::WrongContext => 7,
            ErrorKind::KmsUnreachable => 8,
            ErrorKind::NoSpace | ErrorKind::Quota => 9,
            ErrorKind::Exists => 10,
            ErrorKind::NoMount => 11,
            ErrorKind::Io | ErrorKind::Detached | ErrorKind::Internal => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn kinds_that_share_a_public_name_share_the_exit_code() {
        for a in ErrorKind::all() {
            for b in ErrorKind::all() {
                if a.name() == b.name() {
                    assert_eq!(a.exit_code(), b.exit_code(), "{a:?} and {b:?}");
                }
            }
        }
    }

    #[test]
    fn the_list_of_all_kinds_has_no_repeats() {
        let mut kinds = ErrorKind::all().to_vec();
        kinds.dedup();
        assert_eq!(kinds.len(), ErrorKind::all().len());
    }
}
