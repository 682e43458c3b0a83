//! The step that carries out `[boot]`: lines for config.txt and words for cmdline.txt, each added once. What is there
//! already stays where it is.

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::recipe::schema::Boot;

const CONFIG: &str = "/config.txt";
const CMDLINE: &str = "/cmdline.txt";
const SOURCE: &str = "the recipe, [boot]";
/// The last line of what cardsmith added, so that a person sees where it came from.
const HEAD: &str = "# Added by cardsmith, because of [boot] in the recipe.";

/// Adds to what the firmware reads.
pub struct SetBoot<'r> {
    boot: &'r Boot,
}

impl<'r> SetBoot<'r> {
    /// As `[boot]` says.
    pub fn new(boot: &'r Boot) -> SetBoot<'r> {
        SetBoot { boot }
    }
}

impl Step for SetBoot<'_> {
    fn name(&self) -> &'static str {
        "boot"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if !self.boot.config.is_empty() {
            // The firmware takes a missing config.txt for an empty one.
            let old = text(view, CONFIG)?.unwrap_or_default();
            put(view, CONFIG, &old, &with_lines(&old, &self.boot.config))?;
        }
        if self.boot.cmdline.is_empty() {
            return Ok(());
        }
        let Some(old) = text(view, CMDLINE)?.filter(|text| !text.trim().is_empty()) else {
            view.block("[boot] cmdline cannot be added: the boot partition has no cmdline.txt, or an empty one");
            return Ok(());
        };
        if let Some(other) =
            text(view, CONFIG)?.unwrap_or_default().lines().find_map(|line| line.trim().strip_prefix("cmdline="))
        {
            view.block(format!(
                "[boot] cmdline cannot be added: config.txt says that the kernel's words are in {other}, not in cmdline.txt"
            ));
            return Ok(());
        }
        let new = with_words(&old, &self.boot.cmdline);
        for word in &self.boot.cmdline {
            if let Some((key, _)) = word.split_once('=')
                && !may_repeat(key)
                && let Some(other) =
                    old.split_whitespace().find(|other| *other != word && other.starts_with(&format!("{key}=")))
            {
                view.warn(format!(
                    "cmdline.txt says {other} already; {word} comes after it, and the kernel takes the last"
                ));
            }
        }
        put(view, CMDLINE, &old, &new)?;
        Ok(())
    }
}

fn may_repeat(key: &str) -> bool {
    ["console", "video", "earlycon", "modprobe.blacklist", "module_blacklist", "systemd.mask", "systemd.wants"]
        .contains(&key)
}

fn text(view: &View<'_>, path: &str) -> Result<Option<String>, FsError> {
    view.boot().text(&ImagePath::new(path)?, SETTINGS_LIMIT)
}

fn put(view: &mut View<'_>, path: &str, old: &str, new: &str) -> Result<(), FsError> {
    if old == new {
        view.note(format!("{} has all of it already", path.trim_start_matches('/')));
        return Ok(());
    }
    let path = ImagePath::new(path)?;
    let attributes = match view.boot().stat(&path)? {
        Some(stat) if stat.kind == FileKind::File => stat.attributes,
        _ => Attributes::root(0o755),
    };
    let content = Content::Bytes(new.as_bytes().to_vec());
    view.write(Volume::Boot, &path, content, attributes, Class::Configuration.because("what the recipe adds", SOURCE))?;
    Ok(())
}

/// The kernel's line with the words that it lacks, at its end, but before a `--`: what follows that is for init.
pub(super) fn with_words(text: &str, words: &[String]) -> String {
    let Some(line) = text.lines().find(|line| !line.trim().is_empty()) else { return text.to_owned() };
    let mut new: Vec<&str> = line.split_whitespace().collect();
    let end = new.iter().position(|word| *word == "--").unwrap_or(new.len());
    let mut missing: Vec<&str> = Vec::new();
    for word in words {
        if !new.iter().take(end).any(|other| other == word) && !missing.contains(&word.as_str()) {
            missing.push(word);
        }
    }
    if missing.is_empty() {
        return text.to_owned();
    }
    new.splice(end..end, missing);
    text.replacen(line, &new.join(" "), 1)
}

/// The filters under which a line of config.txt stands: those since the last `[all]`, of each kind the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Filters(Vec<String>);

impl Filters {
    /// What a filter line makes of them. `None` where the line is none.
    fn after(&self, line: &str) -> Option<Filters> {
        let inner = line.trim().strip_prefix('[')?.split_once(']')?.0.trim();
        if inner == "all" {
            return Some(Filters::default());
        }
        let mut filters: Vec<String> = self.0.iter().filter(|other| kind(other) != kind(inner)).cloned().collect();
        filters.push(inner.to_owned());
        Some(Filters(filters))
    }
}

/// A filter takes the place of one of its kind and joins the others (raspberrypi.com, config.txt, "Conditional filters").
fn kind(filter: &str) -> &str {
    match filter {
        _ if filter.starts_with("0x") => "serial",
        _ if filter.starts_with("hdmi:") => "hdmi",
        _ if filter.starts_with("gpio") => filter.split('=').next().unwrap_or(filter),
        _ if filter.contains('=') => filter.split('=').next().unwrap_or(filter),
        "tryboot" => "tryboot",
        _ => "model",
    }
}

/// One setting: a line, or an overlay with the parameters that follow it and mean nothing without it.
struct Setting<'t> {
    filters: Filters,
    lines: Vec<&'t str>,
}

fn settings(lines: &[String]) -> Vec<Setting<'_>> {
    let mut found: Vec<Setting<'_>> = Vec::new();
    let mut filters = Filters::default();
    for line in lines {
        if let Some(next) = filters.after(line) {
            filters = next;
            continue;
        }
        let belongs = line.starts_with("dtparam=")
            && found.last().is_some_and(|last| {
                last.filters == filters && last.lines.first().is_some_and(|l| l.starts_with("dtoverlay="))
            });
        match found.last_mut() {
            Some(last) if belongs => last.lines.push(line),
            _ => found.push(Setting { filters: filters.clone(), lines: vec![line] }),
        }
    }
    found
}

/// config.txt with the settings that it lacks, at its end.
fn with_lines(text: &str, lines: &[String]) -> String {
    let mut filters = Filters::default();
    let mut there: Vec<(Filters, &str)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match filters.after(line) {
            Some(next) => filters = next,
            None => there.push((filters.clone(), line)),
        }
    }
    let has = |setting: &Setting<'_>| {
        there.windows(setting.lines.len()).any(|window| {
            window
                .iter()
                .zip(&setting.lines)
                .all(|((filters, line), wanted)| *filters == setting.filters && line == wanted)
        })
    };
    let missing: Vec<Setting<'_>> = settings(lines).into_iter().filter(|setting| !has(setting)).collect();
    if missing.is_empty() {
        return text.to_owned();
    }
    let mut new = text.to_owned();
    if !new.is_empty() && !new.ends_with('\n') {
        new.push('\n');
    }
    if !new.is_empty() {
        new.push('\n');
    }
    new.push_str(HEAD);
    new.push('\n');
    // A parameter after an overlay is the overlay's: an empty `dtoverlay=` ends that.
    let mut open = there
        .iter()
        .rev()
        .find(|(_, line)| line.starts_with("dtoverlay="))
        .is_some_and(|(_, line)| *line != "dtoverlay=");
    let mut current = None;
    for setting in &missing {
        if current.as_ref() != Some(&setting.filters) {
            new.push_str("[all]\n");
            for filter in &setting.filters.0 {
                new.push_str(&format!("[{filter}]\n"));
            }
            current = Some(setting.filters.clone());
        }
        let first = setting.lines.first().copied().unwrap_or_default();
        if first.starts_with("dtparam=") && open {
            new.push_str("dtoverlay=\n");
            open = false;
        }
        open |= first.starts_with("dtoverlay=") && first != "dtoverlay=";
        for line in &setting.lines {
            new.push_str(&format!("{line}\n"));
        }
    }
    if current.is_some_and(|filters| filters != Filters::default()) {
        new.push_str("[all]\n");
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_are_added_once_under_their_filter() {
        let old = "dtparam=audio=on\n[cm4]\notg_mode=1\n[pi4]\narm_boost=1\n[all]\n";
        let lines = owned(&["gpu_mem=16", "[pi4]", "arm_boost=1", "[cm5]", "otg_mode=1", "[all]", "dtparam=audio=on"]);
        let new = with_lines(old, &lines);
        assert_eq!(new, format!("{old}\n{HEAD}\n[all]\ngpu_mem=16\n[all]\n[cm5]\notg_mode=1\n[all]\n"));
        assert_eq!(with_lines(&new, &lines), new, "twice changes nothing");
        assert_eq!(with_lines("a=1", &owned(&["b=2"])), format!("a=1\n\n{HEAD}\n[all]\nb=2\n"));
        assert_eq!(with_lines("", &owned(&["b=2"])), format!("{HEAD}\n[all]\nb=2\n"));
    }

    #[test]
    fn a_parameter_is_not_given_to_somebody_elses_overlay() {
        let old = "dtoverlay=vc4-kms-v3d\n";
        let new = with_lines(old, &owned(&["dtparam=i2c_arm=on", "dtoverlay=w1-gpio", "dtparam=gpiopin=4"]));
        assert!(
            new.ends_with("[all]\ndtoverlay=\ndtparam=i2c_arm=on\ndtoverlay=w1-gpio\ndtparam=gpiopin=4\n"),
            "{new}"
        );
        assert_eq!(with_lines(&new, &owned(&["dtoverlay=w1-gpio", "dtparam=gpiopin=4"])), new);
        let other =
            with_lines("dtoverlay=w1-gpio\ndtparam=gpiopin=5\n", &owned(&["dtoverlay=w1-gpio", "dtparam=gpiopin=4"]));
        assert!(other.ends_with("dtoverlay=w1-gpio\ndtparam=gpiopin=4\n"), "{other}");
    }

    #[test]
    fn words_are_added_once_before_what_is_inits() {
        let old = "console=tty1 root=PARTUUID=1-02 rootwait\n";
        let new = with_words(old, &owned(&["rootwait", "consoleblank=0", "quiet", "quiet"]));
        assert_eq!(new, "console=tty1 root=PARTUUID=1-02 rootwait consoleblank=0 quiet\n");
        assert_eq!(with_words(&new, &owned(&["quiet"])), new);
        assert_eq!(with_words("a -- b", &owned(&["c"])), "a c -- b");
        assert_eq!(with_words("\nroot=x", &owned(&["c"])), "\nroot=x c");
    }
}
