//! The command line: exit codes, the one error, what goes to stdout and what to stderr.

use std::io::Read;
use std::process::Stdio;

use crate::support::binary::{cardsmith, command};
use crate::support::need;

fn every_command() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, path: &[String], out: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let mut path = path.to_vec();
            path.push(sub.get_name().to_owned());
            out.push(path.clone());
            walk(sub, &path, out);
        }
    }
    let mut out = Vec::new();
    walk(&cardsmith::cli::command(), &[], &mut out);
    out
}

#[test]
fn every_command_has_a_help_text_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    let commands = every_command();
    assert!(commands.len() >= 5);
    for path in commands {
        let help = cardsmith(home.path(), path.iter().map(String::as_str).chain(["--help"])).exits(0).out;
        let example = format!("cardsmith {}", path.join(" "));
        assert!(help.contains("Example"), "no example in the help of {path:?}:\n{help}");
        assert!(help.matches(example.as_str()).count() >= 2, "the example of {path:?} is of something else:\n{help}");
        assert!(help.contains("--json"), "{help}");
    }
}

#[test]
fn wrong_usage_exits_2_and_help_exits_0() {
    let home = tempfile::tempdir().unwrap();
    for args in
        [vec!["nonsense"], vec!["recipe"], vec!["recipe", "check"], vec!["recipe", "check", "--nonsense", "x"], vec![]]
    {
        let run = cardsmith(home.path(), &args).exits(2);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{args:?}");
    }
    assert!(cardsmith(home.path(), ["--version"]).exits(0).out.starts_with("cardsmith "));
}

#[test]
fn a_recipe_s_mistake_is_one_letter_on_stderr_and_one_event_for_programs() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("kiosk.toml"), "name = \"kiosk\"\n[image]\nsorce = \"a.img\"\n").unwrap();
    let run = cardsmith(home.path(), ["recipe", "check", "kiosk.toml"]).exits(2);
    assert_eq!(run.out, "");
    let letter = "error: kiosk.toml:3:1: unknown key `sorce`\n  │ 3 | sorce = \"a.img\"\n  │   | ^^^^^\n  help: did you mean `source`?";
    assert!(run.err.starts_with(letter), "{}", run.err);
    assert!(!run.err.contains('\u{1b}'), "colours in a pipe: {:?}", run.err);

    let run = cardsmith(home.path(), ["--json", "recipe", "check", "kiosk.toml"]).exits(2);
    assert_eq!(run.named("recipe")[0]["mistakes"][0]["line"], 3);
    assert_eq!(run.named("error")[0]["exit"], 2);
}

#[test]
fn a_new_recipe_passes_the_check_and_its_name_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let new = cardsmith(home.path(), ["recipe", "new", "shop-42"]).exits(0).out;
    std::fs::write(home.path().join("shop.toml"), &new).unwrap();
    let run = cardsmith(home.path(), ["recipe", "check", "shop.toml"]).exits(0);
    assert_eq!(run.out, "shop.toml: a good recipe, shop-42\n");
    assert_eq!(run.err, "");
    std::fs::write(home.path().join("old.toml"), new.replace("unused-space = \"discard\"", "blank = \"leave\""))
        .unwrap();
    let run = cardsmith(home.path(), ["recipe", "check", "old.toml"]).exits(0);
    assert_eq!(run.out, "old.toml: a good recipe, shop-42\n");
    let (old, now) = ("`[card] blank` is called `unused-space` now", "write `unused-space = \"keep\"`");
    assert!(run.err.contains(old) && run.err.contains(now), "{}", run.err);
    for name in ["Shop", "a\"\nb", "-", ""] {
        assert_eq!(cardsmith(home.path(), ["recipe", "new", "--", name]).exits(2).out, "");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let home = tempfile::tempdir().unwrap();
    let mut child = command(home.path())
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(home.path()).args(["recipe", "schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the answer"));
}

#[test]
fn completions_are_scripts_that_the_shell_accepts() {
    let home = tempfile::tempdir().unwrap();
    let script = cardsmith(home.path(), ["completions", "bash"]).exits(0).out;
    assert!(script.contains("recipe") && script.contains("--ledger"));
    if need("bash") {
        let path = home.path().join("cardsmith.bash");
        std::fs::write(&path, script).unwrap();
        let words =
            "COMP_WORDS=(cardsmith rec); COMP_CWORD=1; _cardsmith cardsmith rec cardsmith; echo \"${COMPREPLY[*]}\"";
        let output = std::process::Command::new("bash")
            .args(["-euc", &format!("source {}; {words}", path.display())])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "recipe", "{output:?}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let home = tempfile::tempdir().unwrap();
    cardsmith(home.path(), ["man", "pages"]).exits(0);
    for path in every_command() {
        let page = home.path().join("pages").join(format!("cardsmith-{}.1", path.join("-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.contains(".SH SYNOPSIS") && text.contains("Example"), "{}", page.display());
    }
    assert!(cardsmith(home.path(), ["man"]).exits(0).out.contains(".TH cardsmith 1"));
}

#[test]
fn the_schema_is_json_that_describes_the_new_recipe() {
    let home = tempfile::tempdir().unwrap();
    let schema = cardsmith(home.path(), ["recipe", "schema"]).exits(0).out;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["type"], "object");
}

#[test]
fn devices_are_shown_with_the_reason_why_they_are_not_written() {
    let home = tempfile::tempdir().unwrap();
    let people = cardsmith(home.path(), ["devices", "--all"]).exits(0);
    let program = cardsmith(home.path(), ["devices", "--all", "--json"]).exits(0);
    for event in program.named("device") {
        let path = event["device"]["path"].as_str().unwrap();
        let line = people.out.lines().find(|line| line.split_whitespace().next() == Some(path));
        assert!(line.is_some(), "{path} is not in\n{}", people.out);
        assert_eq!(event["obstacle"].is_null(), event["next"].is_null(), "{event}");
    }
}
