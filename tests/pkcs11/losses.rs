//! Answers, sessions, handles, slots and objects that a token loses, at the library.

use crate::shim::{Shim, ckr};
use crate::support::wait_until;
use crate::token::Token;
use evsfs::crypto::Secret;
use evsfs::error::ErrorKind;
use evsfs::id::KeyId;
use evsfs::kms::{CmkVersion, Hsm, Pkcs11Hsm};
use std::time::{Duration, Instant};

const RECORD_KEY: &str = "evsfs:record-key";

token_trials! {
    objects_are_looked_for_once,
    a_stale_handle_is_looked_for_again_and_given_up_when_it_stays_stale,
    a_stale_handle_of_the_record_key_is_looked_for_again,
    a_lost_session_is_replaced_and_nobody_notices,
    a_token_that_comes_back_with_other_handles_is_used_by_them,
    a_token_that_several_lost_is_looked_for_once,
    a_session_without_login_is_no_wiped_token,
    a_token_that_comes_back_in_another_slot_is_found_there,
    a_key_is_made_once_also_when_the_answer_is_lost,
    a_wiped_token_does_not_look_like_deleted_keys,
    material_that_is_made_too_late_is_taken_back,
    a_token_lost_while_a_call_hangs_is_not_waited_for_long,
    sessions_are_closed_with_the_module,
    a_token_that_is_away_is_looked_for_ever_less_often,
    objects_of_others_are_not_listed,
}

/// A module with one master key that has wrapped a data key.
struct Used {
    shim: Shim,
    token: Token,
    hsm: Pkcs11Hsm,
    cmk: CmkVersion,
    wrapped: Vec<u8>,
}

impl Used {
    fn new() -> Used {
        Used::on(Shim::new())
    }

    fn on(shim: Shim) -> Used {
        let token = Token::new();
        let hsm = shim.hsm(&token);
        let cmk = CmkVersion { key: KeyId::random(), version: 1 };
        hsm.generate(cmk).unwrap();
        let wrapped = hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
        Used { shim, token, hsm, cmk, wrapped }
    }

    fn another(&self) -> CmkVersion {
        CmkVersion { version: self.cmk.version + 1, ..self.cmk }
    }

    #[track_caller]
    fn opens(&self) {
        self.hsm.unwrap_dk(self.cmk, b"disk", &self.wrapped).unwrap();
    }
}

fn kind<T>(result: evsfs::error::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

fn objects_are_looked_for_once() {
    let used = Used::new();
    used.opens();
    let looked = used.shim.calls("FindObjectsInit");
    for _ in 0..5 {
        used.opens();
        used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap();
    }
    assert_eq!(used.shim.calls("FindObjectsInit"), looked);
    assert_eq!(used.shim.logins(), 2, "one each for initialise and open");
}

fn a_stale_handle_is_looked_for_again_and_given_up_when_it_stays_stale() {
    let used = Used::new();
    let looked = used.shim.calls("FindObjectsInit");
    used.shim.answers("DecryptInit", ckr::KEY_HANDLE_INVALID, 1);
    used.opens();
    assert_eq!(used.shim.calls("FindObjectsInit"), looked + 2, "the two keys, once each");
    let logins = used.shim.logins();

    used.shim.answers("DecryptInit", ckr::KEY_HANDLE_INVALID, 0);
    let begin = Instant::now();
    let refused = used.hsm.unwrap_dk(used.cmk, b"disk", &used.wrapped).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
    assert!(
        refused.to_string().contains("it answered C_DecryptInit with KeyHandleInvalid"),
        "{refused}"
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
    // A handle is no reason to log in again.
    assert_eq!(used.shim.logins(), logins);
    used.shim.tell_no_more("before-DecryptInit");
    used.opens();
}

/// It authenticates data keys of the second form.
fn a_stale_handle_of_the_record_key_is_looked_for_again() {
    let used = Used::on(Shim::without_gcm());
    assert_eq!(used.wrapped[0], 2);
    let looked = used.shim.calls("FindObjectsInit");
    used.shim.answers("SignInit", ckr::KEY_HANDLE_INVALID, 1);
    used.opens();
    assert_eq!(used.shim.calls("FindObjectsInit"), looked + 2, "the two keys, once each");
}

fn a_lost_session_is_replaced_and_nobody_notices() {
    let used = Used::new();
    let mut cmk = used.another();
    for code in [
        ckr::SESSION_HANDLE_INVALID,
        ckr::SESSION_CLOSED,
        ckr::USER_NOT_LOGGED_IN,
        ckr::OPERATION_ACTIVE,
    ] {
        let answers = |function: &str| used.shim.answers(function, code, 1);
        for function in ["DecryptInit", "Decrypt"] {
            answers(function);
            used.opens();
        }
        for function in ["EncryptInit", "Encrypt"] {
            answers(function);
            used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap();
        }
        for function in ["FindObjectsInit", "GenerateKey"] {
            answers(function);
            used.hsm.generate(cmk).unwrap();
            cmk.version += 1;
        }
        answers("GetAttributeValue");
        assert_eq!(used.hsm.list().unwrap().last().unwrap().version, cmk.version - 1);
        answers("SignInit");
        used.hsm.record_key().unwrap();
        answers("DestroyObject");
        cmk.version -= 1;
        used.hsm.destroy(cmk).unwrap();
        let told = std::fs::read_dir(used.shim.module().parent().unwrap()).unwrap();
        let told = told.filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("before-")
        });
        assert_eq!(told.count(), 0, "each was answered so");
    }
    assert_eq!(used.shim.sessions(), 1, "what was lost is closed, what was replaced is used again");
}

/// By then the old handle of a key may be that of another object.
fn a_token_that_comes_back_with_other_handles_is_used_by_them() {
    for shim in [Shim::new(), Shim::without_gcm()] {
        let used = Used::on(shim);
        let other = used.another();
        used.hsm.generate(other).unwrap();
        for cmk in [other, used.cmk, other] {
            used.opens();
            used.hsm.generate_dk_wrapped(other, b"disk").unwrap();
            used.shim.tell("renumber", "");
            used.shim.answers("FindObjectsInit", ckr::DEVICE_REMOVED, 1);
            used.hsm.record_key().unwrap();
            used.hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
        }
    }
}

/// When the last session is closed, a token logs its user out, and shows nothing to those who come
/// meanwhile: they were told that it had been wiped.
fn a_token_that_several_lost_is_looked_for_once() {
    let used = Used::new();
    let logins = used.shim.logins();
    used.shim.tell("slow", "1");
    used.shim.answers("Decrypt", ckr::SESSION_CLOSED, 6);
    std::thread::scope(|scope| {
        let calls = used.shim.calls("Decrypt");
        for _ in 0..6 {
            scope.spawn(|| used.opens());
        }
        // Each asks for the length of the answer first.
        wait_until("all are under way", || used.shim.calls("Decrypt") >= calls + 12);
        used.shim.tell("slow", "0");
    });
    let looked = used.shim.logins() - logins;
    assert!((1..=2).contains(&looked), "{looked} logins");
    assert!(used.shim.sessions() <= 6, "{} sessions", used.shim.sessions());
}

fn a_session_without_login_is_no_wiped_token() {
    let used = Used::new();
    used.opens();
    // The only session is closed by its loss, and the token logs out; what is known of it is stale.
    for cmk in [used.another(), CmkVersion { key: KeyId::random(), version: 1 }] {
        used.shim.tell("logged-out", "");
        used.hsm.generate(cmk).unwrap();
        used.shim.tell("logged-out", "");
        used.hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
        used.shim.tell("logged-out", "");
        assert!(used.hsm.list().unwrap().contains(&cmk));
        used.shim.tell("logged-out", "");
        used.hsm.destroy(cmk).unwrap();
    }
}

fn a_token_that_comes_back_in_another_slot_is_found_there() {
    let used = Used::new();
    let starts = used.shim.calls("GetSlotList");
    used.shim.tell("slots", "3");
    used.opens();
    assert_eq!(used.shim.calls("GetSlotList"), starts, "the session is open yet");
    used.shim.answers("DecryptInit", ckr::DEVICE_REMOVED, 1);
    used.opens();
    assert!(used.shim.calls("GetSlotList") > starts);
    assert_eq!(used.shim.sessions(), 1);
}

fn a_key_is_made_once_also_when_the_answer_is_lost() {
    let used = Used::new();
    let made = used.another();
    used.shim.answers_when_done("GenerateKey", ckr::DEVICE_ERROR);
    used.hsm.generate(made).unwrap();
    let imported = CmkVersion { version: made.version + 1, ..made };
    used.shim.answers_when_done("CreateObject", ckr::DEVICE_ERROR);
    used.hsm.import(imported, &Secret::random().unwrap()).unwrap();
    assert_eq!(used.hsm.list().unwrap(), [used.cmk, made, imported]);
    let objects = used.token.objects();
    for cmk in [made, imported] {
        let label = format!("evsfs:{}:{}", cmk.key, cmk.version);
        assert_eq!(objects.matches(&label).count(), 1, "{objects}");
        assert_eq!(kind(used.hsm.generate(cmk)), ErrorKind::Exists);
    }
    used.shim.answers_when_done("DestroyObject", ckr::DEVICE_ERROR);
    used.hsm.destroy(made).unwrap();
    assert_eq!(used.hsm.list().unwrap(), [used.cmk, imported]);
}

/// RULES K9: a token without the record key is not the one that keys were made in.
fn a_wiped_token_does_not_look_like_deleted_keys() {
    let used = Used::new();
    let unknown = CmkVersion { key: KeyId::random(), version: 1 };
    let dk = used.hsm.unwrap_dk(used.cmk, b"disk", &used.wrapped).unwrap();
    assert_eq!(kind(used.hsm.wrap_dk(unknown, b"disk", &dk)), ErrorKind::KeyGone);
    used.shim.tell("hidden", RECORD_KEY);
    let refused = used.hsm.wrap_dk(unknown, b"disk", &dk).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
    assert!(refused.to_string().contains("it shows no evsfs:record-key"), "{refused}");
    for refused in [
        kind(used.hsm.list()),
        kind(used.hsm.destroy(unknown)),
        kind(used.hsm.generate(unknown)),
        kind(used.hsm.import(unknown, &Secret::random().unwrap())),
        kind(used.hsm.record_key()),
    ] {
        assert_eq!(refused, ErrorKind::KmsUnreachable);
    }
    let refused = used.shim.open(&used.token).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    used.shim.tell_no_more("hidden");
    used.hsm.generate(unknown).unwrap();
    let again = Pkcs11Hsm::initialise(used.shim.settings(&used.token)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Exists);
    assert!(again.to_string().contains("holds evsfs:record-key already"), "{again}");
}

fn material_that_is_made_too_late_is_taken_back() {
    let used = Used::new();
    used.shim.tell("slow", "9");
    let (late, imported) = (used.another(), CmkVersion { version: 7, ..used.cmk });
    std::thread::scope(|scope| {
        for made in [
            scope.spawn(|| used.hsm.generate(late)),
            scope.spawn(|| used.hsm.import(imported, &Secret::random().unwrap())),
        ] {
            let refused = made.join().unwrap().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
            let told =
                format!("token \"{}\" cannot be used: it has not answered", used.token.label);
            assert!(refused.to_string().contains(&told), "{refused}");
        }
    });
    used.shim.tell_no_more("slow");
    wait_until("both are taken back", || used.shim.calls("DestroyObject") >= 2);
    wait_until("one is left", || used.hsm.list().unwrap() == [used.cmk]);
    used.hsm.generate(late).unwrap();
}

fn a_token_lost_while_a_call_hangs_is_not_waited_for_long() {
    let used = Used::new();
    used.shim.tell("slow", "5");
    std::thread::scope(|scope| {
        let begun = used.shim.calls("Decrypt");
        let hangs = scope.spawn(|| used.opens());
        wait_until("the call hangs", || used.shim.calls("Decrypt") > begun);
        std::thread::sleep(Duration::from_millis(100));
        used.shim.tell_no_more("slow");
        used.shim.answers("EncryptInit", ckr::SESSION_CLOSED, 0);
        let begin = Instant::now();
        let refused = used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
        assert!(refused.to_string().contains("another call has been waiting"), "{refused}");
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        used.shim.tell_no_more("before-EncryptInit");
        used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap();
        hangs.join().unwrap();
    });
}

fn sessions_are_closed_with_the_module() {
    let used = Used::new();
    assert_eq!(used.shim.sessions(), 1);
    // A refusal is no loss.
    let wrong = kind(used.hsm.unwrap_dk(used.cmk, b"another", &used.wrapped));
    assert_eq!(wrong, ErrorKind::WrongContext);
    used.opens();
    assert_eq!((used.shim.sessions(), used.shim.logins()), (1, 2));
    drop(used.hsm);
    assert_eq!(used.shim.sessions(), 0);
}

/// After 1/4, 1/2, 1, 2 seconds and so on.
fn a_token_that_is_away_is_looked_for_ever_less_often() {
    let used = Used::new();
    let looked = || used.shim.calls("GetSlotList");
    used.shim.tell("removed", "");
    let begin = Instant::now();
    // A look asks for the number of slots, and once more after the module was started anew.
    let before = looked();
    let refused = used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
    let of_one = looked() - before;
    assert!(of_one > 0);
    while begin.elapsed() < Duration::from_millis(3500) {
        let refused = used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap_err();
        assert!(refused.suggested_remedy().unwrap().starts_with("connect the token;"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let looks = (looked() - before) / of_one;
    assert!((3..=4).contains(&looks), "{looks} looks");
    used.shim.tell_no_more("removed");
    wait_until("it is found", || used.hsm.unwrap_dk(used.cmk, b"disk", &used.wrapped).is_ok());
    // What is found again is looked for quickly when it is lost again.
    used.shim.tell("removed", "");
    used.hsm.generate_dk_wrapped(used.cmk, b"disk").unwrap_err();
    used.shim.tell_no_more("removed");
    std::thread::sleep(Duration::from_millis(260));
    used.opens();
}

fn objects_of_others_are_not_listed() {
    let used = Used::new();
    let key = used.cmk.key;
    for label in [
        format!("evsfs:{key}:01"),
        format!("evsfs:{key}:+2"),
        format!("evsfs:{key}"),
        format!("evsfs:{}:2", key.to_string().to_uppercase()),
        format!("other:{key}:2"),
    ] {
        used.token.make_key(&label);
    }
    assert_eq!(used.hsm.list().unwrap(), [used.cmk]);
}
