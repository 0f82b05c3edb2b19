//! What a damage of a state directory may do, and what it must not.

use crate::damage::{Damage, Kind, stem};
use crate::observation::{Asked, Observation, observe};
use crate::world::{Tree, World, content_of};
use std::fmt;

/// What came of a damage, where it is what may come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something is refused, with the file named; the rest is as it was.
    Refused,
    /// A disk reads something else than it did, since its payload was changed (RULES S4): nothing of
    /// another encrypted disk, and nothing else has changed.
    Garbled,
    /// Everything is as it was.
    Harmless,
}

/// Damages one state directory again and again, and knows what the sound one serves.
pub struct Judge {
    pub world: World,
    asked: Asked,
    /// What a check finds in the sound one.
    known: Vec<String>,
    sound: Observation,
}

impl Judge {
    pub fn new() -> Judge {
        let world = World::new();
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
        let expected =
            ["default", "enabled", "own", "plain", "plain-too", "rotated", "rotated-since"];
        assert_eq!(usable, expected, "{sound:#?}");
        Judge { world, asked, known, sound }
    }

    /// Puts the damage there, lets a check look and a daemon start, and puts everything right again.
    ///
    /// # Panics
    /// When anything came of it that must not.
    pub fn verdict_of(&self, damage: &Damage) -> Verdict {
        let what = &damage.what;
        let damaged = damage.applied_to(&self.world.now);
        self.world.put(&damaged);
        let mut found = self.world.check();
        assert!(self.world.tree() == damaged, "{what}: a check that looks changes something");
        found.retain(|finding| !self.known.contains(finding));
        let seen = observe(&self.world, &self.asked);
        let left = self.world.tree();
        let verdict = self.judge(damage, &seen);
        // Material of a key that is disabled is missed by nobody until it is enabled.
        let spoils_material = damage
            .files
            .iter()
            .any(|path| Kind::of(path) == Kind::Material && self.world.now.contains_key(path));
        if verdict == Verdict::Refused || spoils_material {
            let is_found = found.iter().any(|finding| damage.is_named_in(finding));
            assert!(is_found, "{what}: a check does not find it: {found:#?}");
        }
        payloads_are_untouched(damage, &damaged, &left);
        self.world.put(&self.world.now);
        verdict
    }

    /// After all that was done and taken back.
    pub fn assert_that_all_is_as_it_was(&self) {
        assert_eq!(observe(&self.world, &self.asked), self.sound);
    }

    fn judge(&self, damage: &Damage, seen: &Observation) -> Verdict {
        let what = &damage.what;
        let (mut refusals, mut is_garbled) = (Vec::new(), false);
        if let Some(Err(refusal)) = seen.seen.get("start") {
            assert!(damage.may_stop_a_start(), "{what} stops everything: {refusal}");
            refusals.push(refusal);
        } else {
            for (of, now) in &seen.seen {
                match (now, self.sound.seen.get(of)) {
                    (now, Some(before)) if now == before => {}
                    // What has gone is not there again: it is refused, too.
                    (Err(refusal), _) => refusals.push(refusal),
                    (Ok(now), Some(Ok(before))) if of == "project" => {
                        assert!(
                            names_a_default_without_its_alias(damage, before, now),
                            "{what}: {of} is {now}, was {before}"
                        );
                    }
                    (Ok(now), before) => {
                        assert!(damage.may_garble(), "{what}: {of} is {now}, was {before:?}");
                        assert!(now.ends_with("reads its own: false"), "{what}: {of} is {now}");
                        is_garbled = true;
                    }
                }
            }
            for of in self.sound.seen.keys() {
                assert!(seen.seen.contains_key(of), "{what}: {of} is gone without a word");
            }
            if let Some(most) = damage.spoils_at_most() {
                assert!(refusals.len() <= most, "{what}: {refusals:#?}");
            }
        }
        for (disk, read) in &seen.reads {
            let is_encrypted = !disk.starts_with("plain");
            for other in self.sound.reads.keys().filter(|other| *other != disk) {
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
}

/// The key of new disks is shown by its id while the record that knows its alias is not sound.
fn names_a_default_without_its_alias(damage: &Damage, before: &str, now: &str) -> bool {
    damage
        .files
        .iter()
        .filter(|path| Kind::of(path) == Kind::KeyRecord)
        .any(|path| before.replace("\"enabled\"", &format!("\"{}\"", stem(path))) == now)
}

fn payloads_are_untouched(damage: &Damage, damaged: &Tree, left: &Tree) {
    for (path, bytes) in damaged.iter().filter(|(path, _)| Kind::of(path) == Kind::Payload) {
        assert!(left.get(path) == Some(bytes), "{}: {path} has changed", damage.what);
    }
}

/// How often which verdict was given.
#[derive(Debug, Default)]
pub struct Tally {
    pub refused: usize,
    pub garbled: usize,
    pub harmless: Vec<String>,
}

impl Tally {
    pub fn count(&mut self, damage: &Damage, verdict: Verdict) {
        match verdict {
            Verdict::Refused => self.refused += 1,
            Verdict::Garbled => self.garbled += 1,
            Verdict::Harmless => self.harmless.push(damage.what.clone()),
        }
    }

    pub fn all(&self) -> usize {
        self.refused + self.garbled + self.harmless.len()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, refused, garbled) = (self.all(), self.refused, self.garbled);
        let harmless = self.harmless.len();
        write!(
            out,
            "{all} damages: {refused} refused, {garbled} garble their own disk only, {harmless} \
             harmless"
        )
    }
}
