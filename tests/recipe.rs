//! Recipes are read with messages that a person can act on: file, line, column, and what would be right.

use std::path::Path;

use cardsmith::recipe::{self, Mistake, RecipeError};

const GOOD: &str = r#"name = "kiosk"

[image]
source = "base.img.xz"
"#;

fn mistakes(text: &str) -> Vec<Mistake> {
    match recipe::parse(text, Path::new("fleet/kiosk.toml")) {
        Err(RecipeError::Mistakes { mistakes }) => mistakes,
        other => panic!("expected mistakes, got {other:?} for\n{text}"),
    }
}

/// The only mistake in `GOOD` with `more` behind it.
fn one(more: &str) -> Mistake {
    let found = mistakes(&format!("{GOOD}{more}"));
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn a_short_recipe_is_enough_and_the_rest_has_safe_defaults() {
    let loaded = recipe::parse(GOOD, Path::new("kiosk.toml")).unwrap();
    assert_eq!(loaded.dir, Path::new("."));
    assert_eq!(loaded.recipe.card.name, "{recipe}-{serial:04}");
    assert_eq!(loaded.recipe.sudo.nopasswd, recipe::schema::Nopasswd::Remove);
    assert!(loaded.recipe.strip.keep.is_empty());
}

#[test]
fn the_design_s_recipe_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("motd"), "hello\n").unwrap();
    let path = dir.path().join("kiosk.toml");
    let digest = "0123456789abcdef".repeat(4);
    let text = format!(
        r#"
name = "kiosk"
[image]
source = "2025-11-24-raspios-trixie-arm64-lite.img.xz"
sha256 = "{digest}"
[strip]
keep = ["wifi"]
[sudo]
ssm-user = "no-sudo"
nopasswd = "remove"
[agent]
package = "amazon-ssm-agent_arm64.deb"
sha256 = "{digest}"
[activation]
from = "aws"
region = "ap-northeast-1"
role = "ssm-managed-instance"
expires = "7d"
tags = {{ Fleet = "kiosk" }}
[card]
name = "kiosk-{{serial:04}}"
[[file]]
path = "/etc/motd"
source = "motd"
mode = "0644"
"#
    );
    std::fs::write(&path, text).unwrap();
    let loaded = recipe::load(&path).unwrap();
    assert_eq!(loaded.beside("motd"), dir.path().join("motd"));
}

#[test]
fn an_unknown_key_is_pointed_at_with_the_key_that_was_meant() {
    let mistake = one("\n[activation]\nfrom = \"file\"\nregoin = \"eu-west-1\"\n");
    assert_eq!((mistake.line, mistake.column), (8, 1));
    assert_eq!(mistake.to_string(), "fleet/kiosk.toml:8:1: unknown key `regoin`");
    assert_eq!(mistake.excerpt, "8 | regoin = \"eu-west-1\"\n  | ^^^^^^");
    assert!(mistake.help.starts_with("did you mean `region`?"), "{}", mistake.help);
    let section = one("\n[sudoo]\nnopasswd = \"remove\"\n");
    assert_eq!(section.line, 6);
    assert!(section.help.contains("did you mean `sudo`"), "{}", section.help);
}

#[test]
fn a_wrong_type_or_value_is_pointed_at() {
    let mistake = one("\n[strip]\ngaps = \"yes\"\n");
    assert_eq!((mistake.line, mistake.column), (7, 8));
    assert!(mistake.what.contains("boolean"), "{}", mistake.what);
    let mistake = one("\n[strip]\nkeep = [\"wfi\"]\n");
    assert_eq!((mistake.line, mistake.column), (7, 9));
    assert_eq!(mistake.what, "`wfi` is not a value that is known here");
    assert!(mistake.help.contains("did you mean `wifi`") && mistake.help.contains("recipe schema"), "{}", mistake.help);
    // What goes by itself is no name for `also`.
    let mistake = one("\n[strip]\nalso = [\"wifi\", \"machine-id\"]\n");
    assert_eq!((mistake.line, mistake.column), (7, 17));
    assert!(mistake.what.contains("goes by itself"), "{}", mistake.what);
    assert_eq!(mistake.help, "take `machine-id` out of `also`");
    // Nobody reads hundreds of names.
    let mistake = one("\n[strip]\nalso = [\"qqqq\"]\n");
    assert!(mistake.help.contains("recipe schema") && mistake.help.len() < 200, "{}", mistake.help);
    let mistake = one("sha256 = \"abc\"\n");
    assert_eq!(mistake.line, 5);
    assert!(mistake.what.contains("64 hexadecimal digits"), "{}", mistake.what);
    let mistake = mistakes("name = \"kiosk\"\n").remove(0);
    assert!(mistake.what.contains("`image` is missing"), "{}", mistake.what);
    let mistake = mistakes("name = \"kiosk\n").remove(0);
    assert!(mistake.what.contains("not valid TOML") && mistake.line == 1, "{mistake}");
}

#[test]
fn rules_between_values_are_kept_and_every_breach_is_named_at_its_place() {
    for (more, line, what, help) in [
        ("[[file]]\npath = \"/etc/../shadow\"\ntext = \"\"\n", 6, "..", "absolute path"),
        ("[[file]]\npath = \"etc/motd\"\ntext = \"\"\n", 6, "etc/motd", "absolute path"),
        ("[[file]]\npath = \"/etc/motd\"\n", 6, "no content", "source"),
        ("[[file]]\npath = \"/etc/motd\"\ntext = \"\"\nsource = \"m\"\n", 7, "both", "keep one"),
        ("[[file]]\npath = \"/etc/motd\"\ntext = \"\"\nmode = \"0888\"\n", 8, "not a mode", "octal"),
        ("[[file]]\npath = \"/etc/motd\"\ntext = \"\"\nmode = \"rwx\"\n", 8, "not a mode", "octal"),
        ("[[file]]\npath = \"/etc/motd\"\ntext = \"\"\nowner = \"a b\"\n", 8, "neither", "root"),
        ("[agent]\npackage = \"../a.deb\"\nsha256 = \"@\"\n", 6, "leaves the recipe's directory", "beside"),
        ("[activation]\nfrom = \"aws\"\nregion = \"eu-west-1\"\n", 5, "needs `role`", "role"),
        ("[activation]\nfrom = \"aws\"\nrole = \"r\"\n", 5, "needs `region`", "region"),
        (
            "[activation]\nfrom = \"aws\"\nregion = \"eu-west-1\"\nrole = \"arn:aws:iam::123456789012:role/x/ssm\"\n",
            8,
            "an ARN",
            "role = \"ssm\"",
        ),
        ("[activation]\nfrom = \"aws\"\nregion = \"Frankfurt\"\nrole = \"r\"\n", 7, "not an AWS region", "eu-"),
        ("[activation]\nfrom = \"aws\"\nregion = \"eu-west-1\"\nrole = \"r\"\nexpires = \"31d\"\n", 9, "30 days", "7d"),
        ("[activation]\nfrom = \"file\"\ntags = { A = \"b\" }\n", 7, "no effect", "aws"),
        ("[strip]\nkeep = [\"wifi\"]\nalso = [\"wifi\"]\n", 7, "both kept and stripped", "one of the two"),
        ("[card]\nname = \"kiosk\"\n", 6, "same name", "{serial}"),
        ("[card]\nname = \"Kiosk {serial}\"\n", 6, "no host name", "63"),
        ("[card]\nname = \"{nr}\"\n", 6, "`{nr}`", "{serial}"),
    ] {
        let mistake = one(&more.replace('@', &"0".repeat(64)));
        assert_eq!(mistake.line, line, "{more}{mistake}");
        assert!(mistake.what.contains(what), "{more}{mistake}");
        assert!(mistake.help.contains(help), "{more}{}", mistake.help);
    }
    for source in ["http://example.com/a.img", "ftp://a/b", "https://example.com/a.img.xz", ""] {
        let found = mistakes(&format!("name = \"a\"\n[image]\nsource = \"{source}\"\n"));
        assert_eq!((found.len(), found[0].line, found[0].column), (1, 3, 10), "{source}");
    }
    let two = mistakes("name = \"Kiosk\"\n[image]\nsource = \"a\"\n[card]\nname = \"x\"\n");
    assert_eq!(two.iter().map(|m| m.line).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn a_secret_in_a_recipe_is_refused_and_not_repeated() {
    for text in [
        "[activation]\nfrom = \"file\"\ncode = \"hush+hush/hush\"\n",
        "activation = { from = \"file\", activation_code = \"hush+hush/hush\" }\n",
        "[[file]]\npath = \"/k\"\ntext = \"\"\"-----BEGIN PRIVATE KEY-----\nhush\n\"\"\"\n",
    ] {
        let found = mistakes(&format!("name = \"a\"\nimage = {{ source = \"a\" }}\n{text}"));
        let shown = format!("{found:?}");
        assert!(shown.contains("must not hold one") && !shown.contains("hush"), "{shown}");
        assert!(found[0].help.contains("git"), "{}", found[0].help);
    }
}

#[test]
fn what_is_no_recipe_file_at_all_is_said_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        recipe::load(&path).unwrap_err().to_string()
    };
    assert!(at("image", b"\xeb\x3c\x90").contains("not UTF-8"));
    assert!(at("huge", &vec![b'#'; (1 << 20) + 1]).contains("more than 1 MiB"));
    assert!(recipe::load(dir.path()).unwrap_err().to_string().contains("a directory"));
    let missing = recipe::load(&dir.path().join("none.toml")).unwrap_err();
    assert!(matches!(missing, RecipeError::Read { .. }) && missing.help().contains("recipe new"));
    assert!(recipe::load(Path::new("/dev/zero")).unwrap_err().to_string().contains("more than 1 MiB"));
}

#[test]
fn arbitrary_bytes_never_panic_the_reader() {
    // Every prefix and every single-byte change of a full recipe: the reader may refuse, it may not fall over.
    let text = recipe::template("kiosk");
    let path = Path::new("r.toml");
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        let _ = recipe::parse(&text[..end], path);
    }
    for (at, _) in text.char_indices().step_by(7) {
        for c in ["\"", "[", "{", "=", "\u{0}", "é", "\n"] {
            let mut changed = text.clone();
            changed.replace_range(at..at + text[at..].chars().next().unwrap().len_utf8(), c);
            let _ = recipe::parse(&changed, path);
        }
    }
    let _ = recipe::parse(&"[".repeat(1 << 16), path);
    let _ = recipe::parse(&format!("a = {}", "[".repeat(1 << 16)), path);
}

#[test]
fn the_new_recipe_passes_its_own_check_also_with_every_comment_taken_off() {
    recipe::parse(&recipe::template("kiosk"), Path::new("kiosk.toml")).unwrap();
    let keys: Vec<String> = recipe::schema_json()["properties"].as_object().unwrap().keys().cloned().collect();
    for key in keys {
        assert!(recipe::template("x").contains(&key), "the template does not mention {key}");
    }
}

#[test]
fn the_schema_describes_every_section_with_its_comment() {
    let schema = recipe::schema_json();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["image"].is_object());
    assert!(schema["$defs"]["Activation"]["properties"]["role"]["description"].as_str().unwrap().contains("IAM"));
}

#[test]
fn the_old_name_of_unused_space_counts_with_a_note_and_not_beside_the_new_one() {
    use cardsmith::recipe::schema::UnusedSpace;
    let of = |more: &str| recipe::parse(&format!("{GOOD}\n[card]\n{more}\n"), Path::new("fleet/kiosk.toml"));
    let said = |more: &str| {
        let loaded = of(more).unwrap();
        let notes: Vec<String> = loaded.outdated.iter().map(|note| format!("{note}; {}", note.help)).collect();
        (loaded.recipe.card.unused_space, notes.join("\n"))
    };
    for (value, meant) in [("discard", UnusedSpace::Discard), ("zero", UnusedSpace::Zero), ("keep", UnusedSpace::Keep)]
    {
        assert_eq!(said(&format!("unused-space = \"{value}\"")), (meant, String::new()));
    }
    let note = |value| {
        format!("fleet/kiosk.toml:7:1: `[card] blank` is called `unused-space` now; write `unused-space = \"{value}\"`")
    };
    assert_eq!(said("blank = \"zero\""), (UnusedSpace::Zero, note("zero")));
    assert_eq!(said("blank = \"leave\""), (UnusedSpace::Keep, note("keep")));
    let both = one("\n[card]\nunused-space = \"zero\"\nblank = \"zero\"\n");
    assert_eq!((both.line, both.column), (8, 1));
    assert!(both.what.contains("both are here"), "{}", both.what);
    // The old word belongs to the old key.
    assert!(one("\n[card]\nunused-space = \"leave\"\n").what.contains("`leave` is not a value"));
    assert!(one("\n[card]\nblank = \"leaf\"\n").what.contains("`leaf` is not a value"));
}

#[test]
fn an_old_key_of_a_base_is_no_contradiction_to_the_new_one_on_top_of_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("base.toml"), format!("{GOOD}\n[card]\nblank = \"zero\"\n")).unwrap();
    let path = dir.path().join("kiosk.toml");
    std::fs::write(&path, "extends = \"base.toml\"\nname = \"kiosk\"\n[card]\nunused-space = \"keep\"\n").unwrap();
    let loaded = recipe::load(&path).unwrap();
    assert_eq!(loaded.recipe.card.unused_space, recipe::schema::UnusedSpace::Keep);
    let notes: Vec<String> = loaded.outdated.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("base.toml:7:1: `[card] blank`"), "{notes:?}");
}
