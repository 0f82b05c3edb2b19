//! Secrets on their way in: material, passphrases, PINs, one-time import keys.

use super::memory::{hunt, locked_bytes};
use super::needles::Needles;
use super::rig::Keeping;
use super::token::{PIN, Token};
use crate::support::{Mount, Needs, Setup, kernel_under_test, run, soft_token_module, trial};
use libtest_mimic::Trial;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "k7_imported_material_is_only_in_protected_memory",
            Needs::Root,
            k7_imported_material_is_only_in_protected_memory,
        ),
        trial(
            "k7_material_that_a_program_sends_is_only_in_protected_memory",
            Needs::Root,
            k7_material_that_a_program_sends_is_only_in_protected_memory,
        ),
        trial(
            "k7_wrapped_material_and_its_import_key_are_only_in_protected_memory",
            Needs::RootAnd(&["openssl"]),
            k7_wrapped_material_and_its_import_key_are_only_in_protected_memory,
        ),
        trial(
            "the_passphrase_is_nowhere_once_the_mount_answers",
            Needs::Root,
            the_passphrase_is_nowhere_once_the_mount_answers,
        ),
        trial(
            "the_pin_is_only_in_protected_memory",
            Needs::RootAndToken(&[]),
            the_pin_is_only_in_protected_memory,
        ),
    ]
}

/// Material as customers bring it.
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn with_external_key() -> Mount {
    let mount = Keeping::Locked.mount(kernel_under_test());
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    mount
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Uses the key, so that its material is opened.
#[track_caller]
fn use_key(mount: &Mount) {
    mount.attached_disk("db", "1M", &["--key", "own"]);
    mount.evsfs(&["disk", "detach", "db"]).ok();
}

#[track_caller]
fn expect_material_in_protected_memory(mount: &Mount, material: &[u8; 32], when: &str) {
    let mut needles = Needles::default();
    needles.add_gcm_key("material", material);
    Keeping::Locked.expect_no_leaks(mount, &needles, &format!("{when}: imported"));
    use_key(mount);
    let hunt = Keeping::Locked.expect_no_leaks(mount, &needles, &format!("{when}: used"));
    assert!(hunt.has_found("round keys of material"), "{when}: the hunter finds nothing");
}

/// RULES K7: material never is in the clear outside the HSM, here the software one.
fn k7_imported_material_is_only_in_protected_memory() {
    let (mount, material) = (with_external_key(), random());
    let file = mount.secret_file("material", &material);
    mount.evsfs(&["key", "import", "own", "--file", text(&file)]).ok();
    expect_material_in_protected_memory(&mount, &material, "plain");
}

/// The same, of programs that use `.evs/control` and know of no import key.
fn k7_material_that_a_program_sends_is_only_in_protected_memory() {
    use std::io::{Read, Write};
    let (mount, material) = (with_external_key(), random());
    let hex = evsfs::crypto::to_hex(&material);
    let request = format!("{{\"op\":\"key.import\",\"alias\":\"own\",\"material\":\"{hex}\"}}\n");
    let mut control =
        std::fs::File::options().read(true).write(true).open(mount.control("control")).unwrap();
    control.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    control.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("{\"ok\""), "{answer}");
    drop(control);
    expect_material_in_protected_memory(&mount, &material, "by control");
}

/// Neither what was wrapped nor what opens it.
fn k7_wrapped_material_and_its_import_key_are_only_in_protected_memory() {
    let (mount, material) = (with_external_key(), random());
    let pem = mount.evsfs(&["key", "import-parameters", "own"]).ok();
    let private = import_key_of(&mount);
    let expect_no_import_key = |when: &str| {
        hunt(mount.pid(), &private).expect_no_leaks(when);
    };
    expect_no_import_key("made");
    let pem = mount.secret_file("import.pem", pem.as_bytes());
    let (plain, wrapped) =
        (mount.secret_file("material", &material), mount.scratch().join("wrapped"));
    let options = "rsa_padding_mode:oaep rsa_oaep_md:sha256 rsa_mgf1_md:sha256";
    let mut arguments = vec!["pkeyutl", "-encrypt", "-pubin", "-inkey", text(&pem)];
    arguments.extend(["-in", text(&plain), "-out", text(&wrapped)]);
    arguments.extend(options.split(' ').flat_map(|option| ["-pkeyopt", option]));
    run("openssl", &arguments).ok();
    mount.evsfs(&["key", "import", "own", "--file", text(&wrapped), "--wrapped"]).ok();
    expect_material_in_protected_memory(&mount, &material, "wrapped");
    expect_no_import_key("used");
    let finds = hunt(mount.pid(), &private).finds;
    assert!(finds.is_empty(), "a used import key is kept: {}", finds[0]);
}

/// The private numbers of the one import key that the daemon keeps, found in its locked memory.
#[track_caller]
fn import_key_of(mount: &Mount) -> Needles {
    // PKCS#8 (RFC 5958): a sequence with a length of two bytes, version 0, rsaEncryption.
    const ALGORITHM: &[u8] =
        b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let memory = locked_bytes(mount.pid());
    let at = memory.windows(ALGORITHM.len()).position(|window| window == ALGORITHM);
    let start = at.expect("the import key is in locked memory") - 4;
    let len = usize::from(u16::from_be_bytes([memory[start + 2], memory[start + 3]]));
    let key = rsa::PrivateKey::from_pkcs8_der(&memory[start..start + 4 + len]).unwrap();
    let mut needles = Needles::default();
    // Not the public number, nor what is short.
    let _ = key.n();
    needles.add_secret("private exponent", &key.d().to_be_bytes());
    for prime in key.primes() {
        needles.add_secret("prime", &prime.to_be_bytes());
    }
    needles
}

/// Argon2 has made a key of it, and nobody needs it any more.
fn the_passphrase_is_nowhere_once_the_mount_answers() {
    const PASSPHRASE: &str = "correct horse battery staple, and a hippopotamus";
    let mount = Setup::default().prepare();
    std::fs::remove_dir_all(mount.state_dir()).unwrap();
    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    std::fs::write(mount.config_path(), config + "[kms]\npassphrase = true\n").unwrap();
    let file = mount.secret_file("passphrase", format!("{PASSPHRASE}\n").as_bytes());
    let config = mount.config_path();
    let options = ["--passphrase-file", text(&file)];
    let init = ["init", "-c", text(&config), "--root-key", "passphrase"];
    mount.evsfs_plain(&[&init[..], &options].concat()).ok();
    let mut needles = Needles::default();
    needles.add_text("passphrase", PASSPHRASE);
    for keeping in Keeping::BOTH {
        keeping.start(&mount, &options);
        let hunt = keeping.expect_no_leaks(&mount, &needles, "mounted");
        assert!(hunt.finds.is_empty(), "{}", hunt.finds[0]);
        mount.stop();
    }
}

/// The PIN is kept, since a token that was away wants it again.
fn the_pin_is_only_in_protected_memory() {
    let token = Token::new();
    let module = soft_token_module().unwrap();
    let mount = Setup::with(&token.config()).prepare();
    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    let without = token.config_without_pin(Path::new(module));
    let config = config.replace(&token.config(), &without);
    std::fs::write(mount.config_path(), config).unwrap();
    let pin_file = token.pin_file();
    Keeping::Locked.start(&mount, &["--pin-file", text(&pin_file)]);
    mount.evsfs(&["agency", "create"]).ok();
    let path = mount.attached_disk("db", "1M", &[]);
    std::fs::write(path, [1; 4096]).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let mut needles = Needles::default();
    needles.add_text("PIN", PIN);
    let hunt = Keeping::Locked.expect_no_leaks(&mount, &needles, "mounted");
    assert!(hunt.has_found("PIN"), "the hunter finds nothing");
}
