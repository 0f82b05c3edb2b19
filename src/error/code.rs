//! Documented codes of the cloud service whose behaviour this project follows.

/// A code such as `EVS.2040`. The constants are the codes RULES names, plus those the service's
/// public reference gives for malformed names and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static str);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Code = Code($text);)*
        }
    };
}

codes! {
    /// No disk of that name or id.
    EVS_1002 = "EVS.1002";
    /// The disk's name is malformed.
    EVS_1003 = "EVS.1003";
    /// The disk's size is malformed or out of range.
    EVS_1010 = "EVS.1010";
    /// The new size is not larger than the present one.
    EVS_1015 = "EVS.1015";
    /// The disk's encryption must follow its image.
    EVS_1043 = "EVS.1043";
    /// The disk's status does not allow the verb.
    EVS_1046 = "EVS.1046";
    /// The disk's master key cannot be used.
    EVS_2040 = "EVS.2040";
    /// The encryption attribute never changes.
    EVS_2041 = "EVS.2041";
    /// The caller lacks the KMS permission and there is no agency.
    EVS_2055 = "EVS.2055";
    /// There is no agency yet and the caller may create it.
    EVS_2143 = "EVS.2143";
    /// The key does not exist.
    KMS_0207 = "KMS.0207";
    /// The encryption context does not match.
    KMS_0208 = "KMS.0208";
    /// The key is disabled.
    KMS_0209 = "KMS.0209";
    /// The key is scheduled for deletion.
    KMS_0210 = "KMS.0210";
    /// The default key is protected.
    KMS_0211 = "KMS.0211";
    /// The key's origin is not external.
    KMS_0309 = "KMS.0309";
    /// The key is not waiting for material.
    KMS_0310 = "KMS.0310";
    /// An imported key cannot be rotated.
    KMS_0312 = "KMS.0312";
    /// Rotation is not on.
    KMS_0313 = "KMS.0313";
    /// The alias is malformed.
    KMS_1101 = "KMS.1101";
    /// The description is malformed.
    KMS_1103 = "KMS.1103";
    /// The alias is taken.
    KMS_1104 = "KMS.1104";
    /// The quota of keys is used up.
    KMS_1105 = "KMS.1105";
    /// Enable: the key is not disabled.
    KMS_1201 = "KMS.1201";
    /// Disable: the key is not enabled.
    KMS_1301 = "KMS.1301";
    /// Schedule deletion: the number of days is out of range.
    KMS_1401 = "KMS.1401";
    /// Schedule deletion: already scheduled.
    KMS_1402 = "KMS.1402";
    /// Cancel deletion: not scheduled.
    KMS_1501 = "KMS.1501";
    /// Import: the expiry is not in the future.
    KMS_2602 = "KMS.2602";
    /// Import: the material has the wrong length.
    KMS_2604 = "KMS.2604";
    /// Import: not the material imported before.
    KMS_2606 = "KMS.2606";
    /// Delete material: the state does not allow it.
    KMS_2701 = "KMS.2701";
    /// Rotation is already on.
    KMS_2901 = "KMS.2901";
    /// The rotation interval is out of range.
    KMS_3001 = "KMS.3001";
}

impl Code {
    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}
