//! The ways to compute XTS, and which of them this processor can.

#[cfg(target_arch = "x86_64")]
use super::{simd_vaes256, simd_vaes512};

/// How XTS is computed. All kernels give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Fused, on 512-bit registers: x86-64 with VAES, VPCLMULQDQ and AVX-512.
    Vaes512,
    /// Fused, on 256-bit registers: x86-64 with VAES, VPCLMULQDQ and AVX2.
    Vaes256,
    /// Many blocks at once through the `aes` crate: AES-NI, ARMv8, software.
    Batched,
    /// Block by block; the oracle.
    Portable,
}

impl Kernel {
    /// Every kernel, the fastest first.
    pub const ALL: [Kernel; 4] =
        [Kernel::Vaes512, Kernel::Vaes256, Kernel::Batched, Kernel::Portable];

    /// The kernels that this processor can run, the fastest first.
    pub fn available() -> impl Iterator<Item = Kernel> {
        Kernel::ALL.into_iter().filter(|kernel| kernel.is_available())
    }

    /// The fastest kernel that this processor can run.
    pub fn best() -> Kernel {
        Kernel::available().next().expect("some kernels run everywhere")
    }

    /// Whether this processor can run the kernel. The processor is asked once.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vaes512 => simd_vaes512::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Vaes256 => simd_vaes256::is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Vaes512 | Kernel::Vaes256 => false,
            Kernel::Batched | Kernel::Portable => true,
        }
    }

    /// The kernel's name, for people and in `mount.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Vaes512 => "vaes512",
            Kernel::Vaes256 => "vaes256",
            Kernel::Batched => "batched",
            Kernel::Portable => "portable",
        }
    }

    /// The kernel of that name.
    pub fn from_name(name: &str) -> Option<Kernel> {
        Kernel::ALL.into_iter().find(|kernel| kernel.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Kernel;

    #[test]
    fn the_best_kernel_is_the_first_that_runs_here() {
        let available: Vec<Kernel> = Kernel::available().collect();
        assert_eq!(available[0], Kernel::best());
        assert!(available.ends_with(&[Kernel::Batched, Kernel::Portable]));
    }

    /// The system leaves out of the list what it does not let programs use.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_vaes_kernel_is_available_exactly_where_the_system_lists_what_it_takes() {
        let list = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = list.lines().find(|line| line.starts_with("flags")).unwrap();
        let has = |names: &[&str]| {
            names.iter().all(|name| flags.split_whitespace().any(|flag| flag == *name))
        };
        let small = ["avx2", "vaes", "vpclmulqdq"];
        assert_eq!(Kernel::Vaes256.is_available(), has(&small));
        let large = ["avx512f", "avx512bw", "avx512_vbmi2", "vaes", "vpclmulqdq"];
        assert_eq!(Kernel::Vaes512.is_available(), has(&large));
    }

    #[test]
    fn kernels_are_found_by_their_names() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::from_name(kernel.name()), Some(kernel));
        }
        assert_eq!(Kernel::from_name("auto"), None);
    }
}
