//! What is done to files.

use crate::world::{Tree, World};
use std::path::Path;

/// One change of a state directory.
pub struct Damage {
    /// For messages.
    pub what: String,
    /// The files that are changed.
    pub files: Vec<String>,
    /// What the files are then; `None` for one that is deleted.
    pub then: Vec<Option<Vec<u8>>>,
}

/// Files that are the same kind of thing, and so may be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KeyRecord,
    Material,
    DiskRecord,
    Payload,
    JobRecord,
    OtherRecord,
    Log,
    RootKey,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::KeyRecord,
        Kind::Material,
        Kind::DiskRecord,
        Kind::Payload,
        Kind::JobRecord,
        Kind::OtherRecord,
        Kind::Log,
        Kind::RootKey,
    ];

    pub fn of(path: &str) -> Kind {
        match path {
            "hsm/root.key" => Kind::RootKey,
            "ledger" | "kms/audit.jsonl" => Kind::Log,
            "project.toml" | "kms/clock.toml" | "kms/audit-anchor.toml" => Kind::OtherRecord,
            _ if path.starts_with("kms/keys/") && path.ends_with(".toml") => Kind::KeyRecord,
            _ if path.starts_with("hsm/") && path.ends_with(".key") => Kind::Material,
            _ if path.starts_with("jobs/") => Kind::JobRecord,
            _ if path.ends_with("/disk.toml") => Kind::DiskRecord,
            _ if path.ends_with("/payload") => Kind::Payload,
            _ => panic!("{path} is of no known kind: say here what may be done to it"),
        }
    }
}

/// The name of a file without its directory and its ending: of a key's record its id.
pub fn stem(path: &str) -> &str {
    Path::new(path).file_stem().unwrap().to_str().unwrap()
}

impl Damage {
    fn one(what: &str, path: &str, then: Option<Vec<u8>>) -> Damage {
        Damage { what: format!("{path} {what}"), files: vec![path.to_owned()], then: vec![then] }
    }

    /// Everything that is done to the files of one kind, each change alone.
    pub fn all_of(kind: Kind, world: &World) -> Vec<Damage> {
        let mut all = Vec::new();
        let files: Vec<&String> = world.now.keys().filter(|path| Kind::of(path) == kind).collect();
        for path in &files {
            all.extend(Damage::of_file(path, &world.now[*path], world.earlier.get(*path)));
        }
        for (at, first) in files.iter().enumerate() {
            for second in &files[at + 1..] {
                let (a, b) = (&world.now[*first], &world.now[*second]);
                if a != b {
                    all.push(Damage {
                        what: format!("{first} and {second} exchanged"),
                        files: vec![(*first).clone(), (*second).clone()],
                        then: vec![Some(b.clone()), Some(a.clone())],
                    });
                }
            }
        }
        // What has gone since comes back.
        for (path, bytes) in &world.earlier {
            if Kind::of(path) == kind && !world.now.contains_key(path) {
                all.push(Damage::one("brought back", path, Some(bytes.clone())));
            }
        }
        all
    }

    fn of_file(path: &str, now: &[u8], earlier: Option<&Vec<u8>>) -> Vec<Damage> {
        let mut all = vec![Damage::one("deleted", path, None)];
        for len in [0, now.len() / 2, now.len() - 1] {
            all.push(Damage::one(&format!("cut to {len}"), path, Some(now[..len].to_vec())));
        }
        for at in [0, now.len() / 3, now.len() / 2, now.len() - 1] {
            let mut edited = now.to_vec();
            edited[at] ^= 1 << (at % 8);
            all.push(Damage::one(&format!("edited at {at}"), path, Some(edited)));
        }
        all.push(Damage::one("with a byte more", path, Some([now, b"\n"].concat())));
        if let Some(earlier) = earlier.filter(|earlier| *earlier != now) {
            all.push(Damage::one("put back as it was", path, Some(earlier.clone())));
        }
        all
    }

    /// The state directory with this damage.
    pub fn applied_to(&self, tree: &Tree) -> Tree {
        let mut tree = tree.clone();
        for (path, then) in self.files.iter().zip(&self.then) {
            match then {
                Some(bytes) => drop(tree.insert(path.clone(), bytes.clone())),
                None => drop(tree.remove(path)),
            }
        }
        tree
    }

    /// Whether without one of the files there may be no daemon at all.
    pub fn may_stop_a_start(&self) -> bool {
        self.files.iter().any(|path| match Kind::of(path) {
            Kind::KeyRecord | Kind::DiskRecord | Kind::JobRecord | Kind::Payload => false,
            Kind::Material | Kind::OtherRecord | Kind::Log | Kind::RootKey => true,
        })
    }

    /// Whether a disk may read something else: a payload is not authenticated (RULES S4).
    pub fn may_garble(&self) -> bool {
        self.files.iter().any(|path| Kind::of(path) == Kind::Payload)
    }

    /// How many keys, disks, jobs and others the damage may harm, where there is a limit.
    pub fn spoils_at_most(&self) -> Option<usize> {
        let of = |path: &String| match Kind::of(path) {
            // A key, and the disks under it; with a damage that exchanges two, of both.
            Kind::KeyRecord | Kind::Material => Some(3),
            Kind::DiskRecord | Kind::JobRecord | Kind::Payload => Some(1),
            Kind::OtherRecord | Kind::Log | Kind::RootKey => None,
        };
        self.files.iter().map(of).sum()
    }

    /// Whether a refusal names one of the files.
    pub fn is_named_in(&self, refusal: &str) -> bool {
        self.files.iter().any(|path| {
            // Material is named by its key and version where the file is not there, and the root key
            // and the ledger by what they are.
            match Kind::of(path) {
                Kind::RootKey => refusal.contains("root key"),
                Kind::Material => refusal.contains(stem(path)),
                Kind::Log if path == "ledger" => refusal.contains("ledger"),
                _ => refusal.contains(path.as_str()),
            }
        })
    }
}
