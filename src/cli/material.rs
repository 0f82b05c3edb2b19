//! `evsfs key import` and what belongs to it: material that customers bring.

use super::failure::Outcome;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::daemon::wrap_material;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Alias;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// More than any wrapped material; an import goes to the daemon as one command.
const MAX_FILE: u64 = 1024;

/// What `key import` was asked for.
pub(super) struct Import<'a> {
    pub alias: &'a str,
    pub file: &'a Path,
    pub is_wrapped: bool,
    pub token: Option<&'a str>,
    pub expires: Option<&'a str>,
}

impl Import<'_> {
    /// Reads the file with the caller's own rights and hands its bytes to the daemon (RULES A6):
    /// wrapped, if they are not yet, since a request passes through buffers of the kernel and of the
    /// daemon that nobody wipes.
    pub fn run(&self, session: &mut Session<'_>) -> Outcome {
        let alias = Alias::parse(self.alias)?;
        let bytes = read(self.file)?;
        let request = Request::new("key.import").with("alias", alias.as_str());
        let request = match bytes.as_slice().try_into() {
            Ok(material) if !self.is_wrapped => {
                let parameters =
                    Request::new("key.import-parameters").with("alias", alias.as_str());
                let made = session.call(&parameters)?;
                let made = Object::of(&made);
                let wrapped = wrap_material(&made.text("public_key"), material)?;
                request
                    .with_secret("wrapped", hex(&wrapped))
                    .with("token", made.text("token").as_str())
            }
            // Of another length it is no key, which is for the daemon to say.
            Err(_) if !self.is_wrapped => request.with_secret("material", hex(&bytes)),
            _ => request.with_secret("wrapped", hex(&bytes)).with_given("token", self.token),
        };
        let key = session.call(&request.with_given("expires", self.expires))?;
        session.answer(&key, |key| match Object::of(key).text("expiry_date") {
            date if date.is_empty() => {
                format!("key {alias:?} has its material\n", alias = self.alias)
            }
            date => {
                format!("key {alias:?} has its material until {date} UTC\n", alias = self.alias)
            }
        })
    }
}

/// Runs `key import-parameters`: the public key is the answer, what to do with it a note.
pub(super) fn parameters(session: &mut Session<'_>, alias: &str) -> Outcome {
    let request =
        Request::new("key.import-parameters").with("alias", Alias::parse(alias)?.as_str());
    let made = session.call(&request)?;
    if !session.global.json {
        let of = |member| Object::of(&made).text(member);
        session.note(&format!(
            "import key for {alias:?}, valid until {} UTC, token {}\n\
             wrap 32 raw bytes, with this answer in import.pem:\n  \
             openssl pkeyutl -encrypt -pubin -inkey import.pem -in FILE -out FILE.wrapped \\\n    \
             -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256\n\
             then: evsfs key import {alias} --file FILE.wrapped --wrapped",
            of("valid_until"),
            of("token"),
        ));
    }
    session.answer(&made, |made| {
        Object::of(made).get("public_key").and_then(|pem| pem.as_str()).unwrap_or("").to_owned()
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let failed = |cause| Error::io(format!("reading {shown}"), cause);
    let file = std::fs::File::open(path).map_err(failed)?;
    // Room for all of it from the start: growing would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_FILE as usize));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{shown} is longer than {MAX_FILE} bytes: it is no key material"),
        )
        .remedy("give a file of 32 raw bytes, or their wrapped form with --wrapped"));
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{hex, read};
    use crate::error::ErrorKind;

    #[test]
    fn the_bytes_of_a_file_become_two_digits_each() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0x00, 0x0f, 0xf0, 0xab]).unwrap();
        assert_eq!(hex(&read(file.path()).unwrap()).as_str(), "000ff0ab");
        std::fs::write(file.path(), [7; 1025]).unwrap();
        assert_eq!(read(file.path()).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
