//! The last refusal of each caller, for the file `error`.

use crate::error::{Error, Refusal};
use crate::id::Uid;
use crate::sync::Mutex;
use std::collections::HashMap;

/// Remembers one refusal for each uid that has a role, so it cannot grow without bound.
#[derive(Default)]
pub struct Refusals {
    // Protects the map only.
    last: Mutex<HashMap<Uid, Refusal>>,
}

impl Refusals {
    /// Remembers a refusal.
    pub fn remember(&self, uid: Uid, error: &Error) {
        self.last.lock().insert(uid, Refusal::from(error));
    }

    /// The last refusal as text: code and kind, the message, the remedy. Empty when there is none.
    pub fn text(&self, uid: Uid) -> String {
        self.last.lock().get(&uid).map(Refusal::to_text).unwrap_or_default()
    }
}
