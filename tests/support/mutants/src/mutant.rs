//! A mutant as cargo-mutants lists it.

use std::collections::BTreeSet;

use serde::Deserialize;

/// One line of `cargo mutants --list --json`.
#[derive(Deserialize)]
pub struct Mutant {
    pub file: String,
    pub genre: Genre,
    /// What stands in place of the span.
    pub replacement: String,
    pub span: Span,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Deserialize)]
pub struct Span {
    pub start: LineColumn,
    pub end: LineColumn,
}

/// Both begin with 1; columns count characters.
#[derive(Deserialize)]
pub struct LineColumn {
    pub line: usize,
    pub column: usize,
}

/// What the compiler refused so far.
#[derive(Deserialize)]
pub struct State {
    /// Mutants that are left out.
    pub dropped: BTreeSet<usize>,
    /// Operators whose operands are written out for each mutant, where a name for their values
    /// does not compile.
    pub doubled: BTreeSet<usize>,
    /// Names of const functions that must stay so, as constants call them.
    #[serde(rename = "const")]
    pub constant: BTreeSet<String>,
}
