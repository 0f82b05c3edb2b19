//! Replaces ranges of a text, one within another, and tells where the mutants came to stand.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

/// A range of the source and what stands there instead.
///
/// Sites lie beside or within one another, the outer before the inner.
pub struct Site {
    pub range: Range<usize>,
    pub pieces: Vec<Piece>,
    /// The mutants that live in it.
    pub mutants: Vec<usize>,
}

pub enum Piece {
    Text(String),
    /// A range of the source, with the sites in it.
    Source(Range<usize>),
    /// Text which is of one mutant.
    Of(usize, Vec<Piece>),
}

/// A rewritten file.
#[derive(Serialize, Default)]
pub struct Rewritten {
    #[serde(skip)]
    pub text: String,
    /// Bytes of each mutant's own text.
    own: BTreeMap<usize, Vec<Range<usize>>>,
    /// Bytes of each site, and its mutants.
    sites: Vec<(Range<usize>, Vec<usize>)>,
}

pub fn apply(source: &str, sites: &[Site]) -> Rewritten {
    let mut out = Rewritten::default();
    write(source, sites, 0, 0..source.len(), &mut out);
    out
}

/// Writes a range of the source with those sites in it that come after the first `from`.
fn write(source: &str, sites: &[Site], from: usize, range: Range<usize>, out: &mut Rewritten) {
    let mut inside: Vec<usize> = (from..sites.len())
        .filter(|&i| sites[i].range.start >= range.start && sites[i].range.end <= range.end)
        .collect();
    inside.sort_by_key(|&i| (sites[i].range.start, i));
    let mut at = range.start;
    for index in inside {
        let site = &sites[index];
        if site.range.start < at {
            // Within one that is written already.
            continue;
        }
        out.text.push_str(&source[at..site.range.start]);
        let begins = out.text.len();
        write_pieces(source, sites, index + 1, &site.pieces, out);
        out.sites.push((begins..out.text.len(), site.mutants.clone()));
        at = site.range.end;
    }
    out.text.push_str(&source[at..range.end]);
}

fn write_pieces(source: &str, sites: &[Site], from: usize, pieces: &[Piece], out: &mut Rewritten) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.text.push_str(text),
            Piece::Source(range) => write(source, sites, from, range.clone(), out),
            Piece::Of(mutant, pieces) => {
                let begins = out.text.len();
                write_pieces(source, sites, from, pieces, out);
                let own = begins..out.text.len();
                out.own.entry(*mutant).or_default().push(own);
            }
        }
    }
}
