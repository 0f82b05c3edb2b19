//! `control`: JSON, one request a line (INTERFACE section 3).

use crate::rig::{ask, errno};
use crate::support::{Mount, Needs, run, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_request_is_answered_on_its_descriptor", Needs::Fuse, one_descriptor),
        trial("an_answer_can_be_read_in_pieces_and_again", Needs::Fuse, in_pieces_and_again),
        trial("many_requests_fit_on_one_descriptor", Needs::Fuse, many_requests),
        trial("callers_at_the_same_time_get_their_own_answers", Needs::Fuse, at_the_same_time),
        trial("every_operation_of_disks_and_keys_is_there", Needs::Fuse, every_operation),
        trial("what_is_no_request_is_refused", Needs::Fuse, what_is_no_request),
        trial("python_and_shell_can_do_it", Needs::Fuse, python_and_shell),
    ]
}

fn control(mount: &Mount) -> File {
    File::options().read(true).write(true).open(mount.control("control")).unwrap()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// "write ..., read the answer on the same descriptor until end of file".
fn one_descriptor() {
    let mount = Mount::new();
    for newline in ["\n", ""] {
        let mut file = control(&mount);
        let request = format!("{{\"op\":\"disk.list\"}}{newline}");
        assert_eq!(file.write(request.as_bytes()).unwrap(), request.len());
        let mut answer = String::new();
        file.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "{\"ok\":[]}\n");
        assert_eq!(file.read(&mut [0; 16]).unwrap(), 0, "the end of file stays");
    }
    let mut nobody_asked = control(&mount);
    assert_eq!(nobody_asked.read(&mut [0; 16]).unwrap(), 0);
}

fn in_pieces_and_again() {
    let mount = Mount::new();
    for number in 0..40 {
        mount.write_control("disks/create", &format!("name=d{number} size=1M")).unwrap();
    }
    let mut file = control(&mount);
    file.write_all(b"{\"op\":\"disk.list\"}\n").unwrap();
    let mut whole = String::new();
    file.read_to_string(&mut whole).unwrap();
    assert!(whole.len() > 8192, "longer than a page or two");
    assert_eq!(parse(&whole)["ok"].as_array().unwrap().len(), 40);

    for (piece, seeks) in [(1, false), (7, true), (4096, true), (100, false)] {
        let mut file = control(&mount);
        file.write_all(b"{\"op\":\"disk.list\"}\n").unwrap();
        if seeks {
            file.seek(SeekFrom::Start(0)).unwrap();
        }
        let mut pieces = Vec::new();
        let mut buffer = vec![0; piece];
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                read => pieces.extend_from_slice(&buffer[..read]),
            }
        }
        assert!(pieces == whole.as_bytes(), "pieces of {piece}, seeks {seeks}");
    }
}

fn many_requests() {
    let mount = Mount::new();
    let mut file = control(&mount);
    for number in 0..5 {
        let request = json!({"op": "disk.create", "name": format!("d{number}"), "size": 1 << 20});
        file.write_all(format!("{request}\n").as_bytes()).unwrap();
        if number % 2 == 0 {
            let mut answer = String::new();
            file.read_to_string(&mut answer).unwrap();
            assert_eq!(parse(&answer)["ok"]["name"], format!("d{number}"));
        }
    }
    // From the start for each, as a program does that rewinds.
    for number in 0..5 {
        file.seek(SeekFrom::Start(0)).unwrap();
        let request = json!({"op": "disk.show", "name": format!("d{number}")});
        file.write_all(format!("{request}\n").as_bytes()).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut answer = String::new();
        file.read_to_string(&mut answer).unwrap();
        assert_eq!(parse(&answer)["ok"]["name"], format!("d{number}"));
    }
    // Several lines in one write are answered line by line.
    let mut file = control(&mount);
    file.write_all(b"{\"op\":\"disk.list\"}\n{\"op\":\"disk.shw\"}\n\n{\"op\":\"key.list\"}\n")
        .unwrap();
    let mut answers = String::new();
    file.read_to_string(&mut answers).unwrap();
    let answers: Vec<Value> = answers.lines().map(parse).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers[0]["ok"].is_array() && answers[2]["ok"].is_array());
    assert_eq!(answers[1]["error"]["kind"], "invalid");
}

fn at_the_same_time() {
    let mount = Mount::new();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let mount = &mount;
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("d{worker}-{number}");
                    let created =
                        ask(mount, &json!({"op": "disk.create", "name": name, "size": "1M"}));
                    assert_eq!(created["ok"]["name"], name);
                    let missing =
                        ask(mount, &json!({"op": "disk.show", "name": format!("x{name}")}));
                    let message = missing["error"]["message"].as_str().unwrap();
                    assert!(message.contains(&format!("x{name}")), "{message}");
                }
            });
        }
    });
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), 80);
}

fn every_operation() {
    let mount = Mount::new();
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    for (request, member, value) in [
        (json!({"op": "agency.show"}), "present", json!(false)),
        (json!({"op": "agency.create"}), "name", json!("EVSAccessKMS")),
        (
            json!({"op": "key.create", "alias": "k", "description": "d d"}),
            "state",
            json!("enabled"),
        ),
        (json!({"op": "key.disable", "alias": "k"}), "state", json!("disabled")),
        (json!({"op": "key.enable", "alias": "k"}), "state", json!("enabled")),
        (
            json!({"op": "key.schedule-deletion", "alias": "k", "days": 7}),
            "state",
            json!("pending-deletion"),
        ),
        (json!({"op": "key.cancel-deletion", "alias": "k"}), "state", json!("disabled")),
        (json!({"op": "key.set-alias", "alias": "k", "new_alias": "m"}), "alias", json!("m")),
        (
            json!({"op": "key.describe", "alias": "m", "description": "e"}),
            "description",
            json!("e"),
        ),
        (json!({"op": "key.enable", "alias": "m"}), "state", json!("enabled")),
        (json!({"op": "key.show", "alias": "m"}), "alias", json!("m")),
        (
            json!({"op": "disk.create", "name": "db", "size": 1 << 20, "encrypted": true, "key": "m"}),
            "key",
            json!("m"),
        ),
        (json!({"op": "disk.attach", "name": "db", "read_only": false}), "read_only", json!(false)),
        (json!({"op": "disk.extend", "name": "db", "size": "2M"}), "size", json!(2 << 20)),
        (json!({"op": "disk.detach", "name": "db"}), "attached", json!(false)),
        (json!({"op": "disk.attach", "name": "db", "read_only": true}), "read_only", json!(true)),
        (json!({"op": "disk.detach", "name": "db", "force": true}), "status", json!("available")),
        (json!({"op": "disk.show", "name": "db"}), "name", json!("db")),
        (json!({"op": "mount.status"}), "agency", json!("EVSAccessKMS")),
        (json!({"op": "agency.delete"}), "present", json!(false)),
    ] {
        let answer = ask(&mount, &request);
        assert_eq!(answer["ok"][member], value, "{request} {answer}");
    }
    assert_eq!(ask(&mount, &json!({"op": "disk.delete", "name": "db"})), json!({"ok": {}}));
    let pid = mount.pid();
    assert_eq!(ask(&mount, &json!({"op": "mount.stop"})), json!({"ok": {}}));
    crate::support::wait_until("the daemon has ended", || !crate::support::is_running(pid));
}

fn what_is_no_request() {
    let mount = Mount::new();
    for line in [
        "hello",
        "{",
        "{\"op\":\"disk.create\",\"name\":\"db\"",
        "[]",
        "{}",
        "null",
        "\"disk.list\"",
        "{\"op\":7}",
        "{\"op\":\"\"}",
        "{\"op\":\"disk\"}",
        "{\"op\":\"disk.lst\"}",
        "{\"op\":\"disk.list\"} {\"op\":\"disk.list\"}",
        "{\"op\":\"disk.list\",\"colour\":\"red\"}",
        "{\"op\":\"disk.list\",\"op\":\"disk.list\",\"name\":\"x\"}",
        "{\"op\":\"disk.create\",\"name\":[\"db\"],\"size\":1048576}",
        "{\"op\":\"disk.create\",\"name\":\"db\",\"size\":1048576.5}",
        "{\"op\":\"disk.create\",\"name\":\"db\",\"size\":true}",
        "{\"op\":\"disk.create\",\"name\":\"db\",\"size\":\"1M\",\"encrypted\":\"perhaps\"}",
        "{\"op\":\"disk.create\",\"name\":\"db\",\"size\":\"1M\",\"encrypted\":1}",
        "{\"op\":\"disk.create\",\"name\":\"db\",\"size\":\"1M\",\"from\":\"tape:x\"}",
        "{\"op\":\"disk.detach\",\"name\":\"db\",\"force\":\"maybe\"}",
    ] {
        let mut file = control(&mount);
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        file.read_to_string(&mut answer).unwrap();
        let answer = parse(&answer);
        let kind = answer["error"]["kind"].as_str().unwrap_or_default();
        assert!(kind == "invalid" || kind == "unsupported", "{line}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    // What is not text, or too long, is refused by write(2) itself, whole.
    let mut file = control(&mount);
    assert_eq!(errno(file.write(b"{\"op\":\"disk.list\xff\"}\n")), Errno::INVAL);
    let long = format!("{{\"op\":\"disk.list\"{}}}\n", " ".repeat(4096));
    assert_eq!(errno(file.write(long.as_bytes())), Errno::INVAL);
    assert!(mount.read_control("error").contains("4096"));
    let deep = format!("{{\"op\":{}1{}}}\n", "[".repeat(2000), "]".repeat(2000));
    file.write_all(deep.as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    assert_eq!(parse(&answer)["error"]["kind"], "invalid");
    assert_eq!(ask(&mount, &json!({"op": "disk.list"})), json!({"ok": []}));
}

fn python_and_shell() {
    let mount = Mount::new();
    let path = mount.control("control");
    let path = path.to_str().unwrap();
    let shell = "exec 3<>\"$1\"; echo '{\"op\":\"disk.list\"}' >&3; cat <&3";
    assert_eq!(run("sh", &["-c", shell, "sh", path]).ok(), "{\"ok\":[]}\n");
    if run("sh", &["-c", "command -v python3"]).code != 0 {
        eprintln!("skipped: python_and_shell_can_do_it: no python3");
        return;
    }
    let python = "
import json, sys
with open(sys.argv[1], 'r+b', buffering=0) as control:
    control.write(json.dumps({'op': 'disk.create', 'name': 'db', 'size': '1M'}).encode())
    print(json.loads(control.read())['ok']['status'])
with open(sys.argv[1], 'r+') as control:
    control.write(json.dumps({'op': 'disk.list'}) + '\\n')
    control.flush()
    control.seek(0)
    print(len(json.load(control)['ok']))
";
    assert_eq!(run("python3", &["-c", python, path]).ok(), "available\n1\n");
}
