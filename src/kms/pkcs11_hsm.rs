//! A security module behind PKCS#11: material that is made in a token and never leaves it.
//!
//! The record key itself stays in the token: what authenticates records is derived from its HMAC
//! of a fixed text. It is also the proof that the token is this project's, whenever an object is
//! not found: a token that was taken away or wiped must not look like a key that was deleted.

use super::hsm::{CmkVersion, Hsm};
use super::pkcs11_fault as fault;
use super::pkcs11_fault::Fault;
use super::pkcs11_objects::{RECORD_KEY, is_logged_in, label_of, parse_label, protected, search};
use super::pkcs11_patience::{NoResult, Patience};
use super::pkcs11_token::{PinSource, Token};
use super::pkcs11_wrapping as wrapping;
use super::pkcs11_wrapping::{Form, Keys, wipe_values};
use crate::crypto::Dk;
use crate::crypto::RecordKey;
use crate::crypto::Secret;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const RECORD_TEXT: &[u8] = b"evsfs record authentication root v1";
const KEY_BYTES: u64 = 32;

/// How long a token is waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// Which token.
pub struct Pkcs11Settings {
    /// The shared library that speaks for the token.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// Where its user PIN comes from.
    pub pin: PinSource,
}

/// The module behind PKCS#11.
pub struct Pkcs11Hsm {
    shared: Arc<Shared>,
    patience: Patience,
}

/// What the threads that make the calls share.
struct Shared {
    token: Token,
    form: Form,
    handles: Mutex<Handles>,
    /// Versions whose material is being made.
    making: Mutex<BTreeSet<CmkVersion>>,
}

/// Objects that were found. An entry goes before its object does; all go when the token was lost,
/// since it may then give the same handle to another object.
#[derive(Default)]
struct Handles {
    times_found: u64,
    cmks: HashMap<CmkVersion, Found>,
    record: Option<ObjectHandle>,
}

#[derive(Clone, Copy)]
struct Found {
    cmk: ObjectHandle,
    form: Form,
}

impl Pkcs11Hsm {
    /// Makes the record key in a token that has been initialised with its own tools.
    ///
    /// # Errors
    /// `exists` when there is one already: it is another project's, or of an earlier time.
    /// `kms-unreachable`, `unsupported` as for [`Pkcs11Hsm::open`].
    pub fn initialise(settings: Pkcs11Settings) -> Result<()> {
        let module = settings.module.clone();
        let hsm = Pkcs11Hsm::connect(settings)?;
        hsm.call(move |shared| {
            let label = shared.token.label();
            shared.token.with(|session| {
                if !search(session, RECORD_KEY)?.is_empty() {
                    let message = format!("token \"{label}\" holds {RECORD_KEY} already");
                    let module = module.display();
                    return Err(Error::new(ErrorKind::Exists, message)
                        .remedy(format!(
                            "restore the state directory it belongs to; if there is none, no data \
                             needs it: pkcs11-tool --module {module} --token-label {label} --login \
                             --delete-object --type secrkey --label {RECORD_KEY}"
                        ))
                        .into());
                }
                let mut template = protected(RECORD_KEY, KeyType::GENERIC_SECRET);
                template.push(Attribute::ValueLen(KEY_BYTES.into()));
                template.push(Attribute::Sign(true));
                session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
                Ok(())
            })
        })
    }

    /// Opens the module: finds the token, logs in once, looks for the record key.
    ///
    /// # Errors
    /// `kms-unreachable` when the token is missing, refuses the PIN or does not answer;
    /// `unsupported` when it lacks a mechanism that is needed; `not-found` when it holds no record
    /// key.
    pub fn open(settings: Pkcs11Settings) -> Result<Self> {
        let hsm = Pkcs11Hsm::connect(settings)?;
        hsm.call(|shared| {
            let label = shared.token.label();
            shared.token.with(|session| {
                if search(session, RECORD_KEY)?.is_empty() {
                    let message = format!("token \"{label}\" holds no {RECORD_KEY}");
                    return Err(Error::new(ErrorKind::NotFound, message)
                        .remedy("evsfs init --root-key pkcs11, for a new state directory; else connect the token it was made with")
                        .into());
                }
                Ok(())
            })
        })?;
        Ok(hsm)
    }

    fn connect(settings: Pkcs11Settings) -> Result<Self> {
        let patience = Patience::default();
        let name = settings.token.clone();
        let connected = patience.call(
            PATIENCE,
            move || {
                let token = Token::new(&settings.module, &settings.token, settings.pin)?;
                let form = form_of(&token)?;
                Ok(Shared { token, form, handles: Mutex::default(), making: Mutex::default() })
            },
            drop,
        );
        let shared = Arc::new(connected.unwrap_or_else(|no| Err(no_result(&name, no)))?);
        Ok(Pkcs11Hsm { shared, patience })
    }

    /// Does `work` on another thread and waits for it, for a limited time.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call_or(work, |_, _| ())
    }

    /// As [`Self::call`]; `regret` has what came too late for anybody to know of.
    fn call_or<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
        regret: impl FnOnce(&Shared, T) + Send + 'static,
    ) -> Result<T> {
        let (shared, late) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let regret = move |result| match result {
            Ok(done) => regret(&late, done),
            Err(error) => log::warn!("event=token-late error=\"{error}\""),
        };
        let result = self.patience.call(PATIENCE, move || work(&shared), regret);
        result.unwrap_or_else(|no| Err(no_result(self.shared.token.label(), no)))
    }
}

impl Shared {
    /// Does `work` with the objects of `cmk`, which are looked for again, once, if they have moved.
    fn with_cmk<T>(
        &self,
        cmk: CmkVersion,
        mut work: impl FnMut(&Session, Keys, Form) -> Result<T, Fault>,
    ) -> Result<T> {
        self.token.with(|session| {
            let (keys, form) = self.keys(session, cmk)?;
            match work(session, keys, form) {
                Err(Fault::Token(error)) if fault::is_stale_handle(&error) => {
                    self.forget(cmk);
                    let (keys, form) = self.keys(session, cmk)?;
                    work(session, keys, form)
                }
                done => done,
            }
        })
    }

    fn keys(&self, session: &Session, cmk: CmkVersion) -> Result<(Keys, Form), Fault> {
        let known = self.handles().cmks.get(&cmk).copied();
        let found = match known {
            Some(found) => found,
            None => self.find(session, cmk)?,
        };
        let record = self.record_key_handle(session)?;
        Ok((Keys { cmk: found.cmk, record }, found.form))
    }

    fn find(&self, session: &Session, cmk: CmkVersion) -> Result<Found, Fault> {
        let objects = search(session, &label_of(cmk))?;
        let Some(object) = objects.first() else {
            self.prove_presence(session)?;
            return Err(Error::new(
                ErrorKind::KeyGone,
                format!("token \"{}\" holds no material of key {cmk}", self.token.label()),
            )
            .code(Code::KMS_0207)
            .remedy("none for data under a deleted key; else connect the token that holds it")
            .into());
        };
        let found = Found { cmk: *object, form: Form::of_key(session, *object)? };
        self.handles().cmks.insert(cmk, found);
        Ok(found)
    }

    /// The handles of the token as it was last found.
    fn handles(&self) -> MutexGuard<'_, Handles> {
        let mut handles = self.handles.lock();
        let times_found = self.token.times_found();
        if handles.times_found != times_found {
            *handles = Handles { times_found, ..Handles::default() };
        }
        handles
    }

    fn forget(&self, cmk: CmkVersion) {
        let mut handles = self.handles();
        handles.cmks.remove(&cmk);
        handles.record = None;
    }

    fn record_key_handle(&self, session: &Session) -> Result<ObjectHandle, Fault> {
        let known = self.handles().record;
        if let Some(handle) = known {
            return Ok(handle);
        }
        let handle = self.prove_presence(session)?;
        self.handles().record = Some(handle);
        Ok(handle)
    }

    /// That the token still is the one it was: it shows the record key.
    fn prove_presence(&self, session: &Session) -> Result<ObjectHandle, Fault> {
        match search(session, RECORD_KEY)?.first() {
            Some(handle) => Ok(*handle),
            // It shows nothing to whom it has logged out, as it does when its last session is lost.
            None if !is_logged_in(session)? => Err(fault::logged_out().into()),
            None => Err(self
                .token
                .unreachable(
                    &format!("it shows no {RECORD_KEY}"),
                    "connect the token that evsfs init was run with; it may have been wiped",
                )
                .into()),
        }
    }

    fn generate(&self, cmk: CmkVersion) -> Result<()> {
        self.make(cmk, |session, template| {
            let mut template = template.to_vec();
            template.push(Attribute::ValueLen(KEY_BYTES.into()));
            session.generate_key(&Mechanism::AesKeyGen, &template)?;
            Ok(())
        })
    }

    fn import(&self, cmk: CmkVersion, material: &Secret<32>) -> Result<()> {
        self.make(cmk, |session, template| {
            let mut template = template.to_vec();
            template.push(Attribute::Value(material.expose().to_vec()));
            let made = session.create_object(&template);
            wipe_values(&mut template);
            made?;
            Ok(())
        })
    }

    /// Makes the object of `cmk` as `how` does, unless it is there.
    fn make(
        &self,
        cmk: CmkVersion,
        how: impl Fn(&Session, &[Attribute]) -> Result<(), Fault>,
    ) -> Result<()> {
        let label = label_of(cmk);
        let exists = || {
            let message = format!("the HSM holds material of key {cmk} already");
            Error::new(ErrorKind::Exists, message)
        };
        if !self.making.lock().insert(cmk) {
            return Err(exists());
        }
        let mut has_asked = false;
        let made = self.token.with(|session| {
            match search(session, &label)?.is_empty() {
                // Made by the call whose answer was lost: nobody else makes this version.
                false if has_asked => return Ok(()),
                false => return Err(exists().into()),
                true => self.prove_presence(session)?,
            };
            has_asked = true;
            let mut template = protected(&label, KeyType::AES);
            template.extend(self.form.uses());
            how(session, &template)
        });
        self.making.lock().remove(&cmk);
        made
    }

    fn destroy(&self, cmk: CmkVersion) -> Result<()> {
        self.token.with(|session| {
            self.handles().cmks.remove(&cmk);
            for object in search(session, &label_of(cmk))? {
                session.destroy_object(object)?;
            }
            // Not found may also mean that the token is not there.
            self.prove_presence(session)?;
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<CmkVersion>> {
        self.token.with(|session| {
            let mut held = BTreeSet::new();
            let template =
                [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES)];
            for object in session.find_objects(&template)? {
                let attributes = session.get_attributes(object, &[AttributeType::Label]);
                if let Some(Attribute::Label(label)) = attributes?.pop()
                    && let Some(cmk) = parse_label(&label)
                {
                    held.insert(cmk);
                }
            }
            self.prove_presence(session)?;
            Ok(held.into_iter().collect())
        })
    }
}

impl Hsm for Pkcs11Hsm {
    fn record_key(&self) -> Result<RecordKey> {
        let root = self.call(|shared| {
            shared.token.with(|session| {
                let key = shared.prove_presence(session)?;
                wrapping::into_secret::<32>(session.sign(
                    &Mechanism::Sha256Hmac,
                    key,
                    RECORD_TEXT,
                )?)
            })
        })?;
        RecordKey::derive(&root)
    }

    fn generate(&self, cmk: CmkVersion) -> Result<()> {
        self.call_or(move |shared| shared.generate(cmk), take_back(cmk))
    }

    fn import(&self, cmk: CmkVersion, material: &Secret<32>) -> Result<()> {
        let material = copy(material.expose())?;
        self.call_or(move |shared| shared.import(cmk, &material), take_back(cmk))
    }

    fn generate_dk_wrapped(&self, cmk: CmkVersion, associated: &[u8]) -> Result<Vec<u8>> {
        let associated = associated.to_vec();
        self.call(move |shared| {
            shared
                .with_cmk(cmk, |session, keys, form| form.generate(session, keys, cmk, &associated))
        })
    }

    fn wrap_dk(&self, cmk: CmkVersion, associated: &[u8], dk: &Dk) -> Result<Vec<u8>> {
        let associated = associated.to_vec();
        let dk = copy(dk.expose())?;
        self.call(move |shared| {
            shared.with_cmk(cmk, |session, keys, form| {
                form.wrap(session, keys, cmk, &associated, &dk)
            })
        })
    }

    fn unwrap_dk(&self, cmk: CmkVersion, associated: &[u8], wrapped: &[u8]) -> Result<Dk> {
        let (associated, wrapped) = (associated.to_vec(), wrapped.to_vec());
        self.call(move |shared| {
            let dk = shared.with_cmk(cmk, |session, keys, _| {
                wrapping::open(session, keys, cmk, &associated, &wrapped)
            })?;
            Dk::from_secret(dk)
        })
    }

    fn destroy(&self, cmk: CmkVersion) -> Result<()> {
        self.call(move |shared| shared.destroy(cmk))
    }

    fn list(&self) -> Result<Vec<CmkVersion>> {
        self.call(Shared::list)
    }
}

/// A copy in locked memory, for a call that may outlive its caller.
fn copy<const N: usize>(from: &[u8; N]) -> Result<Secret<N>> {
    Secret::fill(|bytes| {
        bytes.copy_from_slice(from);
        Ok(())
    })
}

/// Destroys material that was made too late for anybody to know of it.
fn take_back(cmk: CmkVersion) -> impl FnOnce(&Shared, ()) {
    move |shared, ()| {
        if let Err(error) = shared.destroy(cmk) {
            log::warn!("event=material-left-over cmk={cmk} error=\"{error}\"");
        }
    }
}

fn form_of(token: &Token) -> Result<Form> {
    let mechanisms = token.mechanisms()?;
    let refuse = |what: &str| {
        let message = format!("token \"{}\" has no {what}", token.label());
        Error::new(ErrorKind::Unsupported, message).remedy(
            "use a token with AES-GCM (or AES key wrap), AES key generation and SHA256-HMAC",
        )
    };
    for (mechanism, name) in [
        (MechanismType::AES_KEY_GEN, "AES key generation"),
        (MechanismType::GENERIC_SECRET_KEY_GEN, "generation of generic secrets"),
        (MechanismType::SHA256_HMAC, "SHA256-HMAC"),
    ] {
        if !mechanisms.contains(&mechanism) {
            return Err(refuse(name));
        }
    }
    Form::of(&mechanisms).ok_or_else(|| refuse("AES-GCM and no AES key wrap"))
}

fn no_result(token: &str, no: NoResult) -> Error {
    match no {
        NoResult::Late => fault::unreachable(
            token,
            &format!("it has not answered for {} seconds", PATIENCE.as_secs()),
            "check the token and its connection, then try again",
        ),
        NoResult::Failed => {
            let message = format!("a call to token \"{token}\" was not made");
            Error::new(ErrorKind::Internal, message)
        }
    }
}
