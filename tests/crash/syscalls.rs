//! The daemon is killed before each system call of each verb.

use crate::support::{Needs, is_running, trial, wait_until};
use crate::trouble::{
    Amount, CHANGING_CALLS, Call, EVERY_CALL, Injection, Reference, Strace, VERBS, Verb, World,
    difference, is_tried,
};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    let of = |(at, verb): (usize, &'static Verb)| {
        let name = format!("killed_at_any_call_leaves_old_or_new::{}", verb.name);
        trial(&name, Needs::RootAnd(&["strace"]), move || killed_at_any_call(verb, at))
    };
    VERBS.iter().enumerate().map(of).collect()
}

/// In the short form every fifth of the calls that change something, in the long form every call
/// there is.
fn killed_at_any_call(verb: &Verb, at: usize) {
    let world = World::before(verb);
    let reference = Reference::of(&world, verb, Amount::of(CHANGING_CALLS, EVERY_CALL));
    let mut kills = 0;
    for (number, call) in reference.calls.iter().enumerate() {
        // Of few calls each is tried: none might be the fifth.
        let is_turn = reference.calls.len() <= 5 || is_tried(number, at);
        if is_turn && kill_at(&world, verb, &reference, call) {
            kills += 1;
        }
    }
    eprintln!("{}: {} calls, {kills} kills", verb.name, reference.calls.len());
    assert!(kills > 0, "{}: nothing was killed", verb.name);
}

/// Kills the daemon before this call of the verb and looks what a restart finds; whether it came
/// to the call.
fn kill_at(world: &World, verb: &Verb, reference: &Reference, call: &Call) -> bool {
    let when = format!("{} killed at {call}", verb.name);
    world.restore();
    world.mount().start();
    let (pid, number) = (world.mount().pid(), call.number.to_string());
    let tracer = Strace::attach(pid, &call.name, Injection::Kill, &number, &world.trace());
    let said = world.run(verb);
    let has_injected = tracer.end();
    if said.code == 0 && !has_injected {
        world.stop();
        return false;
    }
    wait_until("the daemon is gone", || !is_running(pid));
    let observed = world.start_and_observe();
    assert!(
        reference.has_restarted(&observed.shape),
        "{when}: neither old nor new\nfrom old: {}\nfrom new: {}",
        difference(&observed.shape, &reference.old.restarted),
        difference(&observed.shape, &reference.new.restarted)
    );
    if said.code == 0 {
        assert_eq!(observed.shape, reference.new.restarted, "{when}: it was acknowledged");
        assert!(verb.proof.is_none() || world.has_proof(verb), "{when}: it was acknowledged");
    }
    world.check_content(&when, &observed);
    world.check_state_dir(&when, verb, &observed);
    true
}
