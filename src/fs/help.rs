//! The file `help`.

/// One screen: what is here, three examples.
pub const HELP: &str = "\
evsfs control directory

  control      JSON requests: write one line, read the answer from the same descriptor
  error        your last refused operation: code, reason, remedy
  agency       read: the agency or nothing; write: create or delete
  default-encryption
               read or write: off, or on ALIAS; what disks get whose creator does not say
  version      the program's version
  events       what happens from now on, a line of JSON each; reading waits for the next
  metrics      what is measured of disks, keys, the KMS and jobs: OpenMetrics text
  audit        what the KMS was asked for, a line of JSON each (kms-administrator only)

  disks/create              write: name=db size=10G [encrypted=yes|no] [key=ALIAS]
                            [sector-size=512|4096] [backing=PATH] [from=backup:NAME|image:NAME]
  disks/NAME/...            one value a file: status size encrypted key key-state ...
  disks/NAME/attach         write: rw, ro, or a newline
  disks/NAME/detach         write: a newline, or force
  disks/NAME/suspend, resume  write: a newline, to wipe its key and to get it again
  disks/NAME/extend         write: the new size
  disks/NAME/rewrap         write: a newline, to wrap its key by the newest version of its master key
  disks/NAME/materialize    write: a newline, to seal zeros into what was never written
  disks/NAME/data, finish   as those of images, while the disk is imported
  disks/NAME/delete         write: the disk's name

  keys/create               write: alias=finance [description=\"...\"] [origin=external]
  keys/ALIAS/...            one value a file: state created deletion-date disks attached-disks ...
  keys/ALIAS/enable, disable, cancel-deletion, rotate, delete-material      write: a newline
  keys/ALIAS/rotation                                 write: off, on, or on and a number of days
  keys/ALIAS/import-parameters                        write: a newline; read: the key to wrap under
  keys/ALIAS/import         write: material=HEX or wrapped=HEX [token=TOKEN] [expires=DATE]
  keys/ALIAS/schedule-deletion                        write: the number of days, 7 to 1096
  keys/ALIAS/confirm-deletion                         write: the key's alias

  images/create             write: name=web and disk=db, image=other, or size=10G to write its data
                            [encrypted=yes] [key=ALIAS]
  images/NAME/data, finish  read: its content, if not encrypted; write: once, then a newline to finish
  images/NAME/delete        write: the image's name
  servers/create            write: name=web image=deb [data-disks=\"name=a,size=1G name=b,size=2G\"]
  servers/NAME/delete       write: the server's name [with-data-disks]

  backups/create            write: disk=db [name=NAME] [full=yes] [incremental=yes] [limit=200M]
  backups/NAME/...          one value a file: disk status size stored encrypted key parent chain ...
  backups/NAME/verify       write: a newline
  backups/NAME/data, finish read: an export; write: one, once, after import=yes name=NAME in create
  backups/NAME/delete       write: the backup's name

  jobs/ID/...               one value a file: kind subject state progress done total rate error ...
  jobs/ID/cancel            write: a newline

Examples, in the mount:

  echo 'alias=finance' > .evs/keys/create
  echo 'name=db size=10G encrypted=yes key=finance' > .evs/disks/create
  echo rw > .evs/disks/db/attach && ls -l db

A refused write fails with an errno; `cat .evs/error` says why and what to do.
";
