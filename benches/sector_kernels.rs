//! Speed of the sector kernels.
fn main() {}
