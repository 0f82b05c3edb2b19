//! Files in and out.

use crate::rig::{
    SIZE, import, left_in, names_of, noise, qcow2_image, raw_image, same_content, shown, text,
};
use crate::support::{LoopDevice, Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::MetadataExt;

const TOOLS: Needs = Needs::RootAnd(&["mke2fs", "qemu-img"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "i2_raw_and_qcow2_are_imported_exactly",
            TOOLS,
            i2_raw_and_qcow2_are_imported_exactly,
        ),
        trial(
            "i2_nothing_of_an_encrypted_import_lies_in_the_clear",
            TOOLS,
            i2_nothing_lies_in_the_clear,
        ),
        trial("i5_copies_are_encrypted_on_request_and_never_decrypted", TOOLS, i5_copies),
        trial("i6_exports_give_the_content_and_keep_the_holes", TOOLS, i6_exports),
        trial(
            "i6_an_encrypted_image_is_not_exported",
            TOOLS,
            i6_an_encrypted_image_is_not_exported,
        ),
        trial("i4_a_full_medium_leaves_nothing_of_an_import", TOOLS, i4_a_full_medium),
    ]
}

/// I2: from raw, qcow2 and compressed qcow2; a disk made of it holds a sound ext4 with the files.
fn i2_raw_and_qcow2_are_imported_exactly() {
    let mount = Mount::new();
    let raw = raw_image(&mount);
    import(&mount, "raw", &[]);
    for (name, options) in [("qcow2", &[][..]), ("packed", &["-c"][..])] {
        let file = qcow2_image(&mount, options);
        mount.evsfs(&["image", "import", name, text(&file), "--encrypted"]).ok();
    }
    for image in ["raw", "qcow2", "packed"] {
        assert_eq!(shown(&mount, "image", image, "size"), SIZE);
        let disk = format!("d-{image}");
        mount.evsfs(&["disk", "create", &disk, "--from", &format!("image:{image}")]).ok();
        mount.evsfs(&["disk", "attach", &disk]).ok();
        same_content(&mount.mountpoint().join(&disk), &raw);
    }
    let device = LoopDevice::over(&mount.mountpoint().join("d-packed"), &[]);
    run("e2fsck", &["-fn", device.path()]).ok();
    let place = mount.scratch().join("mounted");
    std::fs::create_dir(&place).unwrap();
    run("mount", &["-o", "ro", device.path(), text(&place)]).ok();
    let hello = std::fs::read_to_string(place.join("hello.txt")).unwrap();
    run("umount", &[text(&place)]).ok();
    assert_eq!(hello, "hello from the image\n");
}

/// I2: neither while it is written nor afterwards.
fn i2_nothing_lies_in_the_clear() {
    use std::io::Write;
    let mount = Mount::new();
    mount.write_control("images/create", "name=secret size=2M encrypted=yes").unwrap();
    let mut data =
        std::fs::File::options().write(true).open(mount.control("images/secret/data")).unwrap();
    data.write_all(&b"plaintext marker".repeat(1 << 12)).unwrap();
    let finds = || {
        let found = run("grep", &["-rlc", "plaintext marker", text(mount.state_dir())]);
        found.code == 0
    };
    assert!(!finds(), "while it is written");
    mount.write_control("images/secret/finish", "\n").unwrap();
    crate::support::wait_until("it is there", || {
        mount.read_control("images/secret/status") == "available"
    });
    assert!(!finds(), "afterwards");
    drop(data);
    mount.evsfs(&["disk", "create", "d", "--from", "image:secret"]).ok();
    mount.evsfs(&["disk", "attach", "d"]).ok();
    let bytes = std::fs::read(mount.mountpoint().join("d")).unwrap();
    assert_eq!(&bytes[..16], b"plaintext marker");
}

/// I5, RULES P5: encrypted → unencrypted does not exist (EVS.2041); no two images share ciphertext.
fn i5_copies() {
    let mount = Mount::new();
    let raw = raw_image(&mount);
    mount.evsfs(&["key", "create", "other"]).ok();
    import(&mount, "plain", &[]);
    mount.evsfs(&["image", "copy", "plain", "plain-2"]).ok();
    mount.evsfs(&["image", "copy", "plain", "enc", "--encrypted"]).ok();
    mount.evsfs(&["image", "copy", "enc", "enc-2", "--key", "other"]).ok();
    let refusal = mount.evsfs(&["image", "copy", "enc", "out", "--unencrypted"]);
    assert!(refusal.refused(6).contains("EVS.2041"));
    assert_eq!(names_of(&mount, "image"), ["enc", "enc-2", "plain", "plain-2"]);
    for (image, encrypted) in [("plain-2", false), ("enc", true), ("enc-2", true)] {
        assert_eq!(shown(&mount, "image", image, "encrypted"), encrypted);
        let disk = format!("d-{image}");
        mount.evsfs(&["disk", "create", &disk, "--from", &format!("image:{image}")]).ok();
        mount.evsfs(&["disk", "attach", &disk]).ok();
        same_content(&mount.mountpoint().join(&disk), &raw);
    }
    assert_eq!(shown(&mount, "image", "enc-2", "key"), "other");
    let data = |image: &str| {
        let id = shown(&mount, "image", image, "id");
        std::fs::read(mount.state_dir().join("images").join(id.as_str().unwrap()).join("data"))
            .unwrap()
    };
    let (one, other) = (data("enc"), data("enc-2"));
    let shared = one
        .chunks(4096)
        .zip(other.chunks(4096))
        .filter(|(a, b)| a == b && a.iter().any(|byte| *byte != 0))
        .count();
    assert_eq!(shared, 0);
}

/// I6: byte for byte, sparse, in either form; `cp` from the control directory too.
fn i6_exports() {
    let mount = Mount::new();
    let raw = raw_image(&mount);
    import(&mount, "plain", &[]);
    let out = mount.scratch().join("out.raw");
    mount.evsfs(&["image", "export", "plain", text(&out)]).ok();
    same_content(&out, &raw);
    assert_eq!(out.metadata().unwrap().mode() & 0o777, 0o600);
    assert!(out.metadata().unwrap().blocks() * 512 < SIZE / 2, "holes were filled");
    let again = mount.evsfs(&["image", "export", "plain", text(&out)]);
    again.refused(10);
    same_content(&out, &raw);
    let qcow2 = mount.scratch().join("out.qcow2");
    mount.evsfs(&["image", "export", "plain", text(&qcow2), "--format", "qcow2"]).ok();
    run("qemu-img", &["check", "-q", text(&qcow2)]).ok();
    run("qemu-img", &["compare", "-q", "-f", "qcow2", "-F", "raw", text(&qcow2), text(&raw)]).ok();
    let copied = mount.scratch().join("copied");
    run("cp", &["--sparse=always", text(&mount.control("images/plain/data")), text(&copied)]).ok();
    same_content(&copied, &raw);
}

/// I6, RULES P5.
fn i6_an_encrypted_image_is_not_exported() {
    let mount = Mount::new();
    import(&mount, "enc", &["--encrypted"]);
    let out = mount.scratch().join("out.raw");
    let refusal = mount.evsfs(&["image", "export", "enc", text(&out)]).refused(6);
    assert!(refusal.contains("not given out in the clear"), "{refusal}");
    assert!(!out.exists());
    let error = std::fs::read(mount.control("images/enc/data")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(1), "EPERM");
}

/// I4: exit code 9, no image, no file; with room again it works.
fn i4_a_full_medium() {
    let medium = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
    let place = medium.path();
    run("mount", &["-t", "tmpfs", "-o", "size=16M,mode=0700", "tmpfs", text(place)]).ok();
    let unmount = scopeguard(|| {
        run("umount", &["-l", text(place)]);
    });
    let mount = Setup { state_dir: Some(place.join("state")), ..Setup::default() }.mount();
    let big = mount.scratch().join("big");
    std::fs::write(&big, noise(24 << 20, 3)).unwrap();
    for options in [&[][..], &["--encrypted"][..]] {
        let mut arguments = vec!["image", "import", "big", text(&big)];
        arguments.extend_from_slice(options);
        mount.evsfs(&arguments).refused(9);
        assert_eq!(names_of(&mount, "image"), [""; 0]);
        crate::support::wait_until("nothing is left", || left_in(&mount, "images").is_empty());
    }
    // Fits once, but not as a disk beside it.
    std::fs::write(&big, noise(6 << 20, 3)).unwrap();
    mount.evsfs(&["image", "import", "six", text(&big)]).ok();
    mount.evsfs(&["disk", "create", "one", "--from", "image:six"]).ok();
    mount.evsfs(&["disk", "create", "two", "--from", "image:six"]).refused(9);
    mount.evsfs(&["server", "create", "s", "--image", "six"]).refused(9);
    assert_eq!(names_of(&mount, "disk"), ["one"]);
    assert_eq!(left_in(&mount, "disks").len(), 1);
    assert_eq!(left_in(&mount, "servers").len(), 0);
    mount.evsfs(&["disk", "delete", "one", "--yes"]).ok();
    mount.evsfs(&["server", "create", "s", "--image", "six"]).ok();
    drop(mount);
    drop(unmount);
}

/// Runs something at the end of a test, also one that fails.
fn scopeguard(work: impl FnMut()) -> impl Drop {
    struct AtEnd<F: FnMut()>(F);
    impl<F: FnMut()> Drop for AtEnd<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    AtEnd(work)
}
