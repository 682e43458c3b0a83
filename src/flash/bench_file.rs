//! The bench file: which place at the bench has which name. It is TOML, kept by `cardsmith devices --learn` or by hand:
//!
//! ```toml
//! [bench.slots]
//! left-1 = "usb-1-4.1"     # a USB port path, as `cardsmith devices` shows it
//! inner = "mmc0"           # an SD host
//! ```

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::devices::Device;
use super::slots::{Slot, SlotPlace, bad_name};
use crate::atomic_file::write_atomically;
use crate::read_limited::read_limited;
use crate::recipe::{Mistake, closest};
use crate::xdg;

/// The largest bench file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Every named place, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BenchFile {
    /// The slots. Names and places are unique.
    pub slots: Vec<Slot>,
}

/// Why there are no slots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchFileError {
    /// The file cannot be read.
    #[error("cannot read the bench file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file has a mistake.
    #[error("{0}")]
    Mistake(Box<Mistake>),
    /// The file cannot be written; what was there before still is.
    #[error("cannot write the bench file {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Where the bench file is kept where nobody says otherwise: `$XDG_CONFIG_HOME/cardsmith/bench.toml`.
pub fn default_path() -> Option<PathBuf> {
    Some(xdg::config_directory()?.join("bench.toml"))
}

impl BenchFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`BenchFileError`].
    pub fn read(path: &Path) -> Result<BenchFile, BenchFileError> {
        let cannot = |source| BenchFileError::Read { path: path.to_owned(), source };
        let bytes = std::fs::File::open(path).and_then(|file| read_limited(file, LARGEST)).map_err(cannot)?;
        let text = String::from_utf8(bytes).map_err(|error| cannot(io::Error::other(error)))?;
        BenchFile::parse(&text, path)
    }

    /// Reads a bench file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`BenchFileError::Mistake`].
    pub fn parse(text: &str, path: &Path) -> Result<BenchFile, BenchFileError> {
        let reader = Reader { text, path };
        let document = DeTable::parse(text).map_err(|error| {
            let what = error.message().lines().next().unwrap_or_default();
            reader.mistake(error.span().unwrap_or(0..0), format!("not valid TOML: {what}"), EXAMPLE)
        })?;
        let mut slots: Vec<(usize, Slot)> = Vec::new();
        let none = DeTable::new();
        let bench = reader.only(document.get_ref(), "bench")?.map_or(Ok(&none), |bench| reader.table(bench))?;
        let named = reader.only(bench, "slots")?.map_or(Ok(&none), |slots| reader.table(slots))?;
        for (name, place) in named {
            let slot = reader.slot(name, place)?;
            if slots.iter().any(|(_, other)| other.place == slot.place) {
                return Err(reader.mistake(place.span(), format!("{} has two names", slot.place), "keep one of them"));
            }
            slots.push((name.span().start, slot));
        }
        slots.sort_by_key(|(at, _)| *at);
        Ok(BenchFile { slots: slots.into_iter().map(|(_, slot)| slot).collect() })
    }

    /// Writes the file, whole or not at all, and makes the directory that it is in.
    ///
    /// # Errors
    /// [`BenchFileError::Write`]; what was there before still is.
    pub fn write(&self, path: &Path) -> Result<(), BenchFileError> {
        let cannot = |source| BenchFileError::Write { path: path.to_owned(), source };
        // A link (dotfiles in a repository) stays one.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(cannot)?;
        }
        write_atomically(path, self.text().as_bytes()).map_err(cannot)
    }

    fn text(&self) -> String {
        let mut text = "# The slots of this bench, by the port that each reader is plugged into.\n\
                        # `cardsmith devices --learn` writes this file anew; `cardsmith flash … --bench` reads it.\n\n\
                        [bench.slots]\n"
            .to_owned();
        for Slot { name, place } in &self.slots {
            let quoted = |text: &str| toml::Value::from(text).to_string();
            text += &format!("{} = {}\n", quoted(name), quoted(&place.to_string()));
        }
        text
    }

    /// The name of the place that `device` is in.
    pub fn name_of(&self, device: &Device) -> Option<&str> {
        let one = std::slice::from_ref(device);
        self.slots.iter().find(|slot| slot.place.device(one).is_some()).map(|slot| slot.name.as_str())
    }

    /// Gives a place a name. A place has one name and a name one place: what either had before goes.
    pub fn name(&mut self, name: &str, place: SlotPlace) {
        self.slots.retain(|slot| slot.name != name && slot.place != place);
        self.slots.push(Slot { name: name.to_owned(), place });
    }

    /// The slots of these names, in this order; all of them where none is named.
    ///
    /// # Errors
    /// The first name that is not there, and the one that was probably meant.
    pub fn pick(&self, names: &[String]) -> Result<Vec<Slot>, (String, Option<String>)> {
        if names.is_empty() {
            return Ok(self.slots.clone());
        }
        let mut picked: Vec<Slot> = Vec::new();
        for name in names {
            let Some(slot) = self.slots.iter().find(|slot| slot.name == *name) else {
                let known: Vec<&str> = self.slots.iter().map(|slot| slot.name.as_str()).collect();
                return Err((name.clone(), closest(name, &known).map(str::to_owned)));
            };
            if !picked.contains(slot) {
                picked.push(slot.clone());
            }
        }
        Ok(picked)
    }
}

const EXAMPLE: &str = "a bench file has lines like `left-1 = \"usb-1-4.1\"` below `[bench.slots]`; `cardsmith devices \
                       --learn` writes one";

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn mistake(&self, span: Range<usize>, what: impl Into<String>, help: &str) -> BenchFileError {
        BenchFileError::Mistake(Box::new(Mistake::at(self.path, self.text, span, what, help)))
    }

    /// The value of the one key that is known here, if it is there.
    fn only<'t, 'd>(
        &self,
        table: &'t DeTable<'d>,
        known: &str,
    ) -> Result<Option<&'t Spanned<DeValue<'d>>>, BenchFileError> {
        if let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref() != known) {
            return Err(self.mistake(key.span(), format!("unknown key `{}`", key.get_ref()), EXAMPLE));
        }
        Ok(table.iter().next().map(|(_, value)| value))
    }

    fn table<'t, 'd>(&self, value: &'t Spanned<DeValue<'d>>) -> Result<&'t DeTable<'d>, BenchFileError> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.mistake(value.span(), "this must be a table", EXAMPLE))
    }

    fn slot(
        &self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        place: &Spanned<DeValue<'_>>,
    ) -> Result<Slot, BenchFileError> {
        if let Some(why) = bad_name(name.get_ref()) {
            return Err(self.mistake(name.span(), "not a name for a slot", why));
        }
        let DeValue::String(text) = place.get_ref() else {
            return Err(self.mistake(place.span(), "the place of a slot is text", EXAMPLE));
        };
        match SlotPlace::parse(text) {
            Ok(place) => Ok(Slot { name: name.get_ref().to_string(), place }),
            Err(like) => Err(self.mistake(place.span(), format!("`{text}` is not a place"), like)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BenchFile, String> {
        BenchFile::parse(text, Path::new("bench.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn slots_keep_the_order_of_the_file_and_survive_being_written() {
        let text = "[bench.slots]\n\"upper left\" = \"2-1.lun1\"\nb = \"usb-1-4.2\"\na = \"mmc0\"\nc=\"/dev/loop7\"\n";
        let file = parse(text).unwrap();
        let shown: Vec<String> = file.slots.iter().map(|slot| format!("{}@{}", slot.name, slot.place)).collect();
        assert_eq!(shown, ["upper left@usb-2-1.lun1", "b@usb-1-4.2", "a@mmc0", "c@/dev/loop7"]);
        assert_eq!(parse(&file.text()).unwrap(), file);
        assert_eq!(parse("").unwrap(), BenchFile::default());
    }

    #[test]
    fn mistakes_are_pointed_at_by_line_and_column() {
        let found = |text: &str| parse(text).unwrap_err();
        assert_eq!(found("[bench.slots]\na = 7\n"), "bench.toml:2:5: the place of a slot is text");
        assert_eq!(found("[bench.slots]\na = \"usb-x\"\n"), "bench.toml:2:5: `usb-x` is not a place");
        assert_eq!(found("[bench.slot]\na = \"mmc0\"\n"), "bench.toml:1:8: unknown key `slot`");
        assert_eq!(found("[bench]\nslots = 1\n"), "bench.toml:2:9: this must be a table");
        assert_eq!(found("[slots]\n"), "bench.toml:1:2: unknown key `slots`");
        assert_eq!(found("[bench.slots]\na=\"1-2\"\nb=\"usb-1-2\"\n"), "bench.toml:3:3: usb-1-2 has two names");
        assert_eq!(found("[bench.slots]\n\"a\\u0007\"=\"1-2\"\n"), "bench.toml:2:1: not a name for a slot");
        assert!(found("[bench.slots]\na = \"mmc0\"\na = \"mmc1\"\n").contains("not valid TOML"));
    }

    #[test]
    fn a_name_goes_to_its_new_place_and_a_place_to_its_new_name() {
        let mut file = parse("[bench.slots]\na = \"mmc0\"\nb = \"mmc1\"\n").unwrap();
        file.name("a", SlotPlace::Port("mmc1".to_owned()));
        assert_eq!(file.slots, [Slot { name: "a".to_owned(), place: SlotPlace::Port("mmc1".to_owned()) }]);
        assert_eq!(file.pick(&["aa".to_owned()]).unwrap_err(), ("aa".to_owned(), Some("a".to_owned())));
    }
}
