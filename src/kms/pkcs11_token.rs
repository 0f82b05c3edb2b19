//! A token: found by its label, logged in to once, found again after it was away.

use super::pkcs11_fault as fault;
use super::pkcs11_fault::Fault;
use super::pkcs11_module::Module;
use crate::crypto::SecretText;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::records::PrivateFile;
use crate::sync::{Mutex, PatientRwLock};
use cryptoki::error::RvError;
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a token that was not there is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a new start of the module waits for calls that are under way.
const QUIET: Duration = Duration::from_secs(1);

/// Where the user PIN of a token comes from, whenever it is logged in to.
pub enum PinSource {
    /// A file that belongs to us alone, mode 0600 or stricter. Read at each login, so that a PIN
    /// that was corrected is used without a restart.
    File(PathBuf),
    /// Somebody gave it at the start.
    Given(Arc<SecretText>),
}

impl PinSource {
    /// The PIN.
    ///
    /// # Errors
    /// `not-found`; `integrity` with the repair when others can read the file; `invalid`; `io`.
    fn pin(&self) -> Result<Arc<SecretText>> {
        match self {
            PinSource::File(path) => {
                let place = path.display();
                let Some(file) = PrivateFile::open(path)? else {
                    let message = format!("there is no PIN file {place}");
                    return Err(Error::new(ErrorKind::NotFound, message)
                        .remedy(format!("write the token's user PIN into {place}, mode 0600")));
                };
                Ok(Arc::new(SecretText::read_line(&mut file.file(), &place.to_string())?))
            }
            PinSource::Given(pin) => Ok(Arc::clone(pin)),
        }
    }
}

/// A way to one token.
///
/// Lock order: the module's `starts`, then `link`, then `idle`. The first two are shared while a call
/// is made; the link is exclusive while the token is looked for.
pub(super) struct Token {
    module: Arc<Module>,
    label: String,
    pin: PinSource,
    link: PatientRwLock<Link>,
    /// Open sessions that nobody uses; as many as there were calls at the same time.
    idle: Mutex<Vec<Session>>,
    /// How often the token was found, for those who hold the link.
    times_found: AtomicU64,
}

struct Link {
    slot: Option<Slot>,
    /// Which start of the module the slot and the sessions are of.
    start: u64,
    /// Counts how often the token was found, so that two who lost it look for it once.
    found: u64,
    trouble: Option<Trouble>,
    /// The PIN that the token refused. It is never tried again.
    refused: Option<Arc<SecretText>>,
    was_up: bool,
}

impl Link {
    /// Whether somebody found the token after it was found for the `found`th time, in the present start
    /// of the module.
    fn was_found_since(&self, found: u64, starts: u64) -> bool {
        self.found != found && self.start == starts && self.slot.is_some()
    }
}

/// Why the token could not be used when it was last tried.
struct Trouble {
    message: String,
    remedy: String,
    pause: Duration,
    until: Instant,
}

impl Trouble {
    fn error(&self) -> Error {
        Error::new(ErrorKind::KmsUnreachable, self.message.clone()).remedy(self.remedy.clone())
    }
}

impl Token {
    /// Loads the module; the token itself is looked for when it is first used.
    ///
    /// # Errors
    /// `kms-unreachable` when the module cannot be loaded.
    pub fn new(module: &Path, label: &str, pin: PinSource) -> Result<Token> {
        Ok(Token {
            module: Module::load(module)?,
            label: label.to_owned(),
            pin,
            link: PatientRwLock::new(Link {
                slot: None,
                start: 0,
                found: 0,
                trouble: None,
                refused: None,
                was_up: false,
            }),
            idle: Mutex::new(Vec::new()),
            times_found: AtomicU64::new(0),
        })
    }

    /// The token's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How often the token has been found. Handles of objects are of use as long as this stays the
    /// same, which it does during a piece of work.
    pub fn times_found(&self) -> u64 {
        self.times_found.load(Ordering::Acquire)
    }

    /// The mechanisms the token offers.
    ///
    /// # Errors
    /// `kms-unreachable`.
    pub fn mechanisms(&self) -> Result<Vec<MechanismType>> {
        self.with(|session| {
            let slot = session.get_session_info()?.slot_id();
            Ok(self.module.pkcs11.get_mechanism_list(slot)?)
        })
    }

    /// Does `work` in a logged-in session. Work that lost its session is done once more in another
    /// one, after the token has been looked for.
    ///
    /// # Errors
    /// `kms-unreachable`; what the work returns.
    pub fn with<T>(&self, mut work: impl FnMut(&Session) -> Result<T, Fault>) -> Result<T> {
        let mut lost = None;
        for _ in 0..2 {
            let found = {
                let starts = self.module.starts.read();
                let link = self.link.read();
                if let Some(slot) = link.slot
                    && link.start == *starts
                {
                    match self.try_once(slot, &mut work) {
                        Ok(done) => return Ok(done),
                        Err(Fault::Plain(error)) => return Err(error),
                        Err(Fault::Token(error)) if fault::is_lost(&error) => lost = Some(error),
                        Err(Fault::Token(error)) => {
                            return Err(fault::explain(&self.label, &error));
                        }
                    }
                }
                link.found
            };
            self.find_again(found)?;
        }
        let error = match lost {
            Some(error) => fault::explain(&self.label, &error),
            None => self.unreachable("it was removed", PUT_BACK),
        };
        let starts = self.module.starts.read();
        // A call that hangs holds the link; then the others go on with what there is.
        let Some(mut link) = self.link.try_write_for(QUIET) else { return Err(error) };
        self.let_go(&mut link, *starts);
        Err(note(&mut link, error))
    }

    fn try_once<T>(
        &self,
        slot: Slot,
        work: &mut impl FnMut(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let idle = self.idle.lock().pop();
        let session = match idle {
            Some(session) => session,
            None => self.module.pkcs11.open_rw_session_no_drop(slot)?,
        };
        let result = work(&session);
        match &result {
            // A token that was removed has closed it already.
            Err(Fault::Token(error)) if fault::is_lost(error) => drop(session.close()),
            _ => self.idle.lock().push(session),
        }
        result
    }

    /// Looks for the token, unless somebody found it since `found` was seen, or it was looked for
    /// in vain a moment ago.
    fn find_again(&self, found: u64) -> Result<()> {
        let busy = || self.unreachable("another call has been waiting for it", WAIT);
        {
            let starts = self.module.starts.read();
            let mut link = self.link.try_write_for(QUIET).ok_or_else(busy)?;
            if link.was_found_since(found, *starts) {
                return Ok(());
            }
            self.let_go(&mut link, *starts);
            if let Some(trouble) = &link.trouble
                && Instant::now() < trouble.until
            {
                return Err(trouble.error());
            }
            match self.connect(&mut link, *starts) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(note(&mut link, error)),
            }
        }
        // Not there, or not there when the module was started.
        let mut starts = self.module.starts.try_write_for(QUIET).ok_or_else(busy)?;
        let mut link = self.link.try_write_for(QUIET).ok_or_else(busy)?;
        if link.was_found_since(found, *starts) {
            return Ok(());
        }
        self.module.stop();
        *starts += 1;
        match self.connect(&mut link, *starts) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let module = self.module.path.display();
                let error = self.unreachable(
                    &format!("module {module} shows no token of this label"),
                    &format!(
                        "connect the token; pkcs11-tool --module {module} --list-slots shows what \
                         there is"
                    ),
                );
                Err(note(&mut link, error))
            }
            Err(error) => Err(note(&mut link, error)),
        }
    }

    /// Whether the token is there; then it is logged in to.
    fn connect(&self, link: &mut Link, start: u64) -> Result<bool> {
        let explain = |error| fault::explain(&self.label, &error);
        self.module.start().map_err(explain)?;
        let Some(slot) = self.slot()? else { return Ok(false) };
        let session = self.module.pkcs11.open_rw_session_no_drop(slot).map_err(explain)?;
        if let Err(error) = self.log_in(link, slot, &session) {
            drop(session.close());
            return Err(error);
        }
        if link.was_up {
            log::info!("event=token-found token={:?}", self.label);
        }
        link.slot = Some(slot);
        link.start = start;
        link.found += 1;
        self.times_found.store(link.found, Ordering::Release);
        link.trouble = None;
        link.was_up = true;
        self.idle.lock().push(session);
        Ok(true)
    }

    /// Closes all sessions, unless they are void because the module was started anew: their handles
    /// may be others' by now.
    fn let_go(&self, link: &mut Link, starts: u64) {
        for session in self.idle.lock().drain(..) {
            if link.start == starts {
                drop(session.close());
            }
        }
        link.slot = None;
    }

    fn slot(&self) -> Result<Option<Slot>> {
        let explain = |error| fault::explain(&self.label, &error);
        let mut found = None;
        for slot in self.module.pkcs11.get_slots_with_token().map_err(explain)? {
            // A slot that does not answer may be somebody else's trouble.
            let Ok(info) = self.module.pkcs11.get_token_info(slot) else { continue };
            if info.label() != self.label || !info.token_initialized() {
                continue;
            }
            if found.replace(slot).is_some() {
                return Err(self.unreachable(
                    "there are two tokens of this label",
                    "take one of them away, or give it another label",
                ));
            }
        }
        Ok(found)
    }

    /// One attempt, with a PIN that has not been refused before.
    fn log_in(&self, link: &mut Link, slot: Slot, session: &Session) -> Result<()> {
        let explain = |error| fault::explain(&self.label, &error);
        let module = self.module.path.display();
        let pin = self.pin.pin().map_err(|cause| {
            let fix = cause.suggested_remedy().unwrap_or("give the token's user PIN").to_owned();
            self.unreachable("there is no PIN for it", &fix).caused_by(cause)
        })?;
        let wrong = || {
            self.unreachable(
                "it refused the PIN",
                "put the right PIN in its place; this one is not tried again, so that the token \
                 does not lock itself",
            )
        };
        if link.refused.as_ref().is_some_and(|refused| refused.ct_eq(&pin)) {
            return Err(wrong());
        }
        let info = self.module.pkcs11.get_token_info(slot).map_err(explain)?;
        if info.user_pin_locked() {
            return Err(self.unreachable("its PIN is locked", UNLOCK));
        }
        if info.user_pin_final_try() {
            return Err(self.unreachable(
                "one more wrong PIN would lock it, so none is tried",
                &format!(
                    "log in by hand once: pkcs11-tool --module {module} --token-label {} --login \
                     --list-objects",
                    self.label
                ),
            ));
        }
        let raw = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &raw) {
            Ok(()) => {
                link.refused = None;
                Ok(())
            }
            Err(error) => match fault::code(&error) {
                Some(RvError::UserAlreadyLoggedIn) => Ok(()),
                Some(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange) => {
                    link.refused = Some(pin);
                    Err(wrong())
                }
                Some(RvError::PinLocked) => Err(self.unreachable("its PIN is locked", UNLOCK)),
                Some(RvError::UserPinNotInitialized) => Err(self.unreachable(
                    "it has no user PIN yet",
                    &format!("pkcs11-tool --module {module} --init-pin --login --login-type so"),
                )),
                _ => Err(explain(error)),
            },
        }
    }

    /// The refusal of what needs the token.
    pub fn unreachable(&self, why: &str, fix: &str) -> Error {
        fault::unreachable(&self.label, why, fix)
    }
}

const PUT_BACK: &str = "put the token back; it is found again by itself";
const WAIT: &str = "wait until the token answers, then try again";
const UNLOCK: &str = "unlock the PIN with the security officer's: pkcs11-tool --unlock-pin";

/// Remembers why the token cannot be used, and for how long it is left alone.
fn note(link: &mut Link, error: Error) -> Error {
    let pause = match &link.trouble {
        Some(trouble) => (trouble.pause * 2).min(LONGEST_PAUSE),
        None => FIRST_PAUSE,
    };
    if link.trouble.as_ref().is_none_or(|trouble| trouble.message != error.explained()) {
        log::warn!("event=token-unreachable error=\"{error}\"");
    }
    link.trouble = Some(Trouble {
        message: error.explained(),
        remedy: error.suggested_remedy().unwrap_or(WAIT).to_owned(),
        pause,
        until: Instant::now() + pause,
    });
    error
}

impl Drop for Token {
    fn drop(&mut self) {
        let starts = self.module.starts.read();
        let mut link = self.link.write();
        self.let_go(&mut link, *starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_stays_away_is_left_alone_for_ever_longer_up_to_a_limit() {
        let mut link =
            Link { slot: None, start: 0, found: 0, trouble: None, refused: None, was_up: false };
        let pauses: Vec<_> = (0..7)
            .map(|_| {
                let begin = Instant::now();
                let error = Error::new(ErrorKind::KmsUnreachable, "away").remedy("bring it back");
                note(&mut link, error);
                let trouble = link.trouble.as_ref().unwrap();
                assert!(trouble.until >= begin + trouble.pause);
                assert!(trouble.until <= Instant::now() + trouble.pause);
                let kept = trouble.error();
                assert_eq!(
                    (kept.message(), kept.suggested_remedy()),
                    ("away", Some("bring it back"))
                );
                trouble.pause.as_millis()
            })
            .collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000]);
    }
}
