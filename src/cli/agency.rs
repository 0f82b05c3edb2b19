//! `evsfs agency`, and the offer to create it (RULES A2).

use super::agency_args::AgencyCommand;
use super::failure::{Failure, Outcome};
use super::object::Object;
use super::prompt::agrees;
use super::refusal::one_line;
use super::request::Request;
use super::session::Session;
use crate::error::Code;
use serde_json::Value;

/// The agency's name.
const AGENCY: &str = "EVSAccessKMS";

/// Runs one `agency` command.
pub(super) fn run(session: &mut Session<'_>, command: AgencyCommand) -> Outcome {
    match command {
        AgencyCommand::Create => {
            let agency = create(session)?;
            session.answer(&agency, |_| format!("agency {AGENCY} is there\n"))
        }
        AgencyCommand::Show => {
            let agency = session.call(&Request::new("agency.show"))?;
            session.answer(&agency, |agency| match name(agency) {
                Some(name) => format!("{}\n", one_line(&name)),
                None => "no agency yet; create it: evsfs agency create\n".to_owned(),
            })
        }
        AgencyCommand::Delete => {
            let loss =
                "Without the agency no disk can be encrypted and no encrypted disk be attached";
            session.confirm(loss, AGENCY)?;
            let answer = session.call(&Request::new("agency.delete"))?;
            session.answer(&answer, |_| format!("agency {AGENCY} is deleted\n"))
        }
    }
}

/// Asks the daemon for something that may be the project's first use of encryption. When the
/// agency is missing and the caller may create it, a person at the terminal is asked whether to.
pub(super) fn call_or_offer(session: &mut Session<'_>, request: &Request) -> Outcome<Value> {
    match session.call(request) {
        Err(Failure::Refused(refusal))
            if refusal.code == Code::EVS_2143.as_str() && session.terminal.is_interactive() =>
        {
            session.note(&one_line(&refusal.message));
            let question = format!("create the agency {AGENCY} now?");
            if !agrees(session.terminal, &question)? {
                return Err(Failure::Refused(refusal));
            }
            create(session)?;
            session.call(request)
        }
        outcome => outcome,
    }
}

fn create(session: &mut Session<'_>) -> Outcome<Value> {
    session.call(&Request::new("agency.create"))
}

/// The agency's name in an answer: the text itself, or what the object calls `agency` or `name`;
/// `None` when there is no agency.
pub(super) fn name(agency: &Value) -> Option<String> {
    let object = Object::of(agency);
    let name = match agency {
        Value::String(name) => name.clone(),
        _ if object.get("agency").is_some() => object.text("agency"),
        _ => object.text("name"),
    };
    Some(name).filter(|name| !name.is_empty())
}
