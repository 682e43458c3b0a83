//! The README tells the truth: its commands parse, its recipe loads, its tables are those of the code.

use std::path::{Path, PathBuf};

use cardsmith::recipe;
use cardsmith::strip::{AGENT, Counts, Fate, IDENTITY, Keep, Rule, Subject};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_of_the_readme_and_of_the_recipes_comments_is_understood() {
    let mut lines: Vec<String> =
        blocks(&readme(), "console").iter().flat_map(|b| b.lines()).map(str::to_owned).collect();
    for entry in std::fs::read_dir(root().join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("$ {line}")));
        }
    }
    let mut checked = 0;
    for line in lines {
        let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("not a command: {line}"));
        let words: Vec<&str> = command.split('>').next().unwrap().split_whitespace().collect();
        let words = match words.as_slice() {
            ["cargo", "run", "--release", "--", rest @ ..] => rest,
            ["cardsmith", rest @ ..] => rest,
            _ => continue,
        };
        let parsed = cardsmith::cli::command().try_get_matches_from([&["cardsmith"], words].concat());
        if let Err(error) = parsed {
            panic!("{line}\n{error}");
        }
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} commands were found");
    for script in ["scripts/test", ".ci/run", "scripts/make-pi-image", "scripts/boot-test", "LICENSE-MIT"] {
        assert!(root().join(script).is_file() && readme().contains(script), "{script}");
    }
}

#[test]
fn the_readme_s_recipe_and_every_recipe_in_recipes_is_a_good_one() {
    let text = blocks(&readme(), "toml").remove(0);
    recipe::parse(&text, &root().join("recipes/readme.toml")).unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            recipe::load(&path).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("#:schema ./recipe.schema.json\n# When to use this:"), "{}", path.display());
            found += 1;
        }
    }
    assert!(found >= 4);
}

/// Text of the table as Markdown shows it: what stands in backquotes stays as it is.
fn shown(text: &str) -> String {
    let pieces = text.split('`').enumerate().map(|(index, piece)| match index % 2 {
        0 => piece.replace('<', "\\<").replace('*', "\\*").replace('|', "\\|"),
        _ => piece.to_owned(),
    });
    pieces.collect::<Vec<_>>().join("`")
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned()
}

/// A rule in the documentation: everything that the table says of it.
fn described(rule: &Rule) -> String {
    let audit = match rule.severity {
        Some(severity) => format!("{} `{}`", word(severity), rule.id),
        None if rule.fate == Fate::Wanted => "silent".to_owned(),
        None => format!("`{}`", rule.audited_as),
    };
    let mut text = format!(
        "### `{}`\n\n{}.\n\n- what happens: {}\n- class: {}; audit: {audit}\n- where: {}\n",
        rule.id,
        shown(rule.what),
        rule.fate.words(),
        word(rule.class),
        quoted(rule.places),
    );
    match rule.counts {
        Counts::Text(_) => text.push_str("- counts: where the text holds such a thing\n"),
        Counts::HostName => text.push_str("- counts: where the text holds the machine's name\n"),
        Counts::Filled | Counts::There => {}
    }
    if !rule.names.is_empty() {
        let sections = if matches!(rule.fate, Fate::Stays | Fate::Named) { "`keep`, `also`" } else { "`keep`" };
        text.push_str(&format!("- {sections}: {}\n", quoted(rule.names)));
    }
    if !rule.back.is_empty() {
        text.push_str(&format!("- on a new card: {}\n", shown(rule.back)));
    }
    text.push_str(&format!("- source: {}\n\n", shown(rule.source)));
    text
}

/// Names that several rules have, and the rules.
fn groups() -> String {
    let mut text = String::from("| name | rules |\n|---|---|\n");
    for name in Keep::names() {
        let rules: Vec<&str> =
            cardsmith::strip::rules().filter(|rule| rule.is_named(name)).map(|rule| rule.id).collect();
        if rules.len() > 1 {
            text.push_str(&format!("| `{name}` | {} |\n", quoted(&rules)));
        }
    }
    text
}

fn subjects() -> impl Iterator<Item = &'static Subject> {
    AGENT.iter().chain(IDENTITY)
}

const WRITTEN_BY: &str = "run: CARDSMITH_WRITE_README=1 cargo nextest run readme";

/// Compares a file with what it should hold, or writes it when `CARDSMITH_WRITE_README` is set.
fn assert_current(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("CARDSMITH_WRITE_README").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == text, "{}: {WRITTEN_BY}", path.display());
}

const STRIPPED: &str = "docs/what-is-stripped.md";

#[test]
fn the_list_of_what_is_stripped_is_the_table() {
    let mut text = format!(
        "# What is stripped\n\n<!-- Made from the table in src/strip. {WRITTEN_BY} -->\n\n\
         Every rule that `cardsmith golden` works by, and `cardsmith audit` looks by. `*` stands for any part of one name,\n\
         `**` for every file below, `~/` for every home directory, `boot:/` for the boot partition. `keep` and `also` are\n\
         those of `[strip]` in a [recipe](../README.md#what-is-stripped-and-why).\n\n"
    );
    for subject in subjects() {
        text.push_str(&format!("- [{}](#{})\n", subject.title, anchor(subject.title)));
    }
    text.push_str("- [Groups](#groups)\n\n");
    for subject in subjects() {
        text.push_str(&format!("## {}\n\n", subject.title));
        text.extend(subject.rules.iter().map(described));
    }
    text.push_str(&format!("## Groups\n\nNames in `keep` and `also` that mean several rules.\n\n{}", groups()));
    assert_current(STRIPPED, &text);
}

/// The anchor that GitHub gives a heading.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn the_readme_s_table_of_subjects_is_that_of_the_code() {
    let mut table = String::from("| subject | go | stay, and are named | such as |\n|---|---|---|---|\n");
    for subject in subjects() {
        const SHOWN: usize = 4;
        let stays = subject.rules.iter().filter(|rule| matches!(rule.fate, Fate::Stays | Fate::Named)).count();
        let wanted = subject.rules.iter().filter(|rule| rule.fate == Fate::Wanted).count();
        let goes = subject.rules.len() - stays - wanted;
        let ids: Vec<&str> = subject.rules.iter().map(|rule| rule.id).take(SHOWN).collect();
        let (title, anchor) = (subject.title, anchor(subject.title));
        table.push_str(&format!("| [{title}]({STRIPPED}#{anchor}) | {goes} | {stays} | {} |\n", quoted(&ids)));
    }
    let mut text = readme();
    let begin = "<!-- subjects -->\n";
    let start = text.find(begin).unwrap() + begin.len();
    let end = start + text[start..].find("<!-- /subjects -->").unwrap();
    text.replace_range(start..end, &table);
    assert_current("README.md", &text);
}

#[test]
fn every_json_event_is_documented() {
    fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else {
                out.push(path);
            }
        }
    }
    let mut files = Vec::new();
    sources(&root().join("src/cli"), &mut files);
    let readme = readme();
    let mut found = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for rest in text.split("ui.event(").skip(1) {
            let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            assert!(
                readme.contains(&format!("`{name}`")),
                "README, \"JSON\", does not know `{name}` of {}",
                file.display()
            );
            found += 1;
        }
    }
    assert!(found >= 12, "{found}");
}
