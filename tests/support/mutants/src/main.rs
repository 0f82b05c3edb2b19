//! Puts all mutants of a list of cargo-mutants into one source tree, each behind a switch.
//!
//! `mutants-at-once TREE LIST STATE` rewrites the files of TREE, a copy, in place. LIST is what
//! `cargo mutants --list --json` prints. STATE names the mutants that do not compile
//! (`{"dropped": [3], "doubled": [5], "const": ["new"]}`). What it prints says where in the
//! rewritten files each mutant stands, so that an error of the compiler finds its mutant.

mod mutant;
mod place;
mod rewrite;
mod sites;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use mutant::{Mutant, State};
use rewrite::Rewritten;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [tree, list, state] = args.as_slice() else {
        return Err("usage: mutants-at-once TREE LIST STATE".into());
    };
    let mutants: Vec<Mutant> = serde_json::from_str(&fs::read_to_string(list)?)?;
    let state: State = serde_json::from_str(&fs::read_to_string(state)?)?;
    let mut by_file: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants.iter().enumerate() {
        // 0 stands for no mutant.
        by_file.entry(&mutant.file).or_default().push((number + 1, mutant));
    }
    let mut places: BTreeMap<&str, Rewritten> = BTreeMap::new();
    for (file, mutants) in by_file {
        let path = Path::new(tree).join(file);
        let source = fs::read_to_string(&path)?;
        let sites =
            sites::of(&source, &mutants, &state).map_err(|error| format!("{file}: {error}"))?;
        let rewritten = rewrite::apply(&source, &sites);
        fs::write(&path, &rewritten.text)?;
        places.insert(file, rewritten);
    }
    println!("{}", serde_json::to_string(&places)?);
    Ok(())
}
