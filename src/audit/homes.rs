//! Where people's files are.

use ext4_view::FileType;

use super::error::AuditError;
use super::reader::AuditImage;

impl AuditImage {
    /// Home directories: those of `/etc/passwd` and whatever is in `/home`.
    ///
    /// # Errors
    /// Damage.
    pub fn homes(&self) -> Result<&[Vec<u8>], AuditError> {
        match self.known_homes().get() {
            Some(homes) => Ok(homes),
            None => {
                let homes = self.find_homes()?;
                Ok(self.known_homes().get_or_init(|| homes))
            }
        }
    }

    fn find_homes(&self) -> Result<Vec<Vec<u8>>, AuditError> {
        // Accounts of the system have its own directories for homes (`daemon`: /usr/sbin), which are nobody's.
        const SYSTEM: [&[u8]; 10] = [b"", b"usr", b"bin", b"sbin", b"lib", b"dev", b"proc", b"sys", b"run", b"etc"];
        let is_somebodys = |home: &Vec<u8>| {
            let first = home.strip_prefix(b"/").and_then(|home| home.split(|&byte| byte == b'/').next());
            !SYSTEM.contains(&first.unwrap_or_default())
        };
        let mut homes: Vec<Vec<u8>> = self.accounts()?.into_iter().map(|account| account.home).collect();
        homes.retain(is_somebodys);
        // Also of users who were deleted: their files are still given away.
        homes.extend(self.names("/home")?.into_iter().map(|name| [b"/home/", name.as_slice()].concat()));
        homes.push(b"/root".to_vec());
        homes.sort_unstable();
        homes.dedup();
        let mut there = Vec::new();
        for home in homes {
            if self.resolved(&home)?.is_some_and(|stat| stat.kind == FileType::Directory) {
                there.push(home);
            }
        }
        Ok(there)
    }
}
