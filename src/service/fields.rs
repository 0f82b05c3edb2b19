//! The words of a request, whatever its syntax was.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, Name};
use crate::units::ByteLen;
use std::collections::BTreeMap;

/// The value of one word.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Text, from either syntax.
    Text(String),
    /// A JSON boolean.
    Flag(bool),
    /// A JSON integer.
    Number(i64),
}

/// The words of one request. Each is taken once; [`Fields::finish`] refuses what is left over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields {
    values: BTreeMap<String, FieldValue>,
}

impl Fields {
    /// No words yet.
    pub fn new() -> Self {
        Fields::default()
    }

    /// Adds a word.
    ///
    /// # Errors
    /// `invalid` when it was given before.
    pub fn insert(&mut self, word: &str, value: FieldValue) -> Result<()> {
        match self.values.insert(word.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(invalid(format!("{word:?} is given twice"))),
        }
    }

    /// Adds a word that was written as text.
    ///
    /// # Errors
    /// `invalid` when it was given before.
    pub fn insert_text(&mut self, word: &str, value: &str) -> Result<()> {
        self.insert(word, FieldValue::Text(value.to_owned()))
    }

    /// Whether a word is there and not yet taken.
    pub fn has(&self, word: &str) -> bool {
        self.values.contains_key(word)
    }

    /// Takes a word's text, where a number reads as its digits.
    ///
    /// # Errors
    /// `invalid` when it is a boolean.
    pub fn take_text(&mut self, word: &str) -> Result<Option<String>> {
        match self.values.remove(word) {
            None => Ok(None),
            Some(FieldValue::Text(text)) => Ok(Some(text)),
            Some(FieldValue::Number(number)) => Ok(Some(number.to_string())),
            Some(FieldValue::Flag(_)) => Err(invalid(format!("{word:?} must be text"))),
        }
    }

    /// Takes a word that must be there.
    ///
    /// # Errors
    /// `invalid` when it is missing or a boolean.
    pub fn need_text(&mut self, word: &str) -> Result<String> {
        self.take_text(word)?.ok_or_else(|| invalid(format!("{word:?} is missing")))
    }

    /// Takes the name of an object, which must be there.
    ///
    /// # Errors
    /// `invalid` when it is missing or no name.
    pub fn need_name(&mut self, word: &str) -> Result<Name> {
        Name::parse(&self.need_text(word)?)
    }

    /// Takes the alias of a key.
    ///
    /// # Errors
    /// `invalid` when it is no alias.
    pub fn take_alias(&mut self, word: &str) -> Result<Option<Alias>> {
        self.take_text(word)?.map(|text| Alias::parse(&text)).transpose()
    }

    /// Takes the alias of a key, which must be there.
    ///
    /// # Errors
    /// `invalid` when it is missing or no alias.
    pub fn need_alias(&mut self, word: &str) -> Result<Alias> {
        Alias::parse(&self.need_text(word)?)
    }

    /// Takes a yes or no: a JSON boolean, or `yes`, `no`, `true`, `false`, `on`, `off`.
    ///
    /// # Errors
    /// `invalid` for anything else.
    pub fn take_flag(&mut self, word: &str) -> Result<Option<bool>> {
        match self.values.remove(word) {
            None => Ok(None),
            Some(FieldValue::Flag(flag)) => Ok(Some(flag)),
            Some(FieldValue::Text(text)) => match text.as_str() {
                "yes" | "true" | "on" => Ok(Some(true)),
                "no" | "false" | "off" => Ok(Some(false)),
                _ => Err(invalid(format!("{word:?} must be yes or no, not {text:?}"))),
            },
            Some(FieldValue::Number(_)) => Err(invalid(format!("{word:?} must be yes or no"))),
        }
    }

    /// Takes an integer that must be there.
    ///
    /// # Errors
    /// `invalid` when it is missing or not an integer.
    pub fn need_integer(&mut self, word: &str) -> Result<i64> {
        let text = self.need_text(word)?;
        text.parse().map_err(|_| invalid(format!("{word:?} must be a whole number, not {text:?}")))
    }

    /// Takes the limit of a job: units a second, a size for those that count bytes.
    ///
    /// # Errors
    /// `invalid` when it is no number, or none at all.
    pub fn take_limit(&mut self) -> Result<Option<u64>> {
        let Some(text) = self.take_text("limit")? else { return Ok(None) };
        match ByteLen::parse(&text) {
            // Records hold signed numbers; what is more is no limit.
            Ok(limit) if limit > ByteLen::ZERO => Ok(Some(limit.get().min(i64::MAX as u64))),
            _ => Err(invalid(format!("limit {text:?} is not a number of units a second"))),
        }
    }

    /// Whether all words are among these.
    pub fn has_only(&self, words: &[&str]) -> bool {
        self.values.keys().all(|word| words.contains(&word.as_str()))
    }

    /// Refuses words that nobody took.
    ///
    /// # Errors
    /// `invalid`, naming the first of them.
    pub fn finish(self) -> Result<()> {
        match self.values.into_keys().next() {
            None => Ok(()),
            Some(word) => Err(invalid(format!("{word:?} is not a word this command knows"))),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message).remedy("read the file `help` in the control directory")
}
