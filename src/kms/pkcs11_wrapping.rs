//! Data keys under a master key in a token, in the two forms a token may be able to make.
//!
//! The first byte of a wrapped data key says which; each opens for ever.
//!
//! | form | bytes | meaning |
//! |---|---|---|
//! | 1 | nonce 12, ciphertext 64, tag 16 | AES-256-GCM (NIST SP 800-38D), the context is associated data |
//! | 2 | wrapped 72, tag 32 | AES key wrap (RFC 3394); HMAC-SHA-256 by the token's record key over context, master key and wrapped |
//!
//! Form 1 is made where the token has AES-GCM. In form 2 a fresh data key is made inside the token;
//! in form 1 it is drawn into locked memory, which is wiped when the token has wrapped it.

use super::hsm::CmkVersion;
use super::pkcs11_fault as fault;
use super::pkcs11_fault::Fault;
use crate::crypto::Secret;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const DK: usize = 64;
const NONCE: usize = 12;
const TAG: usize = 16;
const KEY_WRAPPED: usize = DK + 8;
const MAC: usize = 32;
const MAC_LABEL: &[u8] = b"evsfs wrapped data key v2";

/// The forms, by their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Gcm = 1,
    KeyWrap = 2,
}

/// The objects that a data key is wrapped with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub cmk: ObjectHandle,
    pub record: ObjectHandle,
}

impl Form {
    /// The form for new data keys on a token with these mechanisms, if it can make any.
    pub fn of(mechanisms: &[MechanismType]) -> Option<Form> {
        if mechanisms.contains(&MechanismType::AES_GCM) {
            return Some(Form::Gcm);
        }
        mechanisms.contains(&MechanismType::AES_KEY_WRAP).then_some(Form::KeyWrap)
    }

    /// What a master key for this form may be used for.
    pub fn uses(self) -> [Attribute; 4] {
        let (is_gcm, is_key_wrap) = (self == Form::Gcm, self == Form::KeyWrap);
        [
            Attribute::Encrypt(is_gcm),
            Attribute::Decrypt(is_gcm),
            Attribute::Wrap(is_key_wrap),
            Attribute::Unwrap(is_key_wrap),
        ]
    }

    /// The form of the data keys that this master key can wrap.
    pub fn of_key(session: &Session, cmk: ObjectHandle) -> Result<Form, Fault> {
        let encrypts = session
            .get_attributes(cmk, &[AttributeType::Encrypt])?
            .contains(&Attribute::Encrypt(true));
        Ok(if encrypts { Form::Gcm } else { Form::KeyWrap })
    }

    /// Wraps a data key.
    pub fn wrap(
        self,
        session: &Session,
        keys: Keys,
        name: CmkVersion,
        associated: &[u8],
        dk: &Secret<DK>,
    ) -> Result<Vec<u8>, Fault> {
        match self {
            Form::Gcm => {
                let mut nonce = [0; NONCE];
                getrandom::fill(&mut nonce)
                    .map_err(|cause| Error::io("drawing a nonce", cause.into()))?;
                let sealed = {
                    let params = gcm(&mut nonce, associated)?;
                    session.encrypt(&Mechanism::AesGcm(params), keys.cmk, dk.expose())?
                };
                // A token that insists on a nonce of its own has put it in the place of ours.
                Ok([&[Form::Gcm as u8][..], &nonce, &sealed].concat())
            }
            Form::KeyWrap => {
                let mut template = session_key();
                template.push(Attribute::Value(dk.expose().to_vec()));
                let made = session.create_object(&template);
                wipe_values(&mut template);
                seal_session_key(session, keys, name, associated, made?)
            }
        }
    }

    /// Makes a data key and wraps it.
    pub fn generate(
        self,
        session: &Session,
        keys: Keys,
        name: CmkVersion,
        associated: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        match self {
            Form::Gcm => {
                let dk = crate::crypto::Dk::generate()?;
                let dk = Secret::fill(|bytes| {
                    bytes.copy_from_slice(dk.expose());
                    Ok(())
                })?;
                self.wrap(session, keys, name, associated, &dk)
            }
            Form::KeyWrap => {
                let mut template = session_key();
                template.push(Attribute::ValueLen((DK as u64).into()));
                let made = session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
                seal_session_key(session, keys, name, associated, made)
            }
        }
    }
}

/// Opens a wrapped data key of either form.
pub(super) fn open(
    session: &Session,
    keys: Keys,
    name: CmkVersion,
    associated: &[u8],
    wrapped: &[u8],
) -> Result<Secret<DK>, Fault> {
    match wrapped.split_first() {
        Some((1, rest)) if rest.len() == NONCE + DK + TAG => {
            let (nonce, sealed) = rest.split_at(NONCE);
            let opened = decrypt(session, keys.cmk, nonce, associated, sealed);
            match opened {
                Err(Fault::Token(error)) if fault::may_be_wrong_data(&error) => {
                    // A token that is well opens what it has just sealed.
                    let probe =
                        Form::Gcm.wrap(session, keys, name, b"probe", &Secret::random()?)?;
                    let (nonce, sealed) = probe[1..].split_at(NONCE);
                    decrypt(session, keys.cmk, nonce, b"probe", sealed)?;
                    Err(wrong_context().into())
                }
                opened => opened,
            }
        }
        Some((2, rest)) if rest.len() == KEY_WRAPPED + MAC => {
            let (sealed, tag) = rest.split_at(KEY_WRAPPED);
            let expected = mac(session, keys, name, associated, sealed)?;
            if !bool::from(expected.ct_eq(tag)) {
                return Err(wrong_context().into());
            }
            let template = session_key();
            let key = session
                .unwrap_key(&Mechanism::AesKeyWrap, keys.cmk, sealed, &template)
                .map_err(|error| match fault::may_be_wrong_data(&error) {
                    // The tag was right: the master key is not the one it was made for.
                    true => Fault::Plain(wrong_context()),
                    false => error.into(),
                })?;
            let value = session.get_attributes(key, &[AttributeType::Value]);
            session.destroy_object(key)?;
            match value?.pop() {
                Some(Attribute::Value(value)) => into_secret(value),
                _ => Err(wrong_context().into()),
            }
        }
        _ => Err(wrong_context().into()),
    }
}

fn decrypt(
    session: &Session,
    cmk: ObjectHandle,
    nonce: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Secret<DK>, Fault> {
    let mut nonce = nonce.to_vec();
    let params = gcm(&mut nonce, associated)?;
    into_secret(session.decrypt(&Mechanism::AesGcm(params), cmk, sealed)?)
}

fn gcm<'a>(nonce: &'a mut [u8], associated: &'a [u8]) -> Result<GcmParams<'a>, Fault> {
    Ok(GcmParams::new(nonce, associated, ((TAG * 8) as u64).into())?)
}

/// A key of the session's own that may leave the token: a data key on its way.
fn session_key() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn seal_session_key(
    session: &Session,
    keys: Keys,
    name: CmkVersion,
    associated: &[u8],
    key: ObjectHandle,
) -> Result<Vec<u8>, Fault> {
    let sealed = session.wrap_key(&Mechanism::AesKeyWrap, keys.cmk, key);
    session.destroy_object(key)?;
    let sealed = sealed?;
    let tag = mac(session, keys, name, associated, &sealed)?;
    Ok([&[Form::KeyWrap as u8][..], &sealed, &tag].concat())
}

fn mac(
    session: &Session,
    keys: Keys,
    name: CmkVersion,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Fault> {
    let message = [
        MAC_LABEL,
        name.key.as_bytes(),
        &name.version.to_le_bytes(),
        &(associated.len() as u64).to_le_bytes(),
        associated,
        sealed,
    ]
    .concat();
    Ok(session.sign(&Mechanism::Sha256Hmac, keys.record, &message)?)
}

/// Wipes the secret that a template brought to the token.
pub(super) fn wipe_values(template: &mut [Attribute]) {
    for attribute in template {
        if let Attribute::Value(value) = attribute {
            value.zeroize();
        }
    }
}

/// Moves what the token gave out into locked memory and wipes where it was.
pub(super) fn into_secret<const N: usize>(mut value: Vec<u8>) -> Result<Secret<N>, Fault> {
    let secret = Secret::fill(|bytes: &mut [u8; N]| {
        if value.len() != N {
            return Err(wrong_context());
        }
        bytes.copy_from_slice(&value);
        Ok(())
    });
    value.zeroize();
    Ok(secret?)
}

fn wrong_context() -> Error {
    Error::new(
        ErrorKind::WrongContext,
        "a wrapped key does not open: it was edited, or belongs to another object",
    )
    .code(Code::KMS_0208)
    .remedy("put the record back from a copy of the state directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_brought_to_a_token_is_wiped_and_nothing_else() {
        let mut template = session_key();
        template.push(Attribute::Value(vec![7; DK]));
        wipe_values(&mut template);
        assert_eq!(template.pop(), Some(Attribute::Value(Vec::new())));
        assert_eq!(template, session_key());
    }
}
