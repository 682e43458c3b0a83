//! Who is in `/etc/passwd` (passwd(5)).

use super::reader::{AuditError, AuditImage};

/// One account.
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number, as it is written.
    pub uid: String,
    /// Its home, as it is written.
    pub home: String,
}

impl AuditImage {
    /// Every account that has a home.
    ///
    /// # Errors
    /// Damage.
    pub fn accounts(&self) -> Result<Vec<Account>, AuditError> {
        let passwd = self.text("/etc/passwd")?.unwrap_or_default();
        let account = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let field = |at: usize| fields.get(at).map(|field| (*field).to_owned());
            Some(Account { name: field(0)?, uid: field(2)?, home: field(5)? })
        };
        Ok(passwd.lines().filter_map(account).collect())
    }
}
