//! What types cannot say: rules between and inside the values of a recipe. Every mistake is reported, each at its value.

mod login;
mod network;
mod system;

use std::collections::HashSet;
use std::path::{Component, Path};

use super::card_name::{CardName, CardNameError};
use super::expiry::Expiry;
use super::loaded::LoadedRecipe;
use super::mistake::Mistake;
use super::positions::ValueSpans;
use super::region::is_region;
use super::schema::{Activation, ActivationFrom, FileEntry, FileVolume, Recipe};
use crate::fs::ImagePath;
use crate::strip::{OwnFate, OwnRule, needed_in};

/// What is said of a path that wanders off, and what would be right.
pub(super) const OUTSIDE: (&str, &str) =
    ("the path leaves the recipe's directory with `..`", "put the file beside the recipe, or write its full path");

pub(crate) use system::keyboard_parts;

/// Each mistake costs a look through the text, and nobody reads so many. Beyond it, the last one says that there are more.
const MOST_MISTAKES: usize = 100;

/// Where the recipe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file, with what it names beside it.
    File,
    /// In a manifest: the golden image is made, and what went into it is on another machine.
    Manifest,
}

/// Collects the mistakes of one recipe.
struct Checker<'a> {
    loaded: &'a LoadedRecipe,
    spans: &'a ValueSpans<'a, 'a>,
    place: Place,
    found: Vec<Mistake>,
}

pub(super) fn check<'a>(loaded: &'a LoadedRecipe, spans: &'a ValueSpans<'a, 'a>, place: Place) -> Vec<Mistake> {
    let mut checker = Checker { loaded, spans, place, found: Vec::new() };
    let recipe = &loaded.recipe;
    checker.name(recipe);
    checker.image(recipe);
    if let Some(both) = recipe.strip.contradiction() {
        let help = "leave it out of one of the two lists";
        checker.report(&["strip", "also"], format!("`{both}` is both kept and stripped"), help);
    }
    checker.removals(&recipe.strip.remove);
    checker.strip_rules(&recipe.strip.rules);
    if let Some(agent) = &recipe.agent {
        checker.host_path(&["agent", "package"], &agent.package);
    }
    if let Some(activation) = &recipe.activation {
        checker.activation(activation);
    }
    checker.card(recipe);
    if let Some(user) = &recipe.user {
        checker.user(user);
    }
    if let Some(network) = &recipe.network {
        checker.network(recipe, network);
    }
    if let Some(proxy) = &recipe.proxy {
        checker.proxy(proxy);
    }
    if let Some(locale) = &recipe.locale {
        checker.locale(locale);
    }
    if let Some(boot) = &recipe.boot {
        checker.boot(boot);
    }
    checker.units(&recipe.units);
    checker.files(&recipe.files);
    let own = |mistake: &Mistake| mistake.path != loaded.path;
    let more = checker.found.split_off(checker.found.len().min(MOST_MISTAKES));
    checker.found.sort_by_key(|mistake| (own(mistake), mistake.line, mistake.column));
    checker.found.extend(more);
    checker.found
}

/// What is wrong with the path of a rule of one's own.
fn problem_of_pattern(pattern: &str) -> Option<String> {
    // A home is a directory that is named already, and the boot partition holds few.
    let (rest, enough) = match ["boot:", "~"].iter().find_map(|start| pattern.strip_prefix(start)) {
        Some(rest) => (rest, 1),
        None => (pattern, 2),
    };
    let path = match ImagePath::new(rest) {
        Err(error) => return Some(error.to_string()),
        Ok(path) if path == ImagePath::root() => {
            return Some("this is a whole file system, or a whole home".to_owned());
        }
        Ok(path) => path,
    };
    // `/*` and `/home/*` would take a system apart; nobody means that by one line.
    let is_any = |part: &&[u8]| part.iter().all(|byte| *byte == b'*');
    let (any, named): (Vec<&[u8]>, Vec<&[u8]>) = path.components().partition(is_any);
    (!any.is_empty() && named.len() < enough).then(|| "this means everything in one directory of the system".to_owned())
}

impl Checker<'_> {
    fn report(&mut self, keys: &[&str], what: impl Into<String>, help: impl Into<String>) {
        let (what, help) = match self.found.len() {
            ..MOST_MISTAKES => (what.into(), help.into()),
            MOST_MISTAKES => {
                (format!("there are more mistakes than {MOST_MISTAKES}"), "correct the first ones".to_owned())
            }
            _ => return,
        };
        self.found.push(self.spans.texts.mistake(self.spans.of(keys), what, help));
    }

    fn name(&mut self, recipe: &Recipe) {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let name = recipe.name.as_str();
        let fits = (1..=50).contains(&name.len())
            && name.starts_with(letter)
            && name.ends_with(letter)
            && name.chars().all(|c| letter(c) || c == '-');
        if !fits {
            self.report(
                &["name"],
                "this cannot be a recipe's name",
                "1 to 50 of a-z, 0-9 and -, not beginning or ending with -; it is used in file names, tags and host names",
            );
        }
    }

    fn image(&mut self, recipe: &Recipe) {
        let image = &recipe.image;
        let place = ["image", "source"];
        match image.source.split_once("://") {
            Some(("https" | "s3", rest)) if !rest.is_empty() && !rest.starts_with('/') && image.sha256.is_some() => {}
            Some(("https" | "s3", rest)) if !rest.is_empty() && !rest.starts_with('/') => self.report(
                &place,
                "an image from the network needs `sha256`",
                "add `sha256 = \"…\"` of the file as published; raspberrypi.com shows it beside the download",
            ),
            Some((scheme, _)) => {
                let what = format!("`{}://` is not supported", scheme.escape_default());
                self.report(&place, what, "use https:// or s3:// with `sha256`, or a path beside the recipe");
            }
            None if image.source.is_empty() || image.source.contains('\0') => {
                self.report(&place, "no image is named", "a path beside the recipe, or an https:// or s3:// address");
            }
            None => {}
        }
    }

    fn removals(&mut self, paths: &[String]) {
        for path in paths {
            let problem = match ImagePath::new(path) {
                Err(error) => error.to_string(),
                Ok(path) if path == ImagePath::root() => "this is the whole root file system".to_owned(),
                Ok(_) => match needed_in(path) {
                    Some(needed) => format!("no system can be without {needed}"),
                    None => continue,
                },
            };
            self.report(&["strip", "remove"], problem, "absolute paths inside the image, without `..`");
        }
    }

    fn strip_rules(&mut self, rules: &[OwnRule]) {
        const LONGEST: usize = 200;
        for (index, rule) in rules.iter().enumerate() {
            let index = index.to_string();
            let needed = needed_in(&rule.path).filter(|_| rule.fate != OwnFate::Name);
            let needed = needed.map(|needed| format!("no system can be without {needed}"));
            if let Some(problem) = problem_of_pattern(&rule.path).or(needed) {
                let right =
                    "a path inside the image with `*` for any part of a name, `~/…`, or `boot:/…`; without `..`";
                self.report(&["strip", "rule", &index, "path"], problem, right);
            }
            if rule.what.trim().is_empty() || rule.what.len() > LONGEST || rule.what.chars().any(char::is_control) {
                let problem = "plans and manifests need a few words here";
                self.report(&["strip", "rule", &index, "what"], problem, "what it is, in one short line");
            }
        }
    }

    fn activation(&mut self, activation: &Activation) {
        match activation.from {
            ActivationFrom::Aws => self.activation_from_aws(activation),
            ActivationFrom::File => self.activation_from_file(activation),
        }
        if let Some(region) = &activation.region
            && !is_region(region)
        {
            self.report(&["activation", "region"], "this is not an AWS region", "for example \"eu-central-1\"");
        }
    }

    fn activation_from_aws(&mut self, activation: &Activation) {
        if activation.path.is_some() {
            self.report(
                &["activation", "path"],
                "`path` goes with `from = \"file\"`",
                "remove it, or say `from = \"file\"`",
            );
        }
        if activation.region.is_none() {
            self.report(
                &["activation"],
                "`from = \"aws\"` needs `region`",
                "the region that the cards register in, for example `region = \"eu-central-1\"`",
            );
        }
        match activation.role.as_deref() {
            None => self.report(
                &["activation"],
                "`from = \"aws\"` needs `role`",
                "the name of the IAM role that nodes get, for example `role = \"ssm-managed-instance\"`",
            ),
            Some(role) => self.role(role),
        }
        if let Some(Err(error)) = activation.expires.as_deref().map(str::parse::<Expiry>) {
            self.report(
                &["activation", "expires"],
                error.to_string(),
                "a number with m, h or d: \"12h\", \"7d\"; at most \"30d\"",
            );
        }
        self.tags(activation);
    }

    fn role(&mut self, role: &str) {
        let place = ["activation", "role"];
        // CreateActivation takes the role's name; an ARN or a path is refused by the service (aws-cli #4232).
        if let Some((_, name)) = role.rsplit_once('/') {
            let kind = if role.starts_with("arn:") { "an ARN" } else { "a path" };
            return self.report(
                &place,
                format!("`role` takes the role's name, and this is {kind}"),
                format!("write `role = \"{}\"`", name.escape_default()),
            );
        }
        let fits =
            (1..=64).contains(&role.len()) && role.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c));
        if !fits {
            self.report(
                &place,
                "this is not the name of an IAM role",
                "1 to 64 letters, digits and +=,.@_-; the name as IAM shows it, not its ARN",
            );
        }
    }

    fn tags(&mut self, activation: &Activation) {
        // AWS allows 50; cardsmith adds its own (serial, recipe, golden digest) and leaves some room.
        const MOST: usize = 40;
        if activation.tags.len() > MOST {
            self.report(
                &["activation", "tags"],
                format!("more than {MOST} tags"),
                "AWS allows 50, and cardsmith adds its own",
            );
        }
        let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        for (key, value) in &activation.tags {
            let place = ["activation", "tags", key.as_str()];
            if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
                self.report(
                    &place,
                    "this tag is too long or empty",
                    "1 to 128 characters for the key, at most 256 for the value",
                );
            } else if !key.chars().chain(value.chars()).all(allowed) {
                self.report(
                    &place,
                    "AWS does not take this character in a tag",
                    "letters, digits, spaces and _.:/=+-@",
                );
            } else if key.to_ascii_lowercase().starts_with("aws:") {
                self.report(&place, "tags that begin with `aws:` are reserved", "take another key");
            }
        }
    }

    fn activation_from_file(&mut self, activation: &Activation) {
        // These would look as if they had an effect, and a fleet without its tags is found out too late.
        let given = [
            ("role", activation.role.is_some()),
            ("expires", activation.expires.is_some()),
            ("tags", !activation.tags.is_empty()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            self.report(
                &["activation", key],
                format!("`{key}` has no effect with `from = \"file\"`"),
                "it was settled when the activations were issued; remove it, or say `from = \"aws\"`",
            );
        }
        if let Some(path) = &activation.path
            && (path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0))
        {
            self.report(
                &["activation", "path"],
                "no file is named",
                "a CSV or JSON file beside the recipe, not in git",
            );
        }
    }

    fn card(&mut self, recipe: &Recipe) {
        if let Err(error) = CardName::parse(&recipe.card.name, &recipe.name) {
            let help = match &error {
                CardNameError::NoSerial => "put `{serial}` or `{serial:04}` into it".to_owned(),
                _ => "for example \"kiosk-{serial:04}\"; known are {serial}, {serial:04} and {recipe}, \
                      and the result is a host name of 63 characters at most"
                    .to_owned(),
            };
            self.report(&["card", "name"], format!("this cannot name cards: {error}"), help);
        }
    }

    fn files(&mut self, files: &[FileEntry]) {
        let mut earlier = HashSet::new();
        for (index, file) in files.iter().enumerate() {
            let number = index.to_string();
            let place = |key: &'static str| ["file", number.as_str(), key].map(str::to_owned);
            let mut wrong = |key: &'static str, what: String, help: &str| {
                let keys = place(key);
                self.report(&keys.each_ref().map(String::as_str), what, help);
            };
            let path = ImagePath::new(&file.path);
            if let Err(error) = &path {
                wrong(
                    "path",
                    error.to_string(),
                    "an absolute path inside the image, such as \"/etc/motd\", without `..`",
                );
            } else if file.path.ends_with('/') {
                wrong("path", "this names a directory".into(), "name the file; missing directories are made");
            }
            // In a set: a list with 40,000 entries would take minutes otherwise.
            if path.is_ok_and(|path| !earlier.insert((file.volume == FileVolume::Boot, path))) {
                wrong("path", "an earlier [[file]] has the same path".into(), "keep one of them");
            }
            if file.volume == FileVolume::Boot && file.path.chars().any(|c| "\\:*?\"<>|".contains(c)) {
                wrong("path", "FAT has no such file name".into(), "leave out \\ : * ? \" < > |");
            }
            match (&file.source, &file.text) {
                (Some(_), Some(_)) => wrong("text", "`source` and `text` are both there".into(), "keep one of them"),
                (None, None) => wrong(
                    "path",
                    "the file has no content".into(),
                    "add `source = \"…\"`, a file beside the recipe, or `text = \"…\"`",
                ),
                _ => {}
            }
            if !is_mode(&file.mode) {
                wrong("mode", "this is not a mode".into(), "three or four octal digits in quotes: \"0644\", \"0755\"");
            }
            for (key, name) in [("owner", &file.owner), ("group", &file.group)] {
                if !is_account(name) {
                    wrong(
                        key,
                        "this is neither a number nor a name".into(),
                        "\"root\", \"pi\" or a number such as \"1000\"",
                    );
                }
            }
            if let (Some(source), None) = (&file.source, &file.text) {
                self.host_path(&["file", &number, "source"], source);
                self.host_file(&["file", &number, "source"], source);
            }
        }
    }

    /// What goes into the image comes from beside the recipe, or is named in full: a recipe from a stranger must not
    /// wander off with `..` into somebody's home directory.
    fn host_path(&mut self, keys: &[&str], path: &Path) {
        if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
            self.report(keys, "no file is named", "a path beside the recipe");
        } else if self.place == Place::Manifest {
            // Files of the build are on the machine that made the image. What is read here is allowed one by one.
        } else if self.as_written(keys, path).components().any(|component| component == Component::ParentDir) {
            self.report(keys, OUTSIDE.0, OUTSIDE.1);
        }
    }

    /// The path as it stands in its file: one of the base's was put behind the way from here to there.
    fn as_written<'p>(&self, keys: &[&str], path: &'p Path) -> &'p Path {
        let is_base = self.spans.texts.is_base(self.spans.of(keys).start);
        path.strip_prefix(&self.spans.prefix).ok().filter(|_| is_base).unwrap_or(path)
    }

    fn host_file(&mut self, keys: &[&str], path: &Path) {
        // Read when the golden image was made, elsewhere perhaps.
        if self.place == Place::Manifest {
            return;
        }
        let path = self.loaded.beside(path);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => {
                self.report(keys, format!("{} is not a regular file", path.display()), "name a file beside the recipe")
            }
            Err(error) => {
                let what = format!("cannot find {}: {error}", path.display());
                self.report(keys, what, "paths count from the recipe's directory");
            }
        }
    }
}

fn is_mode(text: &str) -> bool {
    (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b))
}

/// A number, or a name as useradd(8) allows them.
fn is_account(text: &str) -> bool {
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.$".contains(c));
    if number { text.parse::<u32>().is_ok() } else { name }
}
