//! Finds what each mutant changes in the syntax tree, and how both live there at once.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, BinOp, ExprBinary, ExprStruct, ExprUnary, Signature};

use crate::mutant::{Genre, Mutant, State};
use crate::place::Lines;
use crate::rewrite::{Piece, Site};

/// Sites of a file, the outer before the inner.
pub fn of(source: &str, mutants: &[(usize, &Mutant)], state: &State) -> Result<Vec<Site>, String> {
    let tree = syn::parse_file(source).map_err(|error| error.to_string())?;
    let lines = Lines::of(source);
    let mut finder = Finder { state, by_start: BTreeMap::new(), sites: Vec::new(), found: 0 };
    let mut wanted = 0;
    for (number, mutant) in mutants {
        if !state.dropped.contains(number) {
            wanted += 1;
            let range = lines.bytes(&mutant.span);
            let here = (mutant.genre as u8, range.start);
            finder.by_start.entry(here).or_default().push((*number, range, &mutant.replacement));
        }
    }
    finder.visit_file(&tree);
    if finder.found != wanted {
        return Err(format!("{} of {wanted} mutants have a place", finder.found));
    }
    Ok(finder.sites)
}

type Waiting<'m> = (usize, Range<usize>, &'m str);

struct Finder<'m> {
    state: &'m State,
    /// Mutants by kind and first byte.
    by_start: BTreeMap<(u8, usize), Vec<Waiting<'m>>>,
    sites: Vec<Site>,
    found: usize,
}

impl<'m> Finder<'m> {
    fn take(&mut self, genre: Genre, start: usize) -> Vec<Waiting<'m>> {
        let taken = self.by_start.remove(&(genre as u8, start)).unwrap_or_default();
        self.found += taken.len();
        taken
    }

    fn add(&mut self, range: Range<usize>, pieces: Vec<Piece>, mutants: Vec<usize>) {
        self.sites.push(Site { range, pieces, mutants });
    }

    /// A body that gives its mutants' values first. A const function cannot ask which mutant
    /// is on, so it is const no more.
    fn body(&mut self, signature: &Signature, block: &syn::Block) {
        let inside: Vec<usize> = self
            .by_start
            .range(..)
            .flat_map(|(_, of)| of)
            .filter(|(_, range, _)| block.span().byte_range().contains(&range.start))
            .map(|(number, ..)| *number)
            .collect();
        let Some(first) = block.stmts.first() else { return };
        if let Some(word) = &signature.constness
            && !inside.is_empty()
            && !self.state.constant.contains(&signature.ident.to_string())
        {
            self.add(word.span().byte_range(), Vec::new(), Vec::new());
        }
        let start = first.span().byte_range().start;
        let mutants = self.take(Genre::FnValue, start);
        if mutants.is_empty() {
            return;
        }
        let pieces = mutants.iter().map(|(number, _, value)| {
            let text = format!("if {} {{ return {value}; }} ", on(*number));
            Piece::Of(*number, vec![Piece::Text(text)])
        });
        let numbers = mutants.iter().map(|(number, ..)| *number).collect();
        self.add(start..start, pieces.collect(), numbers);
    }
}

/// The question of the switch.
fn on(mutant: usize) -> String {
    format!("crate::mutant_switch::on({mutant})")
}

fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

fn source(of: &impl Spanned) -> Piece {
    Piece::Source(of.span().byte_range())
}

/// `if on(1) { FIRST } else if on(2) { SECOND } else { UNCHANGED }`.
fn choice(
    mutants: &[Waiting<'_>],
    changed: impl Fn(&str) -> Vec<Piece>,
    unchanged: Vec<Piece>,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, _, replacement) in mutants {
        pieces.push(text(format!("if {} {{ ", on(*number))));
        pieces.push(Piece::Of(*number, changed(replacement)));
        pieces.push(text(" } else "));
    }
    pieces.push(text("{ "));
    pieces.extend(unchanged);
    pieces.push(text(" }"));
    pieces
}

/// `(match SUBJECT { NAMES => CHOICE })`.
fn named(subject: Vec<Piece>, names: &str, choice: Vec<Piece>) -> Vec<Piece> {
    let mut pieces = vec![text("(match ")];
    pieces.extend(subject);
    pieces.push(text(format!(" {{ {names} => ")));
    pieces.extend(choice);
    pieces.push(text(" })"));
    pieces
}

fn is_assignment(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

fn is_comparison(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_)
    )
}

/// Both sides of an operator, by value or written out, with each operator in its turn.
fn binary(expr: &ExprBinary, op: &str, mutants: &[Waiting<'_>], doubled: bool) -> Vec<Piece> {
    let (left, right) = (&expr.left, &expr.right);
    let written = |op: &str| vec![source(left), text(format!(" {op} ")), source(right)];
    if doubled {
        let mut pieces = vec![text("(")];
        pieces.extend(choice(mutants, &written, written(op)));
        pieces.push(text(")"));
        return pieces;
    }
    match &expr.op {
        // The right side is asked for in one of the two cases of the left one.
        BinOp::And(_) | BinOp::Or(_) => {
            let (number, ..) = mutants[0];
            let asks = if matches!(expr.op, BinOp::And(_)) { "!=" } else { "==" };
            vec![
                text("({ let l: bool = "),
                source(left),
                text(format!("; if l {asks} {} {{ ", on(number))),
                source(right),
                text(" } else { l } })"),
            ]
        }
        it if is_assignment(it) => {
            let one = |op: &str| vec![source(left), text(format!(" {op} r"))];
            named(vec![source(right)], "r", choice(mutants, one, one(op)))
        }
        it => {
            let (before, name) = if is_comparison(it) { ("&", "*") } else { ("", "") };
            let one = |op: &str| vec![text(format!("{name}l {op} {name}r"))];
            let subject = vec![
                text(format!("({before}(")),
                source(left),
                text(format!("), {before}(")),
                source(right),
                text("))"),
            ];
            named(subject, "(l, r)", choice(mutants, one, one(op)))
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.body(&it.sig, &it.block);
        visit::visit_item_fn(self, it);
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.body(&it.sig, &it.block);
        visit::visit_impl_item_fn(self, it);
    }

    fn visit_trait_item_fn(&mut self, it: &'ast syn::TraitItemFn) {
        if let Some(block) = &it.default {
            self.body(&it.sig, block);
        }
        visit::visit_trait_item_fn(self, it);
    }

    fn visit_expr_binary(&mut self, it: &'ast ExprBinary) {
        let op = it.op.span();
        let mutants = self.take(Genre::BinaryOperator, op.byte_range().start);
        if !mutants.is_empty() {
            let numbers: Vec<usize> = mutants.iter().map(|(number, ..)| *number).collect();
            let doubled = numbers.iter().any(|number| self.state.doubled.contains(number));
            let op = op.source_text().expect("the text was parsed here");
            let pieces = binary(it, &op, &mutants, doubled);
            self.add(it.span().byte_range(), pieces, numbers);
        }
        visit::visit_expr_binary(self, it);
    }

    fn visit_expr_unary(&mut self, it: &'ast ExprUnary) {
        let op = it.op.span();
        let mutants = self.take(Genre::UnaryOperator, op.byte_range().start);
        if let [(number, ..)] = mutants[..] {
            let op = op.source_text().expect("the text was parsed here");
            let one = |_: &str| vec![text("v")];
            let pieces = choice(&mutants, one, vec![text(format!("{op}v"))]);
            let pieces = named(vec![source(&it.expr)], "v", pieces);
            self.add(it.span().byte_range(), pieces, vec![number]);
        }
        visit::visit_expr_unary(self, it);
    }

    fn visit_arm(&mut self, it: &'ast Arm) {
        let deleted = self.take(Genre::MatchArm, it.span().byte_range().start);
        if let [(number, ..)] = deleted[..] {
            let end = it.pat.span().byte_range().end;
            let pieces = vec![text(format!(" if !{} ", on(number)))];
            self.add(end..end, vec![Piece::Of(number, pieces)], vec![number]);
        }
        if let Some((_, guard)) = &it.guard {
            let range = guard.span().byte_range();
            let mutants = self.take(Genre::MatchArmGuard, range.start);
            if !mutants.is_empty() {
                let numbers = mutants.iter().map(|(number, ..)| *number).collect();
                let one = |value: &str| vec![text(value)];
                let mut pieces = vec![text("(")];
                pieces.extend(choice(&mutants, one, vec![source(guard)]));
                pieces.push(text(")"));
                self.add(range, pieces, numbers);
            }
        }
        visit::visit_arm(self, it);
    }

    fn visit_expr_struct(&mut self, it: &'ast ExprStruct) {
        let range = it.span().byte_range();
        let mut pieces = vec![text("(")];
        let mut numbers = Vec::new();
        for field in it.fields.pairs() {
            let (value, comma) = field.into_tuple();
            let mutants = self.take(Genre::StructField, value.span().byte_range().start);
            if let [(number, ..)] = mutants[..] {
                let from = value.span().byte_range();
                let to = comma.map_or(from.end, |comma| comma.span().byte_range().end);
                pieces.push(text(format!("if {} {{ ", on(number))));
                let rest =
                    vec![Piece::Source(range.start..from.start), Piece::Source(to..range.end)];
                pieces.push(Piece::Of(number, rest));
                pieces.push(text(" } else "));
                numbers.push(number);
            }
        }
        if !numbers.is_empty() {
            pieces.extend([text("{ "), Piece::Source(range.clone()), text(" })")]);
            self.add(range, pieces, numbers);
        }
        visit::visit_expr_struct(self, it);
    }
}
