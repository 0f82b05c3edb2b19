//! The daemon is killed before each system call of its start, while it ends what earlier kills have
//! left half-done.

use crate::support::{ForwardClock, Needs, is_running, run, trial, wait_until};
use crate::trouble::{
    Amount, CHANGING_CALLS, EVERY_CALL, Injection, Observed, Strace, VERBS, Verb, World, calls_in,
    let_go_of,
};
use libtest_mimic::Trial;
use std::process::Child;

/// Of the calls of a start one in ten is tried in the short form: it makes many, and each takes two more
/// starts.
const SHORT_STEP: usize = 10;

pub fn trials() -> Vec<Trial> {
    const NEEDS: Needs = Needs::RootAnd(&["strace", "gcc"]);
    vec![
        trial(
            "a_start_that_is_killed_at_any_call_is_made_again",
            NEEDS,
            a_start_that_is_killed_at_any_call_is_made_again,
        ),
        trial(
            "a_key_whose_destruction_is_killed_at_any_call_is_destroyed_by_the_next_start",
            NEEDS,
            a_key_whose_destruction_is_killed_at_any_call_is_destroyed_by_the_next_start,
        ),
    ]
}

fn a_start_that_is_killed_at_any_call_is_made_again() {
    for (name, call, number) in [("create", "ftruncate", "1"), ("delete", "unlink", "1")] {
        let world = World::before(&VERBS[0]);
        let verb = VERBS.iter().find(|verb| verb.name == name).unwrap();
        leave_half_done(&world, verb, call, number);
        kill_starts(&world, None);
    }
}

/// RULES K9: neither the record of a key nor its material is there after its deletion date, however
/// often the daemon is killed while it destroys them.
fn a_key_whose_destruction_is_killed_at_any_call_is_destroyed_by_the_next_start() {
    let world = World::before(&VERBS[0]);
    let Some(clock) = ForwardClock::compile(world.mount().scratch()) else { return };
    world.mount().start();
    world.all(&[
        &["key", "create", "doomed"],
        &["key", "schedule-deletion", "doomed", "--days", "7"],
    ]);
    world.stop();
    world.save();
    clock.set_ahead(8);
    let observed = kill_starts(&world, Some(&clock));
    let keys = observed.shape["keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key["alias"] != "doomed"), "{keys:?}");
}

/// Kills the daemon at each call of its start, or in the short form at some; what each start
/// after it finds, which is always the same.
#[track_caller]
fn kill_starts(world: &World, clock: Option<&ForwardClock>) -> Observed {
    let verb = &VERBS[0];
    world.restore();
    let reference = observed_after_start(world, clock);
    world.check_content("undisturbed", &reference);
    world.check_state_dir("undisturbed", verb, &reference);

    world.restore();
    let set = Amount::of(CHANGING_CALLS, EVERY_CALL);
    let mut daemon = started(world, clock, set, None);
    wait_until("it is mounted", || is_mounted(world));
    let_go_of(daemon.id());
    let calls = calls_in(&world.trace());
    world.stop();
    daemon.wait().unwrap();
    let mut kills = 0;
    for call in calls.iter().step_by(Amount::of(SHORT_STEP, 1)) {
        let when = format!("start killed at {call}");
        world.restore();
        let counted = call.number.to_string();
        let mut daemon = started(world, clock, &call.name, Some((Injection::Kill, &counted)));
        wait_until("it is mounted or killed", || !is_running(daemon.id()) || is_mounted(world));
        if is_running(daemon.id()) {
            let_go_of(daemon.id());
            world.stop();
        } else {
            kills += 1;
        }
        daemon.wait().unwrap();
        let observed = observed_after_start(world, clock);
        assert_eq!(observed.shape, reference.shape, "{when}");
        world.check_content(&when, &observed);
        world.check_state_dir(&when, verb, &observed);
    }
    eprintln!("start: {} calls, {kills} kills", calls.len());
    assert!(kills > 0, "nothing was killed");
    reference
}

/// A verb that was killed in the middle.
#[track_caller]
fn leave_half_done(world: &World, verb: &Verb, call: &str, number: &str) {
    world.mount().start();
    let pid = world.mount().pid();
    let tracer = Strace::attach(pid, call, Injection::Kill, number, &world.trace());
    assert_ne!(world.run(verb).code, 0);
    wait_until("the daemon is gone", || !is_running(pid));
    assert!(tracer.end(), "{} was not killed", verb.name);
    run("umount", &["-l", world.mount().mountpoint().to_str().unwrap()]).ok();
    world.save();
}

#[track_caller]
fn observed_after_start(world: &World, clock: Option<&ForwardClock>) -> Observed {
    match clock {
        Some(clock) => clock.start(world.mount()),
        None => world.mount().start(),
    }
    world.observe()
}

/// Starts the daemon in the foreground, so that it is the process that is traced.
fn started(
    world: &World,
    clock: Option<&ForwardClock>,
    calls: &str,
    injection: Option<(Injection, &str)>,
) -> Child {
    let config = world.mount().config_path();
    let arguments = ["mount", "--foreground", "-c", config.to_str().unwrap()];
    let environment = clock.map(ForwardClock::environment);
    let environment = environment.as_ref().map_or(&[][..], |variables| &variables[..]);
    let (log, program) = (world.trace(), world.mount().program());
    Strace::start(calls, injection, &log, environment, program, &arguments)
}

fn is_mounted(world: &World) -> bool {
    world.mount().control("version").exists()
}
