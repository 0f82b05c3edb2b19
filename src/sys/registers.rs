//! Wiping of the vector registers that a computation on secrets has used.
#![allow(unsafe_code)]

/// Zeroes the vector registers of this thread. Round keys stay in them when a cipher returns, and would
/// go from there into whatever saves registers: a core dump, a debugger, the image of a virtual machine.
///
/// Where the processor is neither of x86-64 nor of AArch64 it does nothing.
// Not inlined, so that it is a call, across which the compiler keeps nothing in these registers.
#[inline(never)]
pub fn wipe_vector_registers() {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx") {
            wipe_whole_low();
        } else {
            wipe_xmm();
        }
        if is_x86_feature_detected!("avx512f") {
            wipe_high();
        }
    }
    #[cfg(target_arch = "aarch64")]
    wipe_v();
}

/// Registers 16 to 31, which AVX-512 has.
#[cfg(target_arch = "x86_64")]
fn wipe_high() {
    // SAFETY: the processor has AVX-512; vector registers alone are written, which are said to be.
    unsafe {
        std::arch::asm!(
            ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            r"vpxord zmm\n, zmm\n, zmm\n",
            ".endr",
            clobber_abi("sysv64"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Registers 0 to 15, as long as they are.
#[cfg(target_arch = "x86_64")]
fn wipe_whole_low() {
    // SAFETY: the processor has AVX; vector registers alone are written, which are said to be.
    unsafe {
        std::arch::asm!(
            "vzeroall",
            clobber_abi("sysv64"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Registers 0 to 15 of a processor that has 128 bits of each.
#[cfg(target_arch = "x86_64")]
fn wipe_xmm() {
    // SAFETY: every processor of x86-64 has these registers, which are said to be written.
    unsafe {
        std::arch::asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"pxor xmm\n, xmm\n",
            ".endr",
            clobber_abi("sysv64"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

#[cfg(target_arch = "aarch64")]
fn wipe_v() {
    // SAFETY: vector registers alone are written. Of v8 to v15 the lower halves are the caller's; they
    // are named, so that the compiler puts them back; what it keeps there are none of our keys, since
    // the ciphers keep the same rule.
    unsafe {
        std::arch::asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"movi v\n\().2d, #0",
            ".endr",
            ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            r"movi v\n\().2d, #0",
            ".endr",
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            clobber_abi("C"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// What the vector registers of this thread hold, the lower 128 bits of 0 to 15 first, then all of those
/// that AVX-512 has besides: for tests that look for what must not be there.
#[cfg(all(test, target_arch = "x86_64"))]
#[inline(never)]
pub(crate) fn vector_registers() -> Vec<u8> {
    let (mut low, mut high) = ([0_u8; 16 * 16], [0_u8; 16 * 64]);
    // SAFETY: sixteen registers of 16 bytes are written to as many bytes.
    unsafe {
        std::arch::asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"movdqu [{at} + 16 * \n], xmm\n",
            ".endr",
            at = in(reg) low.as_mut_ptr(),
            options(nostack, preserves_flags),
        );
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512; sixteen registers of 64 bytes are written to as many bytes.
        unsafe {
            std::arch::asm!(
                ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"vmovdqu64 [{at} + 64 * (\n - 16)], zmm\n",
                ".endr",
                at = in(reg) high.as_mut_ptr(),
                options(nostack, preserves_flags),
            );
        }
    }
    [&low[..], &high].concat()
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Leaves ones in the registers that code between here and the look at them hardly uses.
    #[inline(never)]
    fn leave_ones() {
        // SAFETY: these registers are said to be written.
        unsafe {
            std::arch::asm!(
                "pcmpeqd xmm12, xmm12",
                "pcmpeqd xmm13, xmm13",
                "pcmpeqd xmm14, xmm14",
                "pcmpeqd xmm15, xmm15",
                clobber_abi("sysv64"),
                options(nomem, nostack),
            );
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512; the register is said to be written.
            unsafe {
                std::arch::asm!(
                    "vpternlogd zmm31, zmm31, zmm31, 0xff",
                    clobber_abi("sysv64"),
                    options(nomem, nostack),
                );
            }
        }
    }

    #[test]
    fn what_work_leaves_in_vector_registers_is_overwritten() {
        let ones = |registers: Vec<u8>| {
            registers.as_chunks::<16>().0.iter().filter(|register| **register == [0xff; 16]).count()
        };
        leave_ones();
        assert!(ones(vector_registers()) >= 4, "nothing would be found whatever is there");
        leave_ones();
        wipe_vector_registers();
        assert_eq!(ones(vector_registers()), 0);
        for wipe in [wipe_xmm, wipe_whole_low] {
            if is_x86_feature_detected!("avx") {
                leave_ones();
                wipe();
                assert_eq!(ones(vector_registers()[..256].to_vec()), 0);
            }
        }
    }
}
