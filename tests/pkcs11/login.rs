//! What can go wrong before a token can be used: its mechanisms, its label, its PIN.

use crate::shim::{AES_GCM, Shim, ckr};
use crate::token::Token;
use evsfs::crypto::SecretText;
use evsfs::error::{Error, ErrorKind};
use evsfs::kms::{Hsm, PinSource, Pkcs11Hsm, probe_pkcs11};

const FINAL_TRY: &str = "20000";
const LOCKED: &str = "40000";

token_trials! {
    what_a_token_lacks_is_named,
    a_locked_pin_is_not_tried,
    each_trouble_with_a_pin_is_told,
    two_tokens_of_one_label_are_refused,
    a_probe_names_the_tokens_that_are_there,
}

fn refusal(shim: &Shim, token: &Token) -> Error {
    shim.open(token).err().unwrap()
}

fn what_a_token_lacks_is_named() {
    let (token, shim) = (Token::new(), Shim::new());
    Pkcs11Hsm::initialise(shim.settings(&token)).unwrap();
    for (lacks, named) in [
        ("1080", "no AES key generation"),
        ("350", "no generation of generic secrets"),
        ("251", "no SHA256-HMAC"),
        ("1087 2109", "no AES-GCM and no AES key wrap"),
    ] {
        shim.tell("lacks", lacks);
        let refused = refusal(&shim, &token);
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        let told = format!("token \"{}\" has {named}", token.label);
        assert!(refused.to_string().contains(&told), "{refused}");
    }
    for enough in [AES_GCM, "2109"] {
        shim.tell("lacks", enough);
        shim.open(&token).unwrap().record_key().unwrap();
    }
}

fn a_locked_pin_is_not_tried() {
    let (token, shim) = (Token::new(), Shim::new());
    Pkcs11Hsm::initialise(shim.settings(&token)).unwrap();
    let logins = shim.logins();
    for (flags, why, fix) in [
        (LOCKED, "its PIN is locked", "pkcs11-tool --unlock-pin"),
        (FINAL_TRY, "one more wrong PIN would lock it", "--login --list-objects"),
    ] {
        shim.tell("flags", flags);
        let refused = refusal(&shim, &token);
        assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
        assert!(refused.to_string().contains(why), "{refused}");
        assert!(refused.suggested_remedy().unwrap().contains(fix), "{refused:?}");
    }
    assert_eq!(shim.logins(), logins);
    assert_eq!(shim.sessions(), 0, "a session without login is closed");
}

fn each_trouble_with_a_pin_is_told() {
    let (token, shim) = (Token::new(), Shim::new());
    Pkcs11Hsm::initialise(shim.settings(&token)).unwrap();
    for (code, why) in [
        (ckr::PIN_INVALID, "it refused the PIN"),
        (ckr::PIN_LEN_RANGE, "it refused the PIN"),
        (ckr::PIN_LOCKED, "its PIN is locked"),
        (ckr::USER_PIN_NOT_INITIALIZED, "it has no user PIN yet"),
        (ckr::SESSION_COUNT, "it has no session left"),
    ] {
        shim.answers("Login", code, 1);
        let refused = refusal(&shim, &token);
        assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
        assert!(refused.to_string().contains(why), "{code:x}: {refused}");
        assert!(refused.suggested_remedy().is_some());
        assert_eq!(shim.sessions(), 0);
    }
    shim.answers_when_done("Login", ckr::USER_ALREADY_LOGGED_IN);
    shim.open(&token).unwrap().record_key().unwrap();

    let none = PinSource::File(token.pin_file().with_file_name("none"));
    let settings = evsfs::kms::Pkcs11Settings { pin: none, ..shim.settings(&token) };
    let refused = Pkcs11Hsm::open(settings).err().unwrap();
    assert!(refused.to_string().contains("there is no PIN for it"), "{refused}");
    assert!(refused.suggested_remedy().unwrap().starts_with("write the token's user PIN into"));
    let wrong = SecretText::read_line(&mut &b"00000000"[..], "the trial").unwrap();
    let pin = PinSource::Given(wrong.into());
    let settings = evsfs::kms::Pkcs11Settings { pin, ..shim.settings(&token) };
    let refused = Pkcs11Hsm::open(settings).err().unwrap();
    assert!(refused.to_string().contains("it refused the PIN"), "{refused}");
}

fn two_tokens_of_one_label_are_refused() {
    let (token, shim) = (Token::new(), Shim::new());
    token.make_twin();
    let refused = Pkcs11Hsm::initialise(shim.settings(&token)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
    assert!(refused.to_string().contains("there are two tokens of this label"), "{refused}");
    let refused = shim.open(&Token::new()).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "another token is no part of it: {refused}");
}

fn a_probe_names_the_tokens_that_are_there() {
    let (token, other, shim) = (Token::new(), Token::new(), Shim::new());
    probe_pkcs11(&shim.module(), &token.label).unwrap();
    let refused = probe_pkcs11(&shim.module(), "none").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KmsUnreachable);
    for label in [&token.label, &other.label] {
        assert!(refused.to_string().contains(label.as_str()), "{refused}");
    }
    shim.tell("removed", "");
    let refused = probe_pkcs11(&shim.module(), &token.label).unwrap_err();
    assert!(refused.to_string().contains("nor any other"), "{refused}");
    shim.tell_no_more("removed");
    shim.answers("GetSlotList", ckr::DEVICE_ERROR, 1);
    let refused = probe_pkcs11(&shim.module(), &token.label).unwrap_err();
    assert!(refused.to_string().contains("does not list its tokens"), "{refused}");
    let missing = shim.module().with_file_name("none.so");
    let refused = probe_pkcs11(&missing, &token.label).unwrap_err();
    assert!(refused.to_string().contains("cannot be loaded"), "{refused}");
}
