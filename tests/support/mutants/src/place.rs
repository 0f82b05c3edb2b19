//! From lines and columns to bytes.

use std::ops::Range;

use crate::mutant::{LineColumn, Span};

/// Where the lines of a text begin.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn of(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    pub fn bytes(&self, span: &Span) -> Range<usize> {
        self.byte(&span.start)..self.byte(&span.end)
    }

    fn byte(&self, place: &LineColumn) -> usize {
        let start = self.starts[place.line - 1];
        let rest = &self.text[start..];
        start + rest.char_indices().nth(place.column - 1).map_or(rest.len(), |(at, _)| at)
    }
}
