//! Several files put back as they were, together.

use crate::damage::Kind;
use crate::observation::{Asked, Observation, observe};
use crate::world::{Tree, World};

fn asked(world: &World) -> Asked {
    let running = world.start().unwrap();
    let asked = Asked::all_of(&running);
    running.service.close_all();
    drop(running);
    world.put(&world.now);
    asked
}

fn with(world: &World, is_put_back: impl Fn(&str) -> bool) -> Tree {
    let mut tree = world.now.clone();
    for (path, bytes) in world.earlier.iter().filter(|(path, _)| is_put_back(path)) {
        tree.insert(path.clone(), bytes.clone());
    }
    tree
}

fn refusals(seen: &Observation) -> Vec<&String> {
    seen.seen.values().filter_map(|seen| seen.as_ref().err()).collect()
}

/// RULES K11: the audit log and its anchor fit each other, and are older.
#[test]
fn the_audit_log_put_back_with_its_anchor_is_found() {
    let world = World::new();
    let asked = asked(&world);
    world.put(&with(&world, |path| path.starts_with("kms/audit")));
    let seen = observe(&world, &asked);
    assert!(seen.seen["start"].as_ref().unwrap_err().contains("kms/audit-anchor.toml"), "{seen:?}");
}

/// RULES K8: an older ledger makes an older record the newest, and all others refuse it.
#[test]
fn any_one_record_put_back_with_the_ledger_of_that_time_is_found() {
    let world = World::new();
    let asked = asked(&world);
    let is_record = |path: &&String| path.ends_with(".toml");
    for record in world.earlier.keys().filter(is_record) {
        world.put(&with(&world, |path| path == "ledger" || path == record));
        let seen = observe(&world, &asked);
        assert!(refusals(&seen).iter().any(|refusal| refusal.contains("ledger")), "{record}");
    }
}

/// All records of one kind, without the ledger that knows them.
#[test]
fn all_records_of_a_kind_put_back_are_found() {
    let world = World::new();
    let asked = asked(&world);
    for kind in [Kind::KeyRecord, Kind::DiskRecord, Kind::OtherRecord] {
        world.put(&with(&world, |path| Kind::of(path) == kind));
        let seen = observe(&world, &asked);
        assert!(!refusals(&seen).is_empty(), "{kind:?}");
        assert!(seen.seen.values().all(|seen| {
            seen.as_ref().map_or(true, |seen| !seen.contains("state: Enabled, description: \"\""))
        }));
    }
}

/// What the ledger cannot find, so that nobody believes that it can: everything put back.
#[test]
fn the_whole_state_directory_put_back_is_as_it_was() {
    let world = World::new();
    let asked = asked(&world);
    world.put(&world.earlier);
    let seen = observe(&world, &asked);
    // The one disk that was made since is not there; its directory holds nothing.
    assert!(seen.seen["start"].is_ok());
    assert!(seen.reads.contains_key("disabled"), "{:?}", seen.reads.keys());
}
