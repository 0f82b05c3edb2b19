//! What a token answers when it does not do what it was asked.

use crate::error::Error;
use crate::error::ErrorKind;
use cryptoki::context::Function;
use cryptoki::error::Error as TokenError;
use cryptoki::error::RvError;

/// Why a piece of work with a token did not come to its end.
pub(super) enum Fault {
    /// The token's own answer.
    Token(TokenError),
    /// What that meant was clear where it was met.
    Plain(Error),
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Fault::Token(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Plain(error)
    }
}

/// The code the token answered with, if the token answered at all.
pub(super) fn code(error: &TokenError) -> Option<RvError> {
    match error {
        TokenError::Pkcs11(code, _) => Some(*code),
        _ => None,
    }
}

/// The answer of a token that wants to be logged in to.
pub(super) fn logged_out() -> TokenError {
    TokenError::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjectsInit)
}

/// Whether the answer means that the session, and perhaps the token, is lost: another session may
/// do what this one could not.
pub(super) fn is_lost(error: &TokenError) -> bool {
    matches!(
        code(error),
        Some(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::OperationActive
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
        )
    )
}

/// Whether the answer means that a handle is stale: the object is gone, or has another one.
pub(super) fn is_stale_handle(error: &TokenError) -> bool {
    matches!(
        code(error),
        Some(
            RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::WrappingKeyHandleInvalid
                | RvError::UnwrappingKeyHandleInvalid
        )
    )
}

/// Whether the answer may mean that the ciphertext is wrong. Some tokens have no other word for it
/// than that the function failed.
pub(super) fn may_be_wrong_data(error: &TokenError) -> bool {
    matches!(
        code(error),
        Some(
            RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::WrappedKeyInvalid
                | RvError::WrappedKeyLenRange
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::GeneralError
                | RvError::FunctionFailed
        )
    )
}

/// The refusal of everything that needs the token.
pub(super) fn unreachable(token: &str, why: &str, fix: &str) -> Error {
    Error::new(ErrorKind::KmsUnreachable, format!("token \"{token}\" cannot be used: {why}"))
        .remedy(fix)
}

/// What the token said, in the words a person can act on.
pub(super) fn explain(token: &str, error: &TokenError) -> Error {
    let (why, fix) = match error {
        TokenError::Pkcs11(code, function) => match code {
            RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::SlotIdInvalid => {
                ("it was removed".to_owned(), "put the token back; it is found again by itself")
            }
            RvError::SessionCount => (
                "it has no session left".to_owned(),
                "close other programs that use the token, or raise its limit of sessions",
            ),
            RvError::DeviceMemory => (
                "it has no memory left".to_owned(),
                "delete objects that nobody needs: pkcs11-tool --list-objects --login",
            ),
            RvError::TokenWriteProtected => {
                ("it is write-protected".to_owned(), "lift the token's write protection")
            }
            code => (
                format!("it answered C_{function:?} with {code:?}"),
                "look into the log of the token's own service, then try again",
            ),
        },
        other => (other.to_string(), "check that kms.module names the module of this token"),
    };
    unreachable(token, &why, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: RvError) -> TokenError {
        TokenError::Pkcs11(code, Function::UnwrapKey)
    }

    /// A new session helps against the first kind, another search against the second, nothing
    /// against the third.
    #[test]
    fn what_was_lost_what_is_stale_and_what_is_wrong_are_told_apart() {
        let kinds = |code| {
            let error = answer(code);
            (is_lost(&error), is_stale_handle(&error), may_be_wrong_data(&error))
        };
        assert_eq!(kinds(RvError::SessionHandleInvalid), (true, false, false));
        assert_eq!(kinds(RvError::DeviceRemoved), (true, false, false));
        assert_eq!(kinds(RvError::KeyHandleInvalid), (false, true, false));
        assert_eq!(kinds(RvError::UnwrappingKeyHandleInvalid), (false, true, false));
        assert_eq!(kinds(RvError::EncryptedDataInvalid), (false, false, true));
        assert_eq!(kinds(RvError::WrappedKeyLenRange), (false, false, true));
        // Some tokens say this of a ciphertext that was edited, others when they are lost.
        assert_eq!(kinds(RvError::FunctionFailed), (true, false, true));
        assert_eq!(kinds(RvError::PinIncorrect), (false, false, false));
        let none = TokenError::NotSupported;
        assert!(!is_lost(&none) && !is_stale_handle(&none) && !may_be_wrong_data(&none));
    }

    #[test]
    fn each_answer_has_words_and_a_remedy_of_its_own() {
        for (code, words, remedy) in [
            (RvError::DeviceRemoved, "it was removed", "put the token back"),
            (RvError::TokenNotPresent, "it was removed", "put the token back"),
            (RvError::SlotIdInvalid, "it was removed", "put the token back"),
            (RvError::SessionCount, "it has no session left", "close other programs"),
            (RvError::DeviceMemory, "it has no memory left", "delete objects"),
            (RvError::TokenWriteProtected, "it is write-protected", "lift"),
            (RvError::HostMemory, "it answered C_UnwrapKey with HostMemory", "look into the log"),
        ] {
            let error = explain("hall", &answer(code));
            assert_eq!(error.kind(), ErrorKind::KmsUnreachable);
            assert_eq!(error.message(), format!("token \"hall\" cannot be used: {words}"));
            assert!(error.suggested_remedy().unwrap().starts_with(remedy), "{error:?}");
        }
        let error = explain("hall", &TokenError::NotSupported);
        assert!(error.suggested_remedy().unwrap().starts_with("check that kms.module"));
    }
}
