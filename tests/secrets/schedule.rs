//! AES-256 key schedules (FIPS 197 section 5.2), computed from the standard and from nothing that
//! evsfs uses.

/// Bytes of the 15 round keys.
pub const SCHEDULE_BYTES: usize = 240;

/// The round keys by which blocks are encrypted.
pub fn encryption(key: &[u8; 32]) -> [u8; SCHEDULE_BYTES] {
    let sbox = sbox();
    let mut schedule = [0; SCHEDULE_BYTES];
    schedule[..32].copy_from_slice(key);
    let mut constant = 1;
    for word in 8..60 {
        let before = 4 * (word - 1);
        let mut next: [u8; 4] = schedule[before..before + 4].try_into().unwrap();
        if word % 8 == 0 {
            next.rotate_left(1);
            next = next.map(|byte| sbox[usize::from(byte)]);
            next[0] ^= constant;
            constant = double(constant);
        } else if word % 8 == 4 {
            next = next.map(|byte| sbox[usize::from(byte)]);
        }
        for (at, byte) in next.into_iter().enumerate() {
            schedule[4 * word + at] = schedule[4 * (word - 8) + at] ^ byte;
        }
    }
    schedule
}

/// Those of the equivalent inverse cipher (section 5.3.5), in the order of `encryption`.
pub fn decryption(key: &[u8; 32]) -> [u8; SCHEDULE_BYTES] {
    let mut schedule = encryption(key);
    for column in schedule[16..SCHEDULE_BYTES - 16].chunks_mut(4) {
        let old: [u8; 4] = (&*column).try_into().unwrap();
        for (at, byte) in column.iter_mut().enumerate() {
            *byte = [14, 11, 13, 9]
                .into_iter()
                .enumerate()
                .fold(0, |sum, (step, factor)| sum ^ times(old[(at + step) % 4], factor));
        }
    }
    schedule
}

fn double(byte: u8) -> u8 {
    byte << 1 ^ if byte & 0x80 == 0 { 0 } else { 0x1b }
}

fn times(mut byte: u8, mut factor: u8) -> u8 {
    let mut product = 0;
    while factor != 0 {
        if factor & 1 == 1 {
            product ^= byte;
        }
        byte = double(byte);
        factor >>= 1;
    }
    product
}

/// Section 5.1.1: the inverse in GF(2^8), and an affine map.
fn sbox() -> [u8; 256] {
    let inverse = |byte: u8| (0..=255).find(|other| times(byte, *other) == 1).unwrap_or(0);
    std::array::from_fn(|byte| {
        let x = inverse(u8::try_from(byte).unwrap());
        (1..5).fold(x ^ 0x63, |sum, turn| sum ^ x.rotate_left(turn))
    })
}

/// FIPS 197 appendix A.3, and that a block goes there and back.
pub fn prove() {
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    let key: [u8; 32] = evsfs::crypto::from_hex(key).unwrap().try_into().unwrap();
    let schedule = encryption(&key);
    assert_eq!(evsfs::crypto::to_hex(&schedule[224..]), "fe4890d1e6188d0b046df344706c631e");
    let back = decryption(&key);
    // w[4] to w[7] of the inverse by hand: InvMixColumns of 1f352c07, whose MixColumns is itself.
    assert_eq!(
        (back[..16].to_vec(), back[224..].to_vec()),
        (key[..16].to_vec(), schedule[224..].to_vec())
    );
    let column: [u8; 4] = back[16..20].try_into().unwrap();
    let mixed: Vec<u8> = (0..4)
        .map(|at| {
            let of = |step: usize| column[(at + step) % 4];
            times(of(0), 2) ^ times(of(1), 3) ^ of(2) ^ of(3)
        })
        .collect();
    assert_eq!(mixed, schedule[16..20]);
}
