//! How a verb goes when nothing disturbs it.

use super::amount::Amount;
use super::strace::{CHANGING_CALLS, Call, EVERY_CALL, Strace};
use super::verb::Verb;
use super::world::World;
use serde_json::Value;

/// What is seen of a state: before the daemon is killed, and after it is started again.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub live: Value,
    pub restarted: Value,
}

/// The states that a verb may leave, and the calls it makes.
pub struct Reference {
    pub old: State,
    pub new: State,
    /// One between the two that is as good as they are, if there is one.
    pub between: Option<State>,
    /// The calls that change something, or in the long form of the kills, all.
    pub calls: Vec<Call>,
}

impl Reference {
    /// Carries the verb out, looking at these calls.
    #[track_caller]
    pub fn of(world: &World, verb: &Verb, calls: &str) -> Reference {
        let (old, _) = carried_out(world, verb, &[], calls);
        let (new, calls) = carried_out(world, verb, &[verb.command], calls);
        assert!(old != new || verb.proof.is_some(), "the verb changes nothing");
        let between = match verb.between {
            [] => None,
            commands => Some(carried_out(world, verb, commands, CHANGING_CALLS).0),
        };
        Reference { old, new, between, calls }
    }

    /// Whether a restart may find this, if the verb was not acknowledged.
    pub fn has_restarted(&self, shape: &Value) -> bool {
        let states = [Some(&self.old), Some(&self.new), self.between.as_ref()];
        states.into_iter().flatten().any(|state| state.restarted == *shape)
    }

    /// Whether a restart may find this after the verb was refused.
    pub fn has_stayed(&self, shape: &Value) -> bool {
        let states = [Some(&self.old), self.between.as_ref()];
        states.into_iter().flatten().any(|state| state.restarted == *shape)
    }

    /// Whether a daemon that has refused the verb may show this.
    pub fn has_refused(&self, shape: &Value) -> bool {
        let states = [Some(&self.old), self.between.as_ref()];
        states.into_iter().flatten().any(|state| state.live == *shape)
    }
}

fn carried_out(
    world: &World,
    verb: &Verb,
    commands: &[&[&str]],
    calls: &str,
) -> (State, Vec<Call>) {
    world.restore();
    world.mount().start();
    let tracer = Strace::watch(world.mount().pid(), calls, &world.trace());
    world.all(commands);
    let calls = tracer.calls();
    let live = world.observe().shape;
    world.mount().kill();
    let observed = world.start_and_observe();
    if commands.is_empty() {
        // Nothing was done to a world that was looked at when it was built.
        assert!(!world.has_proof(verb), "{} was done before it was begun", verb.name);
        world.stop();
    } else {
        let is_between = commands != [verb.command];
        let is_proved = verb.proof.is_none() || world.has_proof(verb);
        assert!(is_between || is_proved, "{} was not done", verb.name);
        world.check_content("undisturbed", &observed);
        world.check_state_dir("undisturbed", verb, &observed);
    }
    (State { live, restarted: observed.shape }, calls)
}

/// Where two states differ, line by line.
pub fn difference(found: &Value, expected: &Value) -> String {
    let (found, expected) = (format!("{found:#}"), format!("{expected:#}"));
    let lines = found.lines().zip(expected.lines()).filter(|(found, expected)| found != expected);
    let shown: Vec<String> = lines
        .take(5)
        .map(|(found, expected)| format!("{}, not {}", found.trim(), expected.trim()))
        .collect();
    let (found, expected) = (found.lines().count(), expected.lines().count());
    format!("{} ({found} lines, not {expected})", shown.join("; "))
}

/// Whether an object's removal has got so far that it can only be finished.
pub fn has_half_deleted(shape: &Value) -> bool {
    ["disks", "backups", "images", "servers"].into_iter().any(|kind| {
        shape[kind].as_array().unwrap().iter().any(|object| object["status"] == "error-deleting")
    })
}

/// Which calls are tried: all in the long form, in the short one each fifth, beginning at another
/// one for each verb.
pub fn is_tried(call: usize, verb: usize) -> bool {
    const SHORT_STEP: usize = 5;
    Amount::of(call % SHORT_STEP == verb % SHORT_STEP, true)
}
