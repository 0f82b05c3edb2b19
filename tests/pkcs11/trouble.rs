//! Tokens that refuse, disappear, take their time, or lack AES-GCM.

use crate::shim::{AES_GCM, Shim};
use crate::support::{Mount, Needs, trial, wait_until};
use crate::token::{PIN, Token};
use libtest_mimic::Trial;
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_wrong_pin_is_tried_once_and_the_right_one_works_afterwards",
            Needs::FuseAndToken,
            a_wrong_pin_is_tried_once_and_the_right_one_works_afterwards,
        ),
        trial(
            "a_pin_file_open_to_others_is_refused",
            Needs::FuseAndToken,
            a_pin_file_open_to_others_is_refused,
        ),
        trial(
            "a_missing_token_and_a_missing_module_are_named",
            Needs::FuseAndToken,
            a_missing_token_and_a_missing_module_are_named,
        ),
        trial(
            "a_removed_token_stops_attaching_and_nothing_else_until_it_is_back",
            Needs::FuseAndToken,
            a_removed_token_stops_attaching_and_nothing_else_until_it_is_back,
        ),
        trial(
            "a_token_that_takes_ten_seconds_is_given_up_while_others_are_served",
            Needs::FuseAndToken,
            a_token_that_takes_ten_seconds_is_given_up_while_others_are_served,
        ),
        trial(
            "a_token_without_gcm_wraps_by_aes_key_wrap_and_both_forms_open_for_ever",
            Needs::FuseAndToken,
            a_token_without_gcm_wraps_by_aes_key_wrap_and_both_forms_open_for_ever,
        ),
        trial(
            "a_thousand_attaches_leave_no_session_behind",
            Needs::FuseAndToken,
            a_thousand_attaches_leave_no_session_behind,
        ),
    ]
}

fn a_wrong_pin_is_tried_once_and_the_right_one_works_afterwards() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.prepare(&token);
    let before = shim.logins();
    token.set_pin("00000000");
    let refusal = mount.try_start().refused(8);
    assert!(refusal.contains("it refused the PIN (EVSFS.kms-unreachable)"), "{refusal}");
    assert!(refusal.contains(&token.label), "{refusal}");
    assert_eq!(shim.logins(), before + 1);
    token.set_pin(PIN);
    mount.start();
    assert_eq!(shim.logins(), before + 2);

    // The PIN is changed elsewhere while the token is away: one attempt, however often it is asked.
    mount.evsfs(&["agency", "create"]).ok();
    mount.evsfs(&["disk", "create", "db", "--size", "1M"]).ok();
    token.set_pin("00000000");
    shim.tell("removed", "");
    mount.evsfs(&["disk", "attach", "db"]).refused(8);
    shim.tell_no_more("removed");
    wait_until("the token is asked", || {
        shim.logins() == before + 3 || {
            mount.evsfs(&["disk", "attach", "db"]).refused(8);
            false
        }
    });
    for _ in 0..20 {
        mount.evsfs(&["disk", "attach", "db"]).refused(8);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(shim.logins(), before + 3);
    token.set_pin(PIN);
    wait_until("the right PIN is found", || mount.evsfs(&["disk", "attach", "db"]).code == 0);
    assert_eq!(shim.logins(), before + 4);
}

fn a_pin_file_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.prepare(&token);
    let logins = shim.logins();
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(token.pin_file(), loose).unwrap();
    let refusal = mount.try_start().refused(8);
    assert!(refusal.contains("is open to other users"), "{refusal}");
    assert!(refusal.contains(&format!("fix: chmod 600 {}", token.pin_file().display())));
    assert_eq!(shim.logins(), logins);
}

fn a_missing_token_and_a_missing_module_are_named() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.prepare(&token);
    shim.tell("removed", "");
    let refusal = mount.try_start().refused(8);
    assert!(refusal.contains("shows no token of this label"), "{refusal}");
    assert!(refusal.contains("--list-slots"), "{refusal}");
    shim.tell_no_more("removed");

    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    std::fs::write(mount.config_path(), config.replace("shim.so", "none.so")).unwrap();
    let refusal = mount.try_start().refused(8);
    assert!(refusal.contains("none.so cannot be loaded"), "{refusal}");
}

/// RULES D6 and the issue: attached disks go on, other requests are served.
fn a_removed_token_stops_attaching_and_nothing_else_until_it_is_back() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.mount(&token);
    let file = mount.attached_disk("attached", "1M", &["--encrypted"]);
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--encrypted"]).ok();
    shim.tell("removed", "");
    let refusal = mount.evsfs(&["disk", "attach", "db"]).refused(8);
    assert!(refusal.contains(&format!("token \"{}\" cannot be used", token.label)), "{refusal}");
    assert_eq!(mount.read_control("disks/db/status"), "available");
    mount.evsfs(&["key", "create", "other"]).refused(8);

    std::fs::write(&file, b"still here").unwrap();
    assert_eq!(&std::fs::read(&file).unwrap()[..10], b"still here");
    mount.evsfs(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]).ok();
    mount.evsfs(&["disk", "attach", "plain"]).ok();
    mount.evsfs(&["key", "list"]).ok();
    // No storm of attempts while it is away.
    let logins = shim.logins();
    for _ in 0..20 {
        mount.evsfs(&["disk", "attach", "db"]).refused(8);
    }
    assert_eq!(shim.logins(), logins);

    shim.tell_no_more("removed");
    wait_until("the token is found again", || mount.evsfs(&["disk", "attach", "db"]).code == 0);
    mount.evsfs(&["key", "create", "other"]).ok();
    assert!(shim.sessions() <= 8, "{} sessions", shim.sessions());
}

fn a_token_that_takes_ten_seconds_is_given_up_while_others_are_served() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.mount(&token);
    let file = mount.attached_disk("attached", "1M", &["--encrypted"]);
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--encrypted"]).ok();
    shim.tell("slow", "10");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| mount.evsfs(&["disk", "attach", "db"]));
        wait_until("the attach is under way", || {
            mount.read_control("disks/db/status") == "attaching"
        });
        std::fs::write(&file, b"meanwhile").unwrap();
        assert_eq!(&std::fs::read(&file).unwrap()[..9], b"meanwhile");
        mount.evsfs(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]).ok();
        mount.evsfs(&["status"]).ok();
        assert!(begin.elapsed() < Duration::from_secs(7), "others waited: {:?}", begin.elapsed());
        let refusal = slow.join().unwrap().refused(8);
        assert!(refusal.contains("has not answered for 8 seconds"), "{refusal}");
    });
    shim.tell_no_more("slow");
    assert_eq!(mount.read_control("disks/db/status"), "available");
    mount.evsfs(&["disk", "attach", "db"]).ok();
}

fn a_token_without_gcm_wraps_by_aes_key_wrap_and_both_forms_open_for_ever() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.mount(&token);
    mount.evsfs(&["key", "create", "gcm"]).ok();
    mount.evsfs(&["disk", "create", "first", "--size", "1M", "--key", "gcm"]).ok();
    mount.stop();

    shim.tell("lacks", AES_GCM);
    mount.start();
    mount.evsfs(&["key", "create", "wrap"]).ok();
    mount.evsfs(&["disk", "create", "second", "--size", "1M", "--key", "wrap"]).ok();
    assert_eq!((form(&mount, "first"), form(&mount, "second")), ("01".into(), "02".into()));
    let write = |name: &str| {
        mount.evsfs(&["disk", "attach", name]).ok();
        std::fs::write(mount.mountpoint().join(name), name).unwrap();
    };
    write("first");
    write("second");
    mount.stop();

    shim.tell_no_more("lacks");
    mount.start();
    for name in ["first", "second"] {
        let data = std::fs::read(mount.mountpoint().join(name)).unwrap();
        assert_eq!(&data[..name.len()], name.as_bytes());
    }
    // A key keeps the form it was made for.
    mount.evsfs(&["disk", "create", "third", "--size", "1M", "--key", "wrap"]).ok();
    assert_eq!(form(&mount, "third"), "02");
}

/// The first byte of the wrapped data key of a disk.
fn form(mount: &Mount, name: &str) -> String {
    let id = mount.json(&["disk", "show", name])["id"].as_str().unwrap().to_owned();
    let record = mount.state_dir().join("disks").join(id).join("disk.toml");
    let record = std::fs::read_to_string(record).unwrap();
    let bytes = record.lines().find_map(|line| line.strip_prefix("bytes = \"")).unwrap();
    bytes[..2].to_owned()
}

fn a_thousand_attaches_leave_no_session_behind() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = shim.mount(&token);
    for thread in 0..4 {
        mount.evsfs(&["disk", "create", &format!("d{thread}"), "--size", "1M"]).ok();
    }
    let (begin, logins) = (Instant::now(), shim.logins());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mount = &mount;
            scope.spawn(move || {
                for _ in 0..250 {
                    mount.write_control(&format!("disks/d{thread}/attach"), "rw").unwrap();
                    mount.write_control(&format!("disks/d{thread}/detach"), "\n").unwrap();
                }
            });
        }
    });
    let rate = 1000.0 / begin.elapsed().as_secs_f64();
    eprintln!("{rate:.0} attach/detach pairs a second");
    assert!(shim.sessions() <= 8, "{} sessions", shim.sessions());
    assert_eq!(shim.logins(), logins);
}
