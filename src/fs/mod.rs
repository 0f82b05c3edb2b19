//! Names, inodes, handles.
