//! Out: E1 and E2.

use crate::rig::{
    PASSPHRASE, QUICK, TOOLS, decrypted, disk_with_data, disks_of, exported, passphrase_file,
    project, same, text, with_joined,
};
use crate::support::{run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("e1_a_luks1_header_opens_the_payload_in_qemu_and_nbdkit", TOOLS, e1_luks1),
        trial("e1_a_detached_luks1_header_opens_the_payload_in_qemu", TOOLS, e1_detached_luks1),
        trial("e1_a_luks2_header_opens_the_payload_in_cryptsetup", TOOLS, e1_luks2),
        trial("e1_the_bare_key_opens_the_payload", TOOLS, e1_the_bare_key),
        trial("e2_what_was_never_written_is_noise_elsewhere_until_sealed", TOOLS, e2_never_written),
        trial("e2_a_job_seals_what_was_never_written_and_goes_on", TOOLS, e2_the_job),
        trial("e2_a_discard_makes_a_hole_again", TOOLS, e2_a_discard),
    ]
}

/// E1: with nbdkit's luks filter and QEMU's luks driver, header and payload behind each other, and
/// the payload not copied.
fn e1_luks1() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "512");
    let header = exported(&mount, "db", "luks1", &["--joined", "--materialize"]);
    let (payload, shown) = (mount.payload("db"), std::fs::read(&disk).unwrap());
    let before = std::fs::read(&payload).unwrap();
    let raw = mount.scratch().join("nbdkit.raw");
    let parts = [header.as_path(), payload.as_path()];
    with_joined(parts, &["--filter=luks"], &format!("nbdcopy \"$uri\" {}", raw.display()));
    same("nbdkit", &std::fs::read(&raw).unwrap(), &shown);
    let raw = mount.scratch().join("qemu.raw");
    let source = "driver=luks,key-secret=s,file.driver=nbd,file.path=$unixsocket";
    let line = format!(
        "qemu-img convert --object 'secret,id=s,data={PASSPHRASE}' --image-opts \"{source}\" \
         -O raw {}",
        raw.display()
    );
    with_joined(parts, &[], &line);
    same("qemu", &std::fs::read(&raw).unwrap(), &shown);
    // One file is what those have who have neither.
    let whole = mount.scratch().join("whole.luks");
    run("sh", &["-c", &format!("cat {} {} > {}", text(&header), text(&payload), text(&whole))])
        .ok();
    let line = ["convert", "--object", "secret,id=s,data=correct horse", "--image-opts"];
    let source = format!("driver=luks,key-secret=s,file.filename={}", whole.display());
    let raw = mount.scratch().join("whole.raw");
    run("qemu-img", &[&line[..], &[source.as_str(), "-O", "raw", text(&raw)]].concat()).ok();
    same("one file", &std::fs::read(&raw).unwrap(), &shown);
    same("the payload", &std::fs::read(&payload).unwrap(), &before);
}

/// E1: QEMU takes a header apart from its payload from 9.0 on; an older one is shown the same
/// passphrase slots by cryptsetup.
fn e1_detached_luks1() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "512");
    let header = exported(&mount, "db", "luks1", &["--materialize"]);
    let shown = std::fs::read(&disk).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let dumped = run("cryptsetup", &["luksDump", text(&header)]).ok();
    assert!(dumped.lines().any(|line| line.trim_end() == "Payload offset:\t0"), "{dumped}");
    // Of the slot: cryptsetup does two seconds' work when it chooses.
    let work = dumped.lines().filter(|line| line.trim_start().starts_with("Iterations:"));
    let work: Vec<u32> =
        work.map(|line| line.split_whitespace().last().unwrap().parse().unwrap()).collect();
    assert!(work.len() == 1 && work.iter().all(|work| *work < 200_000), "{dumped}");
    let version = run("qemu-img", &["--version"]).ok();
    let major = version.split("version ").nth(1).and_then(|it| it.split('.').next());
    if major.unwrap().parse::<u32>().unwrap() < 9 {
        eprintln!("qemu-img takes no detached header: {}", version.lines().next().unwrap());
        let (passphrase, payload) = (passphrase_file(&mount), mount.payload("db"));
        let checked = ["luksDump", "--batch-mode", "--dump-volume-key", "--key-file"];
        let checked =
            run("cryptsetup", &[&checked[..], &[text(&passphrase), text(&header)]].concat()).ok();
        let key = std::fs::read(exported(&mount, "db", "dk", &[])).unwrap();
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let dump: String = checked.split("dump:").nth(1).unwrap().split_whitespace().collect();
        assert_eq!(dump, digits);
        assert_eq!(payload.metadata().unwrap().len(), shown.len() as u64);
        return;
    }
    let raw = mount.scratch().join("qemu.raw");
    let source = format!(
        "json:{{\"driver\":\"luks\",\"key-secret\":\"s\",\
         \"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}},\
         \"header\":{{\"driver\":\"file\",\"filename\":\"{}\"}}}}",
        mount.payload("db").display(),
        header.display()
    );
    let line = ["convert", "--object", "secret,id=s,data=correct horse", source.as_str()];
    run("qemu-img", &[&line[..], &["-O", "raw", text(&raw)]].concat()).ok();
    same("qemu", &std::fs::read(&raw).unwrap(), &shown);
}

/// E1: in sectors of 512 and of 4096 bytes; LUKS1 knows the first only.
fn e1_luks2() {
    let (mount, _outside) = project("");
    for sector_size in ["512", "4096"] {
        let name = format!("db{sector_size}");
        let disk = disk_with_data(&mount, &name, sector_size);
        let header = exported(&mount, &name, "luks2", &["--materialize"]);
        let shown = std::fs::read(&disk).unwrap();
        mount.evsfs(&["disk", "detach", &name]).ok();
        same(&name, &decrypted(&mount, &header, &mount.payload(&name)), &shown);
    }
    let (passphrase, nothing) = (passphrase_file(&mount), mount.scratch().join("nothing"));
    let line = ["disk", "export-header", "db4096", "--format", "luks1", "--passphrase-file"];
    let line = [&line[..], &[text(&passphrase), "--output", text(&nothing)]].concat();
    let refused = mount.evsfs(&line).refused(2);
    assert!(refused.contains("4096") && refused.contains("--format luks2"), "{refused}");
    assert!(!nothing.exists());
}

/// E1: 64 bytes, which cryptsetup takes as they are.
fn e1_the_bare_key() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "4096");
    let nothing = mount.scratch().join("nothing");
    let line = ["disk", "export-header", "db", "--format", "dk", "--output", text(&nothing)];
    let refused = mount.evsfs(&[&line[..], &["--iter-time", "10"]].concat()).refused(2);
    assert!(refused.contains("leave out --iter-time"), "{refused}");
    assert!(!nothing.exists());
    let key = exported(&mount, "db", "dk", &["--materialize"]);
    assert_eq!(key.metadata().unwrap().len(), 64);
    let shown = std::fs::read(&disk).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let header = mount.scratch().join("header");
    std::fs::File::create(&header).unwrap().set_len(16 << 20).unwrap();
    let passphrase = passphrase_file(&mount);
    let mut line = vec!["luksFormat", "--batch-mode", "--type", "luks2", "--sector-size", "4096"];
    line.extend_from_slice(&["--cipher", "aes-xts-plain64", "--key-size", "512", "--offset", "0"]);
    line.extend_from_slice(&QUICK);
    line.extend_from_slice(&["--volume-key-file", text(&key), "--key-file", text(&passphrase)]);
    line.extend_from_slice(&["--header", text(&header), text(&header)]);
    run("cryptsetup", &line).ok();
    same("cryptsetup", &decrypted(&mount, &header, &mount.payload("db")), &shown);
}

/// The sectors of a payload that hold nothing but zeros.
fn empty_sectors(payload: &Path) -> usize {
    let bytes = std::fs::read(payload).unwrap();
    bytes.chunks(4096).filter(|sector| sector.iter().all(|byte| *byte == 0)).count()
}

/// E2: zeros here, noise there; with --materialize zeros in both, also on a disk that is detached.
fn e2_never_written() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "4096");
    let shown = std::fs::read(&disk).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let payload = mount.payload("db");
    let header = exported(&mount, "db", "luks2", &[]);
    let elsewhere = decrypted(&mount, &header, &payload);
    let hole = 3 << 20;
    assert_eq!(shown[hole..hole + 4096], [0; 4096]);
    let zeros = elsewhere[hole..hole + 4096].iter().filter(|byte| **byte == 0).count();
    assert!(zeros < 400, "a hole is noise elsewhere");
    same("what was written", &elsewhere[..65_536], &shown[..65_536]);
    assert!(empty_sectors(&payload) > 0);
    let header = exported(&mount, "db", "luks2", &["--materialize"]);
    assert_eq!(empty_sectors(&payload), 0);
    same("all", &decrypted(&mount, &header, &payload), &shown);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    same("the mount", &std::fs::read(&disk).unwrap(), &shown);
}

/// E2: a job with progress; no other verb meanwhile; cancelled, killed and begun anew it harms nothing.
fn e2_the_job() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "4096");
    let shown = std::fs::read(&disk).unwrap();
    let begin = || {
        let line = r#"{"op":"disk.materialize","name":"db","limit":"500K"}"#;
        let script = format!(
            "exec 3<>{}; printf '%s\\n' '{line}' >&3; cat <&3",
            mount.control("control").display()
        );
        let answer = run("bash", &["-c", &script]).ok();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["ok"]["job"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let status = || disks_of(&mount)[0].1.clone();
    let job = begin();
    wait_until("it is at work", || status() == "materializing");
    let refused = mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).refused(4);
    assert!(refused.contains("EVS.1046"), "{refused}");
    assert_eq!(mount.json(&["job", "show", &job])["kind"], "materialize");
    mount.evsfs(&["job", "cancel", &job]).ok();
    wait_until("it is cancelled", || status() == "in-use");
    same("cancelled", &std::fs::read(&disk).unwrap(), &shown);
    begin();
    wait_until("it is at work", || status() == "materializing");
    mount.kill();
    run("umount", &["-l", text(&mount.mountpoint())]).ok();
    mount.start();
    // It goes on by itself.
    wait_until("it is at work again", || status() == "materializing");
    mount.kill();
    run("umount", &["-l", text(&mount.mountpoint())]).ok();
    mount.start();
    same("after a crash", &std::fs::read(&disk).unwrap(), &shown);
    let plain = mount.attached_disk("plain", "1M", &["--unencrypted"]);
    assert!(plain.exists());
    let refused = mount.write_control("disks/plain/materialize", "\n").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
}

/// E2: "a discard makes a hole again", and so does what an extended disk has got.
fn e2_a_discard() {
    let (mount, _outside) = project("");
    let disk = disk_with_data(&mount, "db", "4096");
    mount.write_control("disks/db/materialize", "\n").unwrap();
    let payload = mount.payload("db");
    wait_until("all is sealed", || {
        disks_of(&mount)[0].1 == "in-use" && empty_sectors(&payload) == 0
    });
    let full = payload.metadata().unwrap().blocks();
    assert!(full >= (4 << 20) / 512);
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    run("fallocate", &["--punch-hole", "--offset", "0", "--length", "65536", text(&disk)]).ok();
    file.write_all_at(b"x", 65_536).unwrap();
    assert!(payload.metadata().unwrap().blocks() < full);
    assert_eq!(empty_sectors(&payload), 16);
    mount.evsfs(&["disk", "extend", "db", "--size", "5M"]).ok();
    assert_eq!(empty_sectors(&payload), 16 + 256);
}
