//! Each system call by which a verb changes the state directory fails once.

use crate::support::{Needs, is_running, trial};
use crate::trouble::{
    Amount, CHANGING_CALLS, Call, Injection, Reference, Strace, VERBS, Verb, World, difference,
    has_half_deleted, is_tried,
};
use libtest_mimic::Trial;

const ERRNOS: [&str; 2] = ["EIO", "ENOSPC"];

pub fn trials() -> Vec<Trial> {
    let of = |(at, verb): (usize, &'static Verb)| {
        let name = format!("any_call_that_fails_leaves_old_and_can_be_repeated::{}", verb.name);
        trial(&name, Needs::RootAnd(&["strace"]), move || any_call_fails(verb, at))
    };
    let mut trials: Vec<Trial> = VERBS.iter().enumerate().map(of).collect();
    trials.push(trial(
        "a_disk_that_could_neither_be_made_nor_removed_keeps_its_name_until_it_is_deleted",
        Needs::RootAnd(&["strace"]),
        a_disk_that_could_neither_be_made_nor_removed_keeps_its_name_until_it_is_deleted,
    ));
    trials
}

/// The medium fails when the disk's record says that it is ready, and lets nothing be taken back,
/// as a file system does that has become read-only. The user makes the disk again when it is well;
/// with two records of one name, the next start would serve one of the two.
fn a_disk_that_could_neither_be_made_nor_removed_keeps_its_name_until_it_is_deleted() {
    // No key is asked for, so that what fails first is the disk's own record.
    let verb = VERBS.iter().find(|verb| verb.name == "create_unencrypted").unwrap();
    let world = World::before(verb);
    let reference = Reference::of(&world, verb, "fsync");
    let last = format!("{}+", reference.calls.len());
    world.restore();
    world.mount().start();
    let eio = Injection::Fail("EIO");
    let injections = [("fsync", eio, last.as_str()), ("renameat,unlink,unlinkat,rmdir", eio, "1+")];
    let tracer = Strace::attach_all(world.mount().pid(), &injections, &world.trace());
    world.run(verb).refused(1);
    assert!(tracer.end(), "nothing was injected");
    world.run(verb).refused(10);
    let shown = world.mount().json(&["disk", "show", "new"]);
    assert_eq!(shown["status"], "error", "{shown:#}");
    assert!(shown["error"].as_str().unwrap().starts_with("it could not be made"), "{shown:#}");
    world.all(&[&["disk", "delete", "new"]]);
    world.run(verb).ok();
    world.mount().kill();
    let observed = world.start_and_observe();
    assert_eq!(observed.shape, reference.new.restarted);
    world.check_content("after the fault", &observed);
    world.check_state_dir("after the fault", verb, &observed);
}

/// What is done after the failure.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The verb again, which must now succeed.
    Repeat,
    /// A crash: what the daemon believed and what a restart finds must be the same.
    Crash,
}

/// In the short form every twentieth call and the last fsync, with one errno and one sequel each; in the
/// long form all of them with all.
fn any_call_fails(verb: &Verb, at: usize) {
    let world = World::before(verb);
    let reference = Reference::of(&world, verb, CHANGING_CALLS);
    let mut refusals = 0;
    // When the last one fails everything has been done and nothing may have been.
    let last_fsync = reference.calls.iter().rposition(|call| call.name == "fsync");
    for (number, call) in reference.calls.iter().enumerate() {
        let sequels = [Then::Repeat, Then::Crash];
        let cases = ERRNOS.into_iter().flat_map(|errno| sequels.map(|then| (errno, then)));
        for (case, (errno, then)) in cases.enumerate() {
            // Of the fifth ones every fourth.
            let is_turn = number / 5 % 4 == at / 5 % 4 && (number / 20 + at) % 4 == case;
            let is_turn = Amount::of(is_turn, true);
            let is_tried = is_turn && is_tried(number, at)
                || last_fsync == Some(number) && Amount::of(at % 4 == case, true);
            if is_tried && fail_at(&world, verb, &reference, call, errno, then) {
                refusals += 1;
            }
        }
    }
    eprintln!("{}: {} calls, {refusals} refusals", verb.name, reference.calls.len());
}

/// Fails one call of the verb; whether the verb was refused for it.
fn fail_at(
    world: &World,
    verb: &Verb,
    reference: &Reference,
    call: &Call,
    errno: &'static str,
    then: Then,
) -> bool {
    let when = format!("{}: {errno} of {call}, then {then:?}", verb.name);
    world.restore();
    world.mount().start();
    let (pid, number) = (world.mount().pid(), call.number.to_string());
    let tracer = Strace::attach(pid, &call.name, Injection::Fail(errno), &number, &world.trace());
    let said = world.run(verb);
    tracer.end();
    assert!(is_running(pid), "{when}: the daemon ended");
    world.check_bystander(&when);
    let was_refused = said.code != 0;
    let mut is_half = false;
    if was_refused {
        assert!(matches!(said.code, 1 | 4 | 5 | 7 | 8 | 9), "{when}: {said:?}");
        let now = world.observe().shape;
        is_half = has_half_deleted(&now);
        let is_done = verb.ends_whatever_happens && now == reference.new.live;
        assert!(
            reference.has_refused(&now) || is_half || is_done,
            "{when}: refused, and yet\nfrom old: {}\nfrom new: {}",
            difference(&now, &reference.old.live),
            difference(&now, &reference.new.live)
        );
        match then {
            Then::Repeat if !is_done => drop(world.run(verb).ok()),
            Then::Repeat | Then::Crash => {}
        }
    }
    world.mount().kill();
    let observed = world.start_and_observe();
    let is_expected = match then {
        Then::Crash if was_refused && is_half => reference.has_restarted(&observed.shape),
        Then::Crash if was_refused => reference.has_stayed(&observed.shape),
        _ => observed.shape == reference.new.restarted,
    };
    if matches!(then, Then::Repeat) || !was_refused {
        assert!(verb.proof.is_none() || world.has_proof(verb), "{when}: it was not done");
    }
    assert!(
        is_expected || verb.ends_whatever_happens,
        "{when}: {}\nfrom old: {}\nfrom new: {}",
        said.stderr,
        difference(&observed.shape, &reference.old.restarted),
        difference(&observed.shape, &reference.new.restarted)
    );
    world.check_content(&when, &observed);
    world.check_state_dir(&when, verb, &observed);
    was_refused
}
