//! The model and the real service side by side.

use crate::callers::Who;
use crate::command::{Line, SLOTS, Verb};
use crate::model::Project;
use crate::refusal::Outcome;
use crate::world::{BEGINNING, World};

pub struct Stand {
    pub model: Project,
    pub world: World,
    steps: usize,
}

impl Stand {
    pub fn new() -> Stand {
        let model = Project::new(BEGINNING.parse().unwrap());
        Stand { model, world: World::new(), steps: 0 }
    }

    /// Takes a step in both; says how they differ afterwards.
    pub fn step(&mut self, line: &Line) -> Result<Outcome, String> {
        let expected = self.model.expect(line);
        let seen = self.world.perform(line);
        let told = expected.map_err(|refusal| refusal.told());
        if seen != told {
            return Err(format!("{line}\n  gave     {seen:?}\n  expected {told:?}"));
        }
        self.compare(Who::Root).map_err(|difference| format!("after {line}\n{difference}"))?;
        // Every slot of a disk that has come back, and one slot of each of the others.
        self.steps += 1;
        let all = matches!(line.verb, Verb::DiskAttach(..) | Verb::Restart(_));
        let one = self.steps % SLOTS.len();
        let slots = if all { 0..SLOTS.len() } else { one..one + 1 };
        self.compare_content(slots).map_err(|difference| format!("after {line}\n{difference}"))?;
        Ok(expected)
    }

    /// A step that is known to be allowed.
    pub fn allowed(&mut self, who: Who, verb: Verb) {
        let line = Line { who, verb };
        let outcome = self.step(&line).unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(outcome, Ok(()), "{line}");
    }

    /// What everybody sees at the end, all content, and the log of it.
    pub fn compare_everything(&self) -> Result<(), String> {
        Who::ALL.into_iter().try_for_each(|who| self.compare(who))?;
        self.compare_content(0..SLOTS.len())?;
        if !self.world.audit_is_whole() {
            return Err("the audit log is not whole".to_owned());
        }
        Ok(())
    }

    fn compare(&self, who: Who) -> Result<(), String> {
        let seen = self.world.shown_to(who);
        let expected = who.is_known().then(|| self.model.shown_to(who));
        if seen != expected {
            return Err(format!("{} sees\n{seen:?}expected\n{expected:?}", who.name()));
        }
        Ok(())
    }

    fn compare_content(&self, slots: std::ops::Range<usize>) -> Result<(), String> {
        let attached = self.model.disks.iter().filter(|(_, disk)| disk.attached.is_some());
        let attached: Vec<_> = attached.collect();
        let names: Vec<&str> = attached.iter().map(|(name, _)| **name).collect();
        let files = self.world.files();
        if files != names {
            return Err(format!("the mount shows {files:?}, expected {names:?}"));
        }
        for (name, disk) in attached {
            for slot in slots.clone() {
                let (seen, expected) =
                    (self.world.read(name, slot)?, disk.has(slot).then_some(disk.content[slot]));
                if seen != expected {
                    return Err(format!("slot {slot} of {name} holds {seen:?}, not {expected:?}"));
                }
            }
        }
        Ok(())
    }
}
