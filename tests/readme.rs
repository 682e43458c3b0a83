//! The README tells the truth: its commands parse, its recipe loads, its tables are those of the code.

use std::path::{Path, PathBuf};

use cardsmith::prepare::PathRule;
use cardsmith::prepare::{identity, ssm};
use cardsmith::recipe;

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

fn table(rules: &[PathRule]) -> String {
    let mut text = String::from("| path | what it is | class | what happens | `keep` |\n|---|---|---|---|---|\n");
    for rule in rules {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let action = match word(serde_json::to_value(rule.action).unwrap()).as_str() {
            "remove" => "goes",
            "clear" => "is emptied",
            "empty" => "loses its content",
            "keep" => "stays",
            "warn" => "stays, with a warning",
            _ => "partly",
        };
        let keep = rule.kept_by.map(|keep| format!("`{}`", word(serde_json::to_value(keep).unwrap())));
        let what = rule.what.replace('|', "\\|");
        let class = word(serde_json::to_value(rule.class).unwrap());
        text.push_str(&format!("| `{}` | {what} | {class} | {action} | {} |\n", rule.path, keep.unwrap_or_default()));
    }
    text
}

/// Writes the tables when `CARDSMITH_WRITE_README` is set: a new line in a table of places is a new line here.
#[test]
fn the_readme_s_tables_are_those_of_the_code() {
    let mut text = readme();
    for (name, rules) in [("ssm", ssm::RULES), ("identity", identity::RULES)] {
        let begin = format!("<!-- places: {name} -->\n");
        let start = text.find(&begin).unwrap() + begin.len();
        let end = start + text[start..].find("<!-- /places -->").unwrap();
        text.replace_range(start..end, &table(rules));
    }
    if std::env::var_os("CARDSMITH_WRITE_README").is_some() {
        std::fs::write(root().join("README.md"), &text).unwrap();
    }
    assert!(readme() == text, "run: CARDSMITH_WRITE_README=1 cargo nextest run readme");
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
