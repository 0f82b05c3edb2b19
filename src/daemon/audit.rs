//! The audit log of a state directory that no daemon works on.

use super::assembly::{look_at_records, open_hsm};
use super::service_user::ServiceUser;
use super::state_dir;
use crate::config::Config;
use crate::crypto::SecretText;
use crate::error::Result;
use crate::kms::{AuditReport, verify_audit_offline};

/// Checks the audit log.
///
/// # Errors
/// `in-use` while a daemon lives; `wrong-secret`; `integrity` when the root key does not fit, or the
/// anchor of the log or the ledger of records was edited, deleted or put back as it was earlier. A
/// fault in the log is no error.
pub fn verify_audit(config: &Config, secret: Option<&SecretText>) -> Result<AuditReport> {
    ServiceUser::act_for(config, |_| {
        state_dir::check_privacy(config)?;
        let _lock = state_dir::lock(&config.state_dir)?;
        let hsm = open_hsm(config, secret)?;
        verify_audit_offline(&look_at_records(config, &*hsm)?)
    })
}
