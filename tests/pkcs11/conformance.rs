//! What every HSM must do, proved of each that there is.

use crate::shim::Shim;
use crate::support::{Needs, trial};
use crate::token::Token;
use evsfs::crypto::{Dk, RecordKey, Secret};
use evsfs::error::{Code, ErrorKind, Result};
use evsfs::id::KeyId;
use evsfs::kms::{CmkVersion, Hsm, Pkcs11Hsm, SoftHsm};
use libtest_mimic::Trial;
use std::sync::Arc;

/// An HSM that can be closed and opened again, and what to do so with.
struct Subject {
    open: Box<dyn Fn() -> Result<Arc<dyn Hsm>>>,
}

impl Subject {
    fn soft() -> Subject {
        let scratch = tempfile::tempdir().unwrap();
        let (root, directory) = (scratch.path().join("root.key"), scratch.path().join("hsm"));
        SoftHsm::initialise(&root, &directory).unwrap();
        let open = move || -> Result<Arc<dyn Hsm>> {
            let _kept = &scratch;
            Ok(Arc::new(SoftHsm::open(&root, &directory)?))
        };
        Subject { open: Box::new(open) }
    }

    /// A token that makes data keys of the second form.
    fn token_without_gcm() -> Subject {
        Subject::behind(Shim::without_gcm())
    }

    fn token() -> Subject {
        Subject::behind(Shim::new())
    }

    fn behind(shim: Shim) -> Subject {
        // A module of its own: one that many trials share would be started anew by each of them.
        let token = Token::new();
        Pkcs11Hsm::initialise(shim.settings(&token)).unwrap();
        let open = move || -> Result<Arc<dyn Hsm>> { Ok(Arc::new(shim.open(&token)?)) };
        Subject { open: Box::new(open) }
    }

    fn open(&self) -> Arc<dyn Hsm> {
        (self.open)().unwrap()
    }
}

type Body = fn(&Subject);

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        const SUITE: &[(&str, Body)] = &[$((stringify!($name), $name)),*];
    };
}

suite! {
    a_data_key_made_before_a_restart_opens_after_it,
    a_data_key_opens_for_its_own_master_key_version_and_context_only,
    every_flipped_bit_and_every_cut_of_a_wrapped_data_key_is_refused,
    destroyed_material_is_gone_also_after_a_restart,
    material_is_made_once_also_by_several_at_once,
    imported_material_is_the_one_that_was_given_and_replaces_none,
    the_list_is_sorted_and_follows_what_is_made_and_destroyed,
    the_record_key_is_the_same_at_each_start_and_another_in_another_hsm,
    many_threads_get_their_own_data_keys,
}

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, body) in SUITE {
        let body = *body;
        trials.push(named(format!("soft_hsm::{name}"), Needs::Nothing, move || {
            body(&Subject::soft());
        }));
        trials.push(named(format!("pkcs11_hsm::{name}"), Needs::Token, move || {
            body(&Subject::token());
        }));
        trials.push(named(format!("pkcs11_hsm_without_gcm::{name}"), Needs::Token, move || {
            body(&Subject::token_without_gcm());
        }));
    }
    trials
}

fn named(name: String, needs: Needs, body: impl Fn() + Send + 'static) -> Trial {
    trial(&name, needs, body)
}

fn fresh(hsm: &dyn Hsm) -> CmkVersion {
    let cmk = CmkVersion { key: KeyId::random(), version: 1 };
    hsm.generate(cmk).unwrap();
    cmk
}

fn kind<T>(result: Result<T>) -> (ErrorKind, Option<Code>) {
    let error = result.err().unwrap();
    (error.kind(), error.documented_code())
}

const WRONG: (ErrorKind, Option<Code>) = (ErrorKind::WrongContext, Some(Code::KMS_0208));
const GONE: (ErrorKind, Option<Code>) = (ErrorKind::KeyGone, Some(Code::KMS_0207));

fn a_data_key_made_before_a_restart_opens_after_it(subject: &Subject) {
    let hsm = subject.open();
    let cmk = fresh(&*hsm);
    let wrapped = hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
    let before = hsm.unwrap_dk(cmk, b"disk", &wrapped).unwrap();
    drop(hsm);
    let hsm = subject.open();
    let after = hsm.unwrap_dk(cmk, b"disk", &wrapped).unwrap();
    assert_eq!(before.expose()[..], after.expose()[..]);
    let again = hsm.wrap_dk(cmk, b"other", &after).unwrap();
    assert_ne!(again, wrapped);
    let opened = hsm.unwrap_dk(cmk, b"other", &again).unwrap();
    assert_eq!(opened.expose()[..], before.expose()[..]);
    assert_ne!(hsm.generate_dk_wrapped(cmk, b"disk").unwrap(), wrapped);
}

/// RULES K6.
fn a_data_key_opens_for_its_own_master_key_version_and_context_only(subject: &Subject) {
    let hsm = subject.open();
    let cmk = fresh(&*hsm);
    let newer = CmkVersion { version: 2, ..cmk };
    hsm.generate(newer).unwrap();
    let other = fresh(&*hsm);
    let wrapped = hsm.wrap_dk(cmk, b"disk 1", &Dk::generate().unwrap()).unwrap();
    assert!(hsm.unwrap_dk(cmk, b"disk 1", &wrapped).is_ok());
    for (cmk, context) in [
        (cmk, &b"disk 2"[..]),
        (cmk, b"disk 11"),
        (cmk, b""),
        (newer, b"disk 1"),
        (other, b"disk 1"),
    ] {
        assert_eq!(kind(hsm.unwrap_dk(cmk, context, &wrapped)), WRONG, "{cmk} {context:?}");
    }
    assert!(hsm.unwrap_dk(cmk, b"disk 1", &wrapped).is_ok(), "refusals break nothing");
}

fn every_flipped_bit_and_every_cut_of_a_wrapped_data_key_is_refused(subject: &Subject) {
    let hsm = subject.open();
    let cmk = fresh(&*hsm);
    let wrapped = hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
    for bit in 0..wrapped.len() * 8 {
        let mut edited = wrapped.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(kind(hsm.unwrap_dk(cmk, b"disk", &edited)), WRONG, "bit {bit}");
    }
    for len in 0..wrapped.len() {
        assert_eq!(kind(hsm.unwrap_dk(cmk, b"disk", &wrapped[..len])), WRONG, "cut to {len}");
    }
    assert!(hsm.unwrap_dk(cmk, b"disk", &wrapped).is_ok());
}

/// RULES K9.
fn destroyed_material_is_gone_also_after_a_restart(subject: &Subject) {
    let hsm = subject.open();
    let (kept, cmk) = (fresh(&*hsm), fresh(&*hsm));
    let wrapped = hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
    hsm.unwrap_dk(cmk, b"disk", &wrapped).unwrap();
    hsm.destroy(cmk).unwrap();
    hsm.destroy(cmk).unwrap();
    let dk = Dk::generate().unwrap();
    for hsm in [hsm, subject.open()] {
        assert_eq!(kind(hsm.unwrap_dk(cmk, b"disk", &wrapped)), GONE);
        assert_eq!(kind(hsm.generate_dk_wrapped(cmk, b"disk")), GONE);
        assert_eq!(kind(hsm.wrap_dk(cmk, b"disk", &dk)), GONE);
        assert!(hsm.generate_dk_wrapped(kept, b"disk").is_ok());
    }
    // New material of the same name opens nothing old.
    let hsm = subject.open();
    hsm.generate(cmk).unwrap();
    assert_eq!(kind(hsm.unwrap_dk(cmk, b"disk", &wrapped)), WRONG);
}

fn material_is_made_once_also_by_several_at_once(subject: &Subject) {
    let hsm = subject.open();
    let cmk = CmkVersion { key: KeyId::random(), version: 1 };
    let made = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| hsm.generate(cmk))).collect();
        let results = makers.into_iter().map(|maker| maker.join().unwrap());
        results
            .filter(|made| match made {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Exists);
                    false
                }
            })
            .count()
    });
    assert_eq!((made, hsm.list().unwrap()), (1, vec![cmk]));
    assert_eq!(kind(hsm.generate(cmk)).0, ErrorKind::Exists);
}

/// RULES K1: imported again, the same material opens what was wrapped under it before.
fn imported_material_is_the_one_that_was_given_and_replaces_none(subject: &Subject) {
    let hsm = subject.open();
    let cmk = CmkVersion { key: KeyId::random(), version: 1 };
    let (material, other) = (Secret::random().unwrap(), Secret::random().unwrap());
    hsm.import(cmk, &material).unwrap();
    let wrapped = hsm.generate_dk_wrapped(cmk, b"disk").unwrap();
    assert_eq!(kind(hsm.import(cmk, &other)).0, ErrorKind::Exists);
    hsm.destroy(cmk).unwrap();
    hsm.import(cmk, &material).unwrap();
    subject.open().unwrap_dk(cmk, b"disk", &wrapped).unwrap();
    hsm.destroy(cmk).unwrap();
    hsm.import(cmk, &other).unwrap();
    assert_eq!(kind(hsm.unwrap_dk(cmk, b"disk", &wrapped)), WRONG);
}

fn the_list_is_sorted_and_follows_what_is_made_and_destroyed(subject: &Subject) {
    let hsm = subject.open();
    assert!(hsm.list().unwrap().is_empty());
    let mut expected: Vec<CmkVersion> = (0..12).map(|_| fresh(&*hsm)).collect();
    let tenth = CmkVersion { version: 10, ..expected[0] };
    hsm.generate(tenth).unwrap();
    expected.push(tenth);
    expected.sort();
    assert_eq!(hsm.list().unwrap(), expected);
    hsm.destroy(expected.remove(3)).unwrap();
    assert_eq!(subject.open().list().unwrap(), expected);
}

/// RULES K8.
fn the_record_key_is_the_same_at_each_start_and_another_in_another_hsm(subject: &Subject) {
    let tag = |key: RecordKey| key.tag("kms/keys/a.toml", b"format = 1\n");
    let first = tag(subject.open().record_key().unwrap());
    assert_eq!(first, tag(subject.open().record_key().unwrap()));
    assert_ne!(first, tag(Subject::soft().open().record_key().unwrap()));
}

fn many_threads_get_their_own_data_keys(subject: &Subject) {
    let hsm = subject.open();
    let cmk = fresh(&*hsm);
    std::thread::scope(|scope| {
        for thread in 0..16_u8 {
            let hsm = &hsm;
            scope.spawn(move || {
                for _ in 0..20 {
                    let dk = Dk::generate().unwrap();
                    let wrapped = hsm.wrap_dk(cmk, &[thread], &dk).unwrap();
                    let opened = hsm.unwrap_dk(cmk, &[thread], &wrapped).unwrap();
                    assert_eq!(opened.expose()[..], dk.expose()[..]);
                }
            });
        }
    });
}
