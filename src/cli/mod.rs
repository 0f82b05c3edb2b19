//! The command line: arguments, a request to the daemon, its answer shown, an exit code.
//!
//! * One value comes out of every command: on stdout as a table for people or, with `--json`, as
//!   exactly the daemon's answer. Questions, notes and refusals go to stderr.
//! * A refused command prints three lines: what was refused, why with its codes, and `fix:`. It
//!   ends with the exit code of the refusal's kind (INTERFACE section 4).
//! * The daemon is reached through `MOUNT/.evs/control` only; the kernel says who is asking.
//! * `init`, `mount` and `check` work on a state directory and call [`crate::daemon`]; the process
//!   that serves a mount is this program, started again by itself.
//! * Called `mount.evsfs` it is the helper of mount(8), which does what `mount` does.
//! * Passphrases and PINs come from a file, a descriptor, a credential or the terminal, and go to the
//!   daemon through a pipe; never through arguments or the environment.
//! * A closed pipe at the other end of stdout is no error, and no panic reaches a user.

mod agency;
mod agency_args;
mod amounts;
mod args;
mod audit;
mod audit_args;
mod backup;
mod backup_args;
mod backup_file;
mod bench;
mod bench_args;
mod blast_radius;
mod check;
mod client;
mod cryptsetup;
mod daemon_log;
mod data_file;
mod disk;
mod disk_args;
mod disk_import;
mod doctor;
mod events;
mod export_header;
mod failure;
mod hidden_line;
mod hsm;
mod hsm_args;
mod image;
mod image_args;
mod image_source;
mod image_target;
mod init;
mod job;
mod job_args;
mod key;
mod line;
mod live;
mod luks_volume;
mod manual;
mod material;
mod mount;
mod mount_helper;
mod mounts;
mod moving_args;
mod new_file;
mod object;
mod pages;
mod preview;
mod progress;
mod prompt;
mod rates;
mod refusal;
mod request;
mod rewrap;
mod run;
mod screen;
mod secret_source;
mod server;
mod server_args;
mod session;
mod status;
mod suspended;
mod table;
mod top;
mod top_page;
mod transfer;
mod umount;
mod watch_args;

pub use image_source::ImageSource;
pub use run::run;
