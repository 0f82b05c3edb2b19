//! Damages that nobody thought of: bits, pieces and ends of files, exchanged with noise, with other
//! files and with what lay there earlier, in one file or in a few at once.

use crate::amount::Amount;
use crate::damage::{Damage, Kind};
use crate::judge::{Judge, Tally};
use crate::mutation::{Mutator, seed};
use crate::world::{Tree, WRITTEN, World};

#[test]
fn random_damages_of_records() {
    random_damages(1, |kind| {
        matches!(kind, Kind::KeyRecord | Kind::DiskRecord | Kind::JobRecord | Kind::OtherRecord)
    });
}

#[test]
fn random_damages_of_all_files() {
    random_damages(2, |_| true);
}

fn random_damages(number: u64, is_wanted: impl Fn(Kind) -> bool) {
    let judge = Judge::new();
    let mut damages = Damages::new(&judge.world, number, is_wanted);
    let mut tally = Tally::default();
    for _ in 0..Amount::of(250, 10_000) {
        let damage = damages.next();
        tally.count(&damage, judge.verdict_of(&damage));
    }
    println!("random damages of {} files, seed {}: {tally}", damages.paths.len(), seed());
    judge.assert_that_all_is_as_it_was();
}

/// A source of damages, the same at every run.
struct Damages<'a> {
    now: &'a Tree,
    earlier: &'a Tree,
    /// What is damaged.
    paths: Vec<&'a String>,
    mutator: Mutator,
}

impl<'a> Damages<'a> {
    fn new(world: &'a World, number: u64, is_wanted: impl Fn(Kind) -> bool) -> Self {
        let (now, earlier) = (&world.now, &world.earlier);
        let paths = now.keys().filter(|path| is_wanted(Kind::of(path))).collect();
        // Payloads make long pieces, of which one is as good as ten.
        let pieces = now.iter().chain(earlier).filter(|(path, _)| Kind::of(path) != Kind::Payload);
        let pieces = pieces.map(|(_, bytes)| bytes.clone()).collect();
        Damages { now, earlier, paths, mutator: Mutator::between(pieces, number) }
    }

    /// Of mostly one file; each file of it is another one afterwards.
    fn next(&mut self) -> Damage {
        let files = match self.mutator.below(8) {
            0 => 2 + self.mutator.below(3),
            _ => 1,
        };
        let mut damage = Damage { what: String::new(), files: Vec::new(), then: Vec::new() };
        while damage.files.len() < files {
            let path = self.paths[self.mutator.below(self.paths.len())];
            if !damage.files.contains(path) {
                let (what, then) = self.changed(path);
                damage.what.push_str(&format!("[{path} {what}]"));
                damage.files.push(path.clone());
                damage.then.push(then);
            }
        }
        damage
    }

    fn changed(&mut self, path: &str) -> (String, Option<Vec<u8>>) {
        let now = &self.now[path];
        loop {
            let (what, then) = match self.mutator.below(16) {
                0 => ("deleted".to_owned(), None),
                1 => {
                    let other = self.paths[self.mutator.below(self.paths.len())];
                    (format!("replaced by {other}"), Some(self.now[other].clone()))
                }
                2 => match self.earlier.get(path) {
                    Some(earlier) => ("put back as it was".to_owned(), Some(earlier.clone())),
                    None => continue,
                },
                _ => {
                    let mut edited = now.clone();
                    // Most of a payload was never written, and is not read again.
                    let beyond = match Kind::of(path) == Kind::Payload && self.mutator.below(2) == 0
                    {
                        true => edited.split_off(WRITTEN),
                        false => Vec::new(),
                    };
                    for _ in 0..=self.mutator.below(4) {
                        self.mutator.change(&mut edited);
                    }
                    edited.extend_from_slice(&beyond);
                    (edits(now, &edited), Some(edited))
                }
            };
            if then.as_ref() != Some(now) {
                return (what, then);
            }
        }
    }
}

/// In words with which a failure can be made again.
fn edits(before: &[u8], after: &[u8]) -> String {
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let len = after.len();
    let piece = String::from_utf8_lossy(&after[same..(same + 64).min(len)]);
    format!("edited from byte {same} on to {piece:?}, {len} bytes long, {} before", before.len())
}
