//! Refusals on stderr: always three lines.

use crate::error::Refusal;

/// What was refused, why with the codes, and what helps; `undone` is the first line, `path` the
/// command to look up when the refusal brings no remedy of its own.
pub(super) fn three_lines(undone: &str, refusal: &Refusal, path: &str) -> String {
    let codes = match &refusal.cause {
        Some(cause) if *cause != refusal.code => format!("{}, {cause}", refusal.code),
        _ => refusal.code.clone(),
    };
    let why = match &refusal.cause {
        // The first clause says again that the command was refused; the cause says why.
        Some(_) => after_first_clause(&refusal.message),
        None => &refusal.message,
    };
    let fix = match refusal.remedy.as_deref() {
        Some(remedy) if !remedy.trim().is_empty() => remedy.to_owned(),
        _ if path.is_empty() => "evsfs help".to_owned(),
        _ => format!("evsfs help {path}"),
    };
    format!(
        "evsfs: {}\n{} ({})\nfix: {}\n",
        one_line(undone),
        one_line(why),
        one_line(&codes),
        one_line(&fix)
    )
}

/// A usage error in the same three lines. `rendered` is clap's text: paragraphs, of which the first
/// says what is wrong, and one may begin with `tip:` and another with `Usage:`.
pub(super) fn usage(rendered: &str) -> String {
    let paragraphs = || rendered.split("\n\n").map(str::trim);
    let joined = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let why = paragraphs().next().unwrap_or_default();
    let why = joined(why.strip_prefix("error: ").unwrap_or(why));
    let tip = paragraphs().find_map(|text| text.strip_prefix("tip: "));
    let fix = tip.or_else(|| paragraphs().find_map(|text| text.strip_prefix("Usage: ")));
    let refusal = Refusal {
        code: "EVSFS.usage".to_owned(),
        kind: "invalid".to_owned(),
        message: why,
        remedy: fix.map(joined),
        cause: None,
    };
    three_lines("the command was not understood", &refusal, "")
}

/// Text from elsewhere as one harmless line: no control character reaches the terminal.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// What follows the first `: ` that is not inside double quotes, or all of it.
fn after_first_clause(message: &str) -> &str {
    let mut is_quoted = false;
    for (at, c) in message.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ':' if !is_quoted => {
                if let Some(rest) = message[at..].strip_prefix(": ") {
                    return rest;
                }
            }
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::{three_lines, usage};
    use crate::error::Refusal;

    fn refusal(message: &str, remedy: Option<&str>, cause: Option<&str>) -> Refusal {
        Refusal {
            code: "EVS.2040".to_owned(),
            kind: "key-unusable".to_owned(),
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
            cause: cause.map(str::to_owned),
        }
    }

    #[test]
    fn a_refusal_says_what_why_with_both_codes_and_the_fix() {
        let refusal = refusal(
            "disk \"db\" cannot be attached: key \"finance\" is disabled",
            Some("evsfs key enable finance"),
            Some("KMS.0209"),
        );
        assert_eq!(
            three_lines("disk \"db\" was not attached", &refusal, "disk attach"),
            "evsfs: disk \"db\" was not attached\n\
             key \"finance\" is disabled (EVS.2040, KMS.0209)\n\
             fix: evsfs key enable finance\n"
        );
    }

    #[test]
    fn a_refusal_without_a_remedy_points_to_the_help() {
        let refusal = refusal("disk \"db\" is not attached", None, None);
        let text = three_lines("disk \"db\" was not detached", &refusal, "disk detach");
        assert!(text.ends_with("(EVS.2040)\nfix: evsfs help disk detach\n"), "{text}");
    }

    #[test]
    fn a_colon_inside_quotes_does_not_end_a_clause() {
        let refusal = refusal("key \"a: b\" cannot be used: it is gone", None, Some("KMS.0207"));
        let text = three_lines("x", &refusal, "key show");
        assert!(text.contains("\nit is gone (EVS.2040, KMS.0207)\n"), "{text}");
    }

    #[test]
    fn a_refusal_is_three_lines_whatever_it_quotes() {
        let refusal = refusal("a\nb\r\n\x1b[31mc", Some("x\ny"), Some("K\nM"));
        let text = three_lines("one\ntwo", &refusal, "");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn usage_errors_are_three_lines_with_the_tip_or_the_usage_as_fix() {
        use clap::Parser;
        for (line, why, fix) in [
            ("evsfs disk creat", "unrecognized subcommand 'creat'", "'create'"),
            ("evsfs disk create db", "--size <SIZE>", "evsfs disk create --size <SIZE> <NAME>"),
            ("evsfs disk list --jsn", "unexpected argument '--jsn' found", "'--json'"),
            ("evsfs init --root-key paper", "[possible values: file, passphrase, pkcs11]", "fix: "),
        ] {
            let error = super::super::args::Args::try_parse_from(line.split(' ')).unwrap_err();
            let text = usage(&error.render().to_string());
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            assert!(lines[1].contains(why) && lines[1].ends_with("(EVSFS.usage)"), "{text}");
            assert!(lines[2].starts_with("fix: ") && lines[2].contains(fix), "{text}");
        }
    }
}
