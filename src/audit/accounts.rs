//! Who is in `/etc/passwd` (passwd(5)).

use super::error::AuditError;
use super::reader::AuditImage;

/// One account. Its fields are bytes, as names are.
pub struct Account {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number, as it is written.
    pub uid: Vec<u8>,
    /// Its home, as it is written.
    pub home: Vec<u8>,
}

impl AuditImage {
    /// Every account that has a home.
    ///
    /// # Errors
    /// Damage.
    pub fn accounts(&self) -> Result<Vec<Account>, AuditError> {
        let passwd = self.bytes("/etc/passwd")?.unwrap_or_default();
        let account = |line: &[u8]| {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
            let field = |at: usize| fields.get(at).map(|field| field.to_vec());
            Some(Account { name: field(0)?, uid: field(2)?, home: field(5)? })
        };
        Ok(passwd.split(|&byte| byte == b'\n').filter_map(account).collect())
    }
}
