//! The daemon is killed before each system call of its start, while it ends what earlier kills have
//! left half-done.

use crate::support::{Needs, is_running, run, trial, wait_until};
use crate::trouble::{
    Amount, CHANGING_CALLS, EVERY_CALL, Injection, Observed, Strace, VERBS, Verb, World, calls_in,
    is_tried, let_go_of,
};
use libtest_mimic::Trial;
use std::process::Child;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "a_start_that_is_killed_at_any_call_is_made_again",
        Needs::RootAnd(&["strace"]),
        a_start_that_is_killed_at_any_call_is_made_again,
    )]
}

fn a_start_that_is_killed_at_any_call_is_made_again() {
    let verb = &VERBS[0];
    let world = World::before(verb);
    leave_half_done(&world);
    let reference = observed_after_start(&world);
    world.check_content("undisturbed", &reference);
    world.check_state_dir("undisturbed", verb, &reference);

    world.restore();
    let set = Amount::of(CHANGING_CALLS, EVERY_CALL);
    let mut daemon = started(&world, set, None);
    wait_until("it is mounted", || is_mounted(&world));
    let calls = {
        let_go_of(daemon.id());
        calls_in(&world.trace())
    };
    world.stop();
    daemon.wait().unwrap();
    let mut kills = 0;
    for (number, call) in calls.iter().enumerate() {
        if !is_tried(number, 0) {
            continue;
        }
        let when = format!("start killed at {call}");
        world.restore();
        let counted = call.number.to_string();
        let mut daemon = started(&world, &call.name, Some((Injection::Kill, &counted)));
        wait_until("it is mounted or killed", || !is_running(daemon.id()) || is_mounted(&world));
        if is_running(daemon.id()) {
            let_go_of(daemon.id());
            world.stop();
        } else {
            kills += 1;
        }
        daemon.wait().unwrap();
        let observed = observed_after_start(&world);
        assert_eq!(observed.shape, reference.shape, "{when}");
        world.check_content(&when, &observed);
        world.check_state_dir(&when, verb, &observed);
    }
    eprintln!("start: {} calls, {kills} kills", calls.len());
    assert!(kills > 0, "nothing was killed");
}

/// A creation and a deletion that were killed in the middle.
#[track_caller]
fn leave_half_done(world: &World) {
    let create = VERBS.iter().find(|verb| verb.name == "create").unwrap();
    let delete = VERBS.iter().find(|verb| verb.name == "delete").unwrap();
    for (verb, call, number) in [(create, "ftruncate", "1"), (delete, "unlink", "1")] {
        kill_at(world, verb, call, number);
    }
    world.save();
}

#[track_caller]
fn kill_at(world: &World, verb: &Verb, call: &str, number: &str) {
    // The start would end what the kill before has left, so that is kept aside and put back.
    let disks = world.mount().state_dir().join("disks");
    let aside = world.mount().scratch().join("aside");
    run("cp", &["-a", disks.to_str().unwrap(), aside.to_str().unwrap()]).ok();
    world.mount().start();
    let pid = world.mount().pid();
    let tracer = Strace::attach(pid, call, Injection::Kill, number, &world.trace());
    assert_ne!(world.run(verb).code, 0);
    assert!(tracer.end(), "{} was not killed", verb.name);
    wait_until("the daemon is gone", || !is_running(pid));
    run("umount", &["-l", world.mount().mountpoint().to_str().unwrap()]).ok();
    // Not over what has changed.
    let from = format!("{}/.", aside.display());
    run("cp", &["-a", "-n", &from, disks.to_str().unwrap()]);
    std::fs::remove_dir_all(&aside).unwrap();
}

#[track_caller]
fn observed_after_start(world: &World) -> Observed {
    world.start_and_observe()
}

/// Starts the daemon in the foreground, so that it is the process that is traced.
fn started(world: &World, calls: &str, injection: Option<(Injection, &str)>) -> Child {
    let config = world.mount().config_path();
    let arguments = ["mount", "--foreground", "-c", config.to_str().unwrap()];
    Strace::start(calls, injection, &world.trace(), world.mount().program(), &arguments)
}

fn is_mounted(world: &World) -> bool {
    world.mount().control("version").exists()
}
