//! /etc/passwd, /etc/shadow, /etc/group, /etc/gshadow and the subordinate ids, changed line by line: whatever is not
//! about the user stays byte for byte. What comes out is what usermod(8), useradd(8) and groupmod(8) would leave.

use zeroize::Zeroizing;

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume};

const LIMIT: u64 = 4 << 20;
const SOURCE: &str = "passwd(5), shadow(5), group(5), gshadow(5)";
/// UID_MIN, UID_MAX of Debian's login.defs.
const NUMBERS: std::ops::RangeInclusive<u32> = 1000..=59_999;

/// One of the files; `None` where the image does not have it.
struct Table {
    path: ImagePath,
    attributes: Attributes,
    lines: Zeroizing<Vec<String>>,
    private: bool,
}

/// The account databases of an image.
pub(super) struct Databases {
    passwd: Table,
    shadow: Table,
    group: Table,
    gshadow: Option<Table>,
    /// subuid and subgid.
    subordinate: Vec<Table>,
}

/// What a new account is made of.
pub(super) struct NewUser<'a> {
    pub name: &'a str,
    pub home: &'a ImagePath,
    pub shell: &'a str,
    /// Days since 1970.
    pub day: i64,
}

fn table(view: &View<'_>, path: &str, private: bool) -> Result<Option<Table>, FsError> {
    let root = view.root();
    let path = root.resolve(&ImagePath::new(path)?)?;
    let Some(stat) = root.stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(None) };
    let bytes = Zeroizing::new(root.read(&path, LIMIT)?);
    // Latin-1 in a full name would not survive: then the file is left alone.
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
    let lines = Zeroizing::new(text.lines().map(str::to_owned).collect());
    Ok(Some(Table { path, attributes: stat.attributes, lines, private }))
}

fn field(line: &str, at: usize) -> &str {
    line.split(':').nth(at).unwrap_or_default()
}

fn with_field(line: &str, at: usize, value: &str) -> String {
    let mut fields: Vec<&str> = line.split(':').collect();
    if let Some(field) = fields.get_mut(at) {
        *field = value;
    }
    fields.join(":")
}

impl Table {
    fn find(&self, name: &str) -> Option<&String> {
        self.lines.iter().find(|line| field(line, 0) == name)
    }

    fn each(&mut self, name: &str, change: impl Fn(&str) -> String) {
        for line in self.lines.iter_mut().filter(|line| field(line, 0) == name) {
            *line = change(line);
        }
    }

    fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Changes the members in the last field of every line.
    fn members(&mut self, change: impl Fn(&str, Vec<String>) -> Vec<String>) {
        for line in self.lines.iter_mut() {
            let members = field(line, 3).split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
            let name = field(line, 0).to_owned();
            let new: Vec<String> = change(&name, members);
            if field(line, 3) != new.join(",") {
                *line = with_field(line, 3, &new.join(","));
            }
        }
    }
}

impl Databases {
    /// Reads them; says what is in the way and returns `None` where the image has no usable ones.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn read(view: &mut View<'_>) -> Result<Option<Databases>, FsError> {
        let found =
            (table(view, "/etc/passwd", false)?, table(view, "/etc/shadow", true)?, table(view, "/etc/group", false)?);
        let (Some(passwd), Some(shadow), Some(group)) = found else {
            view.block("the image has no /etc/passwd, /etc/shadow and /etc/group in which [user] could be written");
            return Ok(None);
        };
        let gshadow = table(view, "/etc/gshadow", true)?;
        let mut subordinate = Vec::new();
        for path in ["/etc/subuid", "/etc/subgid"] {
            subordinate.extend(table(view, path, false)?);
        }
        Ok(Some(Databases { passwd, shadow, group, gshadow, subordinate }))
    }

    /// Proposes what has changed.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn write(self, view: &mut View<'_>) -> Result<(), FsError> {
        let tables = [self.passwd, self.shadow, self.group].into_iter().chain(self.gshadow).chain(self.subordinate);
        for table in tables {
            let text = Zeroizing::new(table.lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            if *view.root().read(&table.path, LIMIT)? == *text.as_bytes() {
                continue;
            }
            let content = if table.private {
                Content::Secret(Zeroizing::new(text.as_bytes().to_vec()))
            } else {
                Content::Bytes(text.as_bytes().to_vec())
            };
            let why = "the user of the recipe";
            view.write(Volume::Root, &table.path, content, table.attributes, Class::Privilege.because(why, SOURCE))?;
        }
        Ok(())
    }

    /// Number, group and home directory of a user.
    pub fn user(&self, name: &str) -> Option<(u32, u32, ImagePath)> {
        let line = self.passwd.find(name)?;
        let home = ImagePath::new(field(line, 5)).unwrap_or_else(|_| ImagePath::root());
        Some((field(line, 2).parse().ok()?, field(line, 3).parse().ok()?, home))
    }

    /// The number of a user.
    pub fn uid_of(&self, name: &str) -> Option<u32> {
        field(self.passwd.find(name)?, 2).parse().ok()
    }

    /// The first user with a number.
    pub fn name_of(&self, uid: u32) -> Option<String> {
        let number = uid.to_string();
        self.passwd.lines.iter().find(|line| field(line, 2) == number).map(|line| field(line, 0).to_owned())
    }

    /// Whether there is a group of this name.
    pub fn has_group(&self, name: &str) -> bool {
        self.group.find(name).is_some()
    }

    /// Gives a user another name, and its group of the same number too.
    pub fn rename(&mut self, old: &str, new: &str, home: &ImagePath) {
        let home = home.to_string();
        let gid = self.passwd.find(old).map(|line| field(line, 3).to_owned()).unwrap_or_default();
        self.passwd.each(old, |line| with_field(&with_field(line, 0, new), 5, &home));
        self.shadow.each(old, |line| with_field(line, 0, new));
        // The group of the user's number; it bears the user's name, as adduser makes it.
        let own_group =
            self.group.lines.iter().find(|line| field(line, 2) == gid).map(|line| field(line, 0).to_owned());
        let own_group = own_group.filter(|group| group == old);
        for table in [Some(&mut self.group), self.gshadow.as_mut()].into_iter().flatten() {
            if let Some(group) = &own_group {
                table.each(group, |line| with_field(line, 0, new));
            }
            table.members(|_, members| {
                members.into_iter().map(|member| if member == old { new.to_owned() } else { member }).collect()
            });
        }
        // subuid and subgid go by name: under the old one, rootless containers would lose their numbers.
        for table in &mut self.subordinate {
            table.each(old, |line| with_field(line, 0, new));
        }
    }

    /// Adds a user with a group of its own, and returns both numbers.
    pub fn add(&mut self, user: &NewUser<'_>) -> Option<(u32, u32)> {
        let numbers = |table: &Table, at| -> Vec<u32> {
            table
                .lines
                .iter()
                .filter_map(|line| field(line, at).parse().ok())
                .filter(|id| NUMBERS.contains(id))
                .collect()
        };
        let (uids, gids) = (numbers(&self.passwd, 2), numbers(&self.group, 2));
        // One above the highest, as useradd does it: a number that was somebody's before must not own old files.
        let next = |taken: &[u32]| taken.iter().max().map_or(1000, |id| id + 1);
        let uid = Some(next(&uids)).filter(|id| NUMBERS.contains(id))?;
        let own = self.group.find(user.name).and_then(|line| field(line, 2).parse().ok());
        let gid = match own {
            Some(gid) => gid,
            None if !gids.contains(&uid) => uid,
            None => Some(next(&gids)).filter(|id| NUMBERS.contains(id))?,
        };
        let NewUser { name, home, shell, day } = user;
        self.passwd.push(format!("{name}:x:{uid}:{gid}:,,,:{home}:{shell}"));
        // A line that a user of this name left behind would give the new one its password.
        self.shadow.lines.retain(|line| field(line, 0) != *name);
        self.shadow.push(format!("{name}:!:{day}:0:99999:7:::"));
        if own.is_none() {
            self.group.push(format!("{name}:x:{gid}:"));
            if let Some(gshadow) = &mut self.gshadow {
                gshadow.lines.retain(|line| field(line, 0) != *name);
                gshadow.push(format!("{name}:!::"));
            }
        }
        for table in &mut self.subordinate {
            let ends = table.lines.iter().filter_map(|line| {
                let (start, count): (u32, u32) = (field(line, 1).parse().ok()?, field(line, 2).parse().ok()?);
                start.checked_add(count)
            });
            if let Some(start) = Some(ends.max().unwrap_or(100_000).max(100_000)).filter(|start| *start < 600_000_000) {
                table.push(format!("{name}:{start}:65536"));
            }
        }
        Some((uid, gid))
    }

    /// Takes a user out of every file.
    pub fn remove(&mut self, name: &str) {
        let tables = [&mut self.passwd, &mut self.shadow, &mut self.group].into_iter();
        for table in tables.chain(self.gshadow.as_mut()).chain(&mut self.subordinate) {
            table.lines.retain(|line| field(line, 0) != name);
        }
        for table in [Some(&mut self.group), self.gshadow.as_mut()].into_iter().flatten() {
            table.members(|_, members| members.into_iter().filter(|member| member != name).collect());
        }
    }

    /// Puts a user into a group, where the image has that group.
    pub fn join(&mut self, name: &str, group: &str) {
        let primary = self.passwd.find(name).map(|line| field(line, 3).to_owned());
        if self.group.find(group).is_none_or(|line| Some(field(line, 2)) == primary.as_deref()) {
            return;
        }
        for table in [Some(&mut self.group), self.gshadow.as_mut()].into_iter().flatten() {
            table.members(|at, mut members| {
                if at == group && !members.iter().any(|member| member == name) {
                    members.push(name.to_owned());
                }
                members
            });
        }
    }

    /// Sets the hash and the day on which it was set. An account that was closed by its date is open again.
    pub fn set_password(&mut self, name: &str, hash: &str, day: i64) {
        if self.shadow.find(name).is_none() {
            self.shadow.push(format!("{name}:!:{day}:0:99999:7:::"));
        }
        // `x` sends programs on to shadow; anything else here would count instead of the new hash.
        self.passwd.each(name, |line| with_field(line, 1, "x"));
        self.shadow.each(name, |line| {
            // The same hash keeps its day: doing it twice changes nothing.
            let line = if field(line, 1) == hash { line.to_owned() } else { with_field(line, 2, &day.to_string()) };
            with_field(&with_field(&line, 1, hash), 7, "")
        });
    }
}
