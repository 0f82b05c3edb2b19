//! Where keys are while disks are attached.

use super::keys::Keys;
use super::memory::{Find, hunt};
use super::rig::{Keeping, work_on};
use super::schedule;
use crate::support::{Mount, Needs, trial};
use evsfs::crypto::Kernel;
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("the_hunter_knows_aes_from_the_standard", Needs::Nothing, schedule::prove),
        trial("control_a_key_in_ordinary_memory_is_found", Needs::Root, control),
        trial(
            "without_memfd_secret_keys_are_locked_and_left_out_of_dumps",
            Needs::Root,
            without_memfd_secret_keys_are_locked_and_left_out_of_dumps,
        ),
    ];
    trials.extend(Kernel::available().map(|kernel| {
        let name = format!("while_attached_no_key_is_in_unprotected_memory::{}", kernel.name());
        trial(&name, Needs::Root, move || while_attached(kernel))
    }));
    trials
}

/// A mount with an attached disk that has been worked on, and its keys.
#[track_caller]
fn attached(keeping: Keeping, kernel: Kernel) -> (Mount, Keys) {
    let mount = keeping.mount(kernel);
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    mount.attached_disk("small", "1M", &["--key", "finance", "--sector-size", "512"]);
    let keys = Keys::of(&mount);
    work_on(&mount, "db");
    work_on(&mount, "small");
    (mount, keys)
}

/// RULES 1: the only place where a plaintext DK may be is locked host memory. With each kernel,
/// since each has its own way to leave round keys on the stack.
fn while_attached(kernel: Kernel) {
    for keeping in Keeping::BOTH {
        let (mount, keys) = attached(keeping, kernel);
        let hunt = keeping.expect_no_leaks(&mount, &keys.needles(), "attached");
        // What not even root finds is there all the same: the disk can be read.
        assert_eq!(hunt.finds.is_empty(), keeping == Keeping::Secret, "{:?}", hunt.finds);
    }
}

/// Where there is no memfd_secret(2) keys are found, and in no other place than locked memory that
/// is left out of dumps: what the hunter does not find elsewhere it would have found.
fn without_memfd_secret_keys_are_locked_and_left_out_of_dumps() {
    let (mount, keys) = attached(Keeping::Locked, Kernel::best());
    let hunt = Keeping::Locked.expect_no_leaks(&mount, &keys.needles(), "attached");
    for label in [
        "round keys of data half of db",
        "round keys of tweak half of db",
        "round keys of data half of small",
        "root key",
        "round keys of material of",
        "round keys of wrapping key",
        "hash key of wrapping key",
    ] {
        assert!(hunt.has_found(label), "{label} is nowhere: {:?}", hunt.finds);
    }
}

/// A daemon that was told its own data key, as the description of a key and as the content of a
/// disk, has it in its heap and in the buffers that sectors pass through: the hunter must say so, and
/// that the heap is not protected.
fn control() {
    let (mount, keys) = attached(Keeping::Locked, Kernel::best());
    let data_key = keys.data_key("db");
    let before = hunt(mount.pid(), &keys.needles_of("db"));
    let mut content = vec![1; 1 << 20];
    content[70_000..70_064].copy_from_slice(&data_key);
    std::fs::write(mount.mountpoint().join("small"), &content).unwrap();
    let text = evsfs::crypto::to_hex(&data_key);
    mount.evsfs(&["key", "describe", "finance", &text]).ok();
    let after = hunt(mount.pid(), &keys.needles_of("db"));
    let count =
        |finds: &[Find]| finds.iter().filter(|find| find.label == "data half of db").count();
    assert!(count(&after.finds) > count(&before.finds), "{:?}", after.finds);
    let is_text = |find: &&Find| find.label == "data half of db, in hexadecimal";
    assert!(after.leaks().into_iter().any(|find| is_text(&find)), "{:?}", after.finds);
}
