//! Tables 2 and 3 of the product's description of encryption, cell by cell.

use crate::rig::{import, names_of, shown};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;

const TOOLS: Needs = Needs::RootAnd(&["mke2fs"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "table_2_a_system_disk_is_as_its_image",
            TOOLS,
            table_2_a_system_disk_is_as_its_image,
        ),
        trial(
            "table_3_a_data_disk_made_with_a_server_is_as_asked",
            TOOLS,
            table_3_a_data_disk_made_with_a_server_is_as_asked,
        ),
        trial("table_3_an_empty_disk_is_as_asked", Needs::Fuse, table_3_an_empty_disk_is_as_asked),
        trial(
            "i7_a_disk_made_from_an_image_is_as_the_image",
            TOOLS,
            i7_a_disk_made_from_an_image_is_as_the_image,
        ),
    ]
}

/// Two images, `enc` and `plain`.
fn mount_with_images() -> Mount {
    let mount = Mount::new();
    import(&mount, "plain", &[]);
    import(&mount, "enc", &["--encrypted"]);
    mount
}

/// Table 2: yes → yes, no → no; RULES P1: asking otherwise is EVS.1043.
fn table_2_a_system_disk_is_as_its_image() {
    let mount = mount_with_images();
    for (image, encrypted, otherwise) in
        [("enc", true, "--unencrypted"), ("plain", false, "--encrypted")]
    {
        let name = format!("from-{image}");
        let refusal = mount.evsfs(&["server", "create", &name, "--image", image, otherwise]);
        assert!(refusal.clone().refused(2).contains("EVS.1043"), "{refusal:?}");
        assert!(names_of(&mount, "disk").iter().all(|disk| !disk.starts_with(&name)));
        mount.evsfs(&["server", "create", &name, "--image", image]).ok();
        let system = format!("{name}-system");
        assert_eq!(shown(&mount, "disk", &system, "encrypted"), encrypted);
        assert_eq!(shown(&mount, "disk", &system, "attached"), true);
        let agreed = if encrypted { "--encrypted" } else { "--unencrypted" };
        let again = format!("{name}-2");
        mount.evsfs(&["server", "create", &again, "--image", image, agreed]).ok();
    }
}

/// Table 3, "created together with the server: yes/no", under either image.
fn table_3_a_data_disk_made_with_a_server_is_as_asked() {
    let mount = mount_with_images();
    mount.evsfs(&["key", "create", "finance"]).ok();
    for image in ["enc", "plain"] {
        let disks = [
            format!("name={image}-yes,size=1M,encrypted=yes,key=finance"),
            format!("name={image}-no,size=2M,encrypted=no"),
        ];
        mount
            .evsfs(&[
                "server",
                "create",
                image,
                "--image",
                image,
                "--data-disk",
                &disks[0],
                "--data-disk",
                &disks[1],
            ])
            .ok();
        assert_eq!(shown(&mount, "disk", &format!("{image}-yes"), "encrypted"), true);
        assert_eq!(shown(&mount, "disk", &format!("{image}-yes"), "key"), "finance");
        assert_eq!(shown(&mount, "disk", &format!("{image}-no"), "encrypted"), false);
        assert_eq!(shown(&mount, "disk", &format!("{image}-no"), "attached"), true);
    }
}

/// Table 3, "no data source selected: yes/no".
fn table_3_an_empty_disk_is_as_asked() {
    let mount = Mount::new();
    mount.evsfs(&["disk", "create", "yes", "--size", "1M", "--encrypted"]).ok();
    mount.evsfs(&["disk", "create", "no", "--size", "1M", "--unencrypted"]).ok();
    assert_eq!(shown(&mount, "disk", "yes", "encrypted"), true);
    assert_eq!(shown(&mount, "disk", "no", "encrypted"), false);
}

/// Table 3, "creating from an image": the source disk is encrypted → yes, is not → no; I7: asking
/// otherwise is EVS.1043. Each row with an image of a disk, as the table says it.
fn i7_a_disk_made_from_an_image_is_as_the_image() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    for (kind, otherwise) in [("--encrypted", "--unencrypted"), ("--unencrypted", "--encrypted")] {
        let encrypted = kind == "--encrypted";
        let (disk, image) = (format!("d{kind}"), format!("i{kind}"));
        let path = mount.attached_disk(&disk, "2M", &[kind]);
        use std::os::unix::fs::FileExt;
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(b"content", 5000)
            .unwrap();
        mount.evsfs(&["image", "create", &image, "--disk", &disk]).ok();
        assert_eq!(shown(&mount, "image", &image, "encrypted"), encrypted);
        let from = format!("image:{image}");
        let made = format!("m{kind}");
        let refusal = mount.evsfs(&["disk", "create", &made, "--from", &from, otherwise]);
        assert!(refusal.clone().refused(2).contains("EVS.1043"), "{refusal:?}");
        if !encrypted {
            let named =
                mount.evsfs(&["disk", "create", &made, "--from", &from, "--key", "finance"]);
            assert!(named.refused(2).contains("EVS.1043"));
        }
        assert!(!names_of(&mount, "disk").contains(&made));
        mount.evsfs(&["disk", "create", &made, "--from", &from]).ok();
        assert_eq!(shown(&mount, "disk", &made, "encrypted"), encrypted);
        assert_eq!(shown(&mount, "disk", &made, "source"), from.as_str());
        mount.evsfs(&["disk", "attach", &made]).ok();
        let bytes = std::fs::read(mount.mountpoint().join(&made)).unwrap();
        assert_eq!(&bytes[5000..5007], b"content");
        // RULES P4: a data key of its own, so no sector of ciphertext in common.
        let (one, other) = (mount.payload(&disk), mount.payload(&made));
        let sector = |path| std::fs::read(path).unwrap()[4096..8192].to_vec();
        assert_eq!(sector(one) == sector(other), !encrypted);
    }
}
