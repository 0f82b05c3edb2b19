//! Every file, one damage at a time, and a start after each.

use crate::damage::{Damage, Kind};
use crate::observation::{Asked, Observation, observe};
use crate::world::{Tree, World, content_of};

#[test]
fn records_of_keys() {
    every(Kind::KeyRecord, 7);
}

#[test]
fn material_in_the_software_hsm() {
    every(Kind::Material, 7);
}

#[test]
fn records_of_disks() {
    every(Kind::DiskRecord, 10);
}

#[test]
fn records_of_jobs() {
    every(Kind::JobRecord, 2);
}

#[test]
fn payloads() {
    every(Kind::Payload, 10);
}

#[test]
fn other_records_logs_and_the_root_key() {
    every(Kind::OtherRecord, 3);
    every(Kind::Log, 2);
    every(Kind::RootKey, 1);
}

/// No file is of a kind that nothing is done to.
#[test]
fn every_file_of_the_state_directory_is_of_one_of_these_kinds() {
    let world = World::new();
    let counts =
        Kind::ALL.map(|kind| world.now.keys().filter(|path| Kind::of(path) == kind).count());
    assert_eq!(counts, [7, 7, 10, 10, 2, 3, 2, 1], "{:?}", world.now.keys());
    for path in world.now.keys() {
        let has_past = world.earlier.get(path).is_some_and(|earlier| *earlier != world.now[path]);
        // Material and the root key never change; a payload is what was written.
        let may_be_without =
            matches!(Kind::of(path), Kind::Material | Kind::RootKey | Kind::Payload);
        let is_new = !world.earlier.contains_key(path);
        assert!(has_past || may_be_without || is_new, "{path} was never different");
    }
}

fn every(kind: Kind, files: usize) {
    let world = World::new();
    let found = world.now.keys().filter(|path| Kind::of(path) == kind).count();
    assert_eq!(found, files, "files of kind {kind:?}");
    let running = world.start().unwrap();
    let asked = Asked::all_of(&running);
    running.service.close_all();
    drop(running);
    world.put(&world.now);
    let known = world.check();
    assert!(world.tree() == world.now, "a check that looks changes something");
    assert!(
        known.len() == 1 && known[0].ends_with("the key of disk \"doomed\" is gone"),
        "{known:?}"
    );
    let sound = observe(&world, &asked);
    let usable = sound.reads.keys().map(String::as_str).collect::<Vec<_>>();
    let expected = ["default", "enabled", "own", "plain", "plain-too", "rotated", "rotated-since"];
    assert_eq!(usable, expected, "{sound:#?}");

    let (mut refused, mut garbled, mut harmless) = (0, 0, Vec::new());
    let damages = Damage::all_of(kind, &world);
    for damage in &damages {
        let damaged = damage.applied_to(&world.now);
        world.put(&damaged);
        let mut found = world.check();
        assert!(world.tree() == damaged, "{}: a check that looks changes something", damage.what);
        found.retain(|finding| !known.contains(finding));
        let seen = observe(&world, &asked);
        let left = world.tree();
        match judge(kind, damage, &sound, &seen) {
            Verdict::Refused => {
                let is_found = found.iter().any(|finding| damage.is_named_in(finding));
                assert!(is_found, "{}: a check does not find it: {found:#?}", damage.what);
                refused += 1;
            }
            Verdict::Garbled => garbled += 1,
            Verdict::Harmless => harmless.push(damage.what.as_str()),
        }
        payloads_are_untouched(damage, &damaged, &left);
        world.put(&world.now);
    }
    println!(
        "{kind:?}: {} damages of {files} files: {refused} refused, {garbled} garble their own disk \
         only, {} harmless",
        damages.len(),
        harmless.len()
    );
    for what in &harmless {
        println!("  harmless: {what}");
    }
    assert_eq!(refused + garbled + harmless.len(), damages.len());
    assert!(garbled == 0 || kind == Kind::Payload);
    assert!(damages.len() >= files * 9, "every file is damaged in every way");
    // And after all that it is as it was.
    assert_eq!(observe(&world, &asked), sound);
}

enum Verdict {
    /// Something is refused, with the file named; the rest is as it was.
    Refused,
    /// A disk reads something else than it did, since its payload was changed (RULES S4): nothing of
    /// another encrypted disk, and nothing else has changed.
    Garbled,
    /// Everything is as it was.
    Harmless,
}

fn judge(kind: Kind, damage: &Damage, sound: &Observation, seen: &Observation) -> Verdict {
    let what = &damage.what;
    let (mut refusals, mut is_garbled) = (Vec::new(), false);
    if let Some(Err(refusal)) = seen.seen.get("start") {
        refusals.push(refusal);
        let is_alone =
            matches!(kind, Kind::KeyRecord | Kind::DiskRecord | Kind::JobRecord | Kind::Payload);
        assert!(!is_alone, "{what} stops everything: {refusal}");
    } else {
        for (of, now) in &seen.seen {
            match (now, sound.seen.get(of)) {
                (now, Some(before)) if now == before => {}
                (Err(refusal), Some(_)) => refusals.push(refusal),
                // What has gone is not there again: it is refused.
                (Err(refusal), None) => refusals.push(refusal),
                // The key of new disks is shown by its id while its alias is not known.
                (Ok(now), Some(Ok(before))) if of == "project" && kind == Kind::KeyRecord => {
                    let id = damage.files.iter().find(|path| {
                        let id = path.rsplit('/').next().unwrap().trim_end_matches(".toml");
                        before.replace("\"enabled\"", &format!("\"{id}\"")) == *now
                    });
                    assert!(id.is_some(), "{what}: {of} is {now}, was {before}");
                }
                (Ok(now), before) => {
                    // A payload is not authenticated (RULES S4).
                    assert!(kind == Kind::Payload, "{what}: {of} is {now}, was {before:?}");
                    assert!(now.ends_with("reads its own: false"), "{what}: {of} is {now}");
                    is_garbled = true;
                }
            }
        }
        for of in sound.seen.keys() {
            assert!(seen.seen.contains_key(of), "{what}: {of} is gone without a word");
        }
        // Nothing else suffers.
        let spoilt = refusals.len();
        match kind {
            Kind::KeyRecord | Kind::Material => assert!(spoilt <= 6, "{what}: {refusals:#?}"),
            Kind::DiskRecord | Kind::JobRecord | Kind::Payload => {
                assert!(spoilt <= damage.files.len(), "{what}: {refusals:#?}");
            }
            Kind::OtherRecord | Kind::Log | Kind::RootKey => {}
        }
    }
    for (disk, read) in &seen.reads {
        let is_encrypted = !disk.starts_with("plain");
        for other in sound.reads.keys().filter(|other| *other != disk) {
            let is_other = *read == content_of(other);
            assert!(!(is_encrypted && is_other), "{what}: {disk} reads what {other} is");
        }
    }
    if refusals.is_empty() {
        return if is_garbled { Verdict::Garbled } else { Verdict::Harmless };
    }
    let is_named = refusals.iter().any(|refusal| damage.is_named_in(refusal));
    assert!(is_named, "{what}: no refusal names it: {refusals:#?}");
    Verdict::Refused
}

fn payloads_are_untouched(damage: &Damage, damaged: &Tree, left: &Tree) {
    for (path, bytes) in damaged.iter().filter(|(path, _)| Kind::of(path) == Kind::Payload) {
        assert!(left.get(path) == Some(bytes), "{}: {path} has changed", damage.what);
    }
}
