//! Users and groups of an image, from passwd, group and shadow.

use super::source::SudoersFiles;

/// Whether an account's password lets anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// A hash that a password can match.
    Usable,
    /// `!`, `*`, no entry, or an account that has expired: no password matches.
    Locked,
    /// The empty field: Debian's PAM lets the user in without one (`nullok`).
    Empty,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number.
    pub gid: u32,
    /// The members that /etc/group lists.
    pub members: Vec<Vec<u8>>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its home directory.
    pub home: Vec<u8>,
    /// Its login shell.
    pub shell: Vec<u8>,
    /// Its password.
    pub password: Password,
    /// Number and name of every group it is in, the primary one first. A number without a group has an empty name.
    pub groups: Vec<(u32, Vec<u8>)>,
}

/// The accounts of an image.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// In the order of /etc/passwd.
    pub users: Vec<Account>,
    /// In the order of /etc/group.
    pub groups: Vec<Group>,
}

fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|&c| c == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| line.split(|&c| c == b':').collect())
}

fn number(text: Option<&&[u8]>) -> Option<u32> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

impl Accounts {
    /// Reads /etc/passwd, /etc/group and /etc/shadow; what is not there counts as empty.
    ///
    /// # Errors
    /// What `files` reports.
    pub fn read<F: SudoersFiles>(files: &F) -> Result<Accounts, F::Error> {
        let text = |path: &str| Ok(files.file(path.as_bytes())?.map(|file| file.content).unwrap_or_default());
        Ok(Accounts::parse(&text("/etc/passwd")?, &text("/etc/group")?, &text("/etc/shadow")?))
    }

    /// From the three texts. Lines that make no sense are left out, as the C library does.
    pub fn parse(passwd: &[u8], group: &[u8], shadow: &[u8]) -> Accounts {
        let groups: Vec<Group> = lines(group)
            .filter_map(|fields| {
                let members = fields.get(3).copied().unwrap_or_default();
                Some(Group {
                    name: fields.first()?.to_vec(),
                    gid: number(fields.get(2))?,
                    members: members.split(|&c| c == b',').filter(|m| !m.is_empty()).map(<[u8]>::to_vec).collect(),
                })
            })
            .collect();
        let users = lines(passwd)
            .filter_map(|fields| {
                let (name, gid) = (fields.first()?.to_vec(), number(fields.get(3))?);
                let mut gids = vec![gid];
                for group in groups.iter().filter(|group| group.members.contains(&name)) {
                    if !gids.contains(&group.gid) {
                        gids.push(group.gid);
                    }
                }
                let named = |gid: u32| groups.iter().find(|group| group.gid == gid).map(|group| group.name.clone());
                Some(Account {
                    uid: number(fields.get(2))?,
                    gid,
                    home: fields.get(5).copied().unwrap_or_default().to_vec(),
                    shell: fields.get(6).copied().unwrap_or_default().to_vec(),
                    password: password(fields.get(1).copied().unwrap_or_default(), &name, shadow),
                    groups: gids.into_iter().map(|gid| (gid, named(gid).unwrap_or_default())).collect(),
                    name,
                })
            })
            .collect();
        Accounts { users, groups }
    }

    /// The user of this name.
    pub fn user(&self, name: &[u8]) -> Option<&Account> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

fn password(in_passwd: &[u8], name: &[u8], shadow: &[u8]) -> Password {
    let of_hash = |hash: &[u8]| match hash {
        b"" => Password::Empty,
        // crypt(5): every hash begins with `$`, `_`, or is the 13 characters of DES.
        [b'$', rest @ ..] if rest.contains(&b'$') => Password::Usable,
        [b'_', ..] if hash.len() == 20 => Password::Usable,
        [b'!' | b'*', ..] => Password::Locked,
        _ if hash.len() == 13 => Password::Usable,
        _ => Password::Locked,
    };
    if in_passwd != b"x" {
        return of_hash(in_passwd);
    }
    let Some(fields) = lines(shadow).find(|fields| fields.first() == Some(&name)) else { return Password::Locked };
    // `usermod --expiredate 1` is how an account is closed for good. A date that may still come says nothing here.
    if number(fields.get(7)).is_some_and(|day| day <= 1) {
        return Password::Locked;
    }
    of_hash(fields.get(1).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_usable_locked_or_empty() {
        let shadow = b"a:$6$salt$hash:1::::::\nb:!:1\nc:*:1\nd::1\ne:!$6$salt$hash:1\nf:$y$j9T$x$y:1:0:99999:7::1:\n";
        let of = |name: &[u8]| password(b"x", name, shadow);
        assert_eq!(of(b"a"), Password::Usable);
        assert_eq!(of(b"d"), Password::Empty);
        for locked in [&b"b"[..], b"c", b"e", b"f", b"nobody"] {
            assert_eq!(of(locked), Password::Locked, "{}", String::from_utf8_lossy(locked));
        }
        assert_eq!(password(b"", b"a", shadow), Password::Empty);
    }

    #[test]
    fn groups_are_primary_and_listed() {
        let accounts =
            Accounts::parse(b"pi:x:1000:1000::/home/pi:/bin/bash\nbad line\n", b"sudo:x:27:a,pi\npi:x:1000:\n", b"");
        let pi = accounts.user(b"pi").unwrap();
        assert_eq!(pi.groups, [(1000, b"pi".to_vec()), (27, b"sudo".to_vec())]);
        assert_eq!(accounts.users.len(), 1);
    }
}
