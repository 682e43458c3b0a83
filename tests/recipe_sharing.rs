//! `extends`, `recipe check --resolved`, `recipe lock` and `--locked`: recipes that share, and builds that do not drift.

use std::fs;
use std::path::{Path, PathBuf};

use cardsmith::recipe::{self, RecipeError};

use crate::support::binary::{Home, names_in};
use crate::support::need_builder;
use crate::support::pi_image::PiImage;

const BASE: &str = r#"[image]
source = "base.img"
[strip]
keep = ["logs"]
also = ["wifi"]
[activation]
from = "aws"
region = "eu-west-1"
role = "ssm"
tags = { Fleet = "all", Site = "here" }
[[file]]
path = "/etc/motd"
source = "motd"
[[file]]
path = "/etc/issue"
text = "base"
mode = "0600"
"#;

const OWN: &str = r#"extends = "common/base.toml"
name = "kiosk"
[strip]
keep = []
[activation]
tags = { Site = "there" }
[[file]]
path = "/etc/issue"
text = "own"
[[file]]
path = "/etc/own"
text = "own"
"#;

fn put(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn shared(dir: &Path) -> PathBuf {
    put(dir, "common/base.toml", BASE);
    put(dir, "common/motd", "hello\n");
    put(dir, "kiosk.toml", OWN)
}

fn mistakes(path: &Path) -> Vec<recipe::Mistake> {
    match recipe::load(path) {
        Err(RecipeError::Mistakes { mistakes }) => mistakes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn later_wins_lists_go_by_name_and_paths_count_from_their_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = recipe::load(&shared(dir.path())).unwrap();
    let recipe = &loaded.recipe;
    assert_eq!(recipe.image.source, "common/base.img");
    assert!(recipe.strip.keep.is_empty() && recipe.strip.also.len() == 1);
    let activation = recipe.activation.as_ref().unwrap();
    assert_eq!(activation.role.as_deref(), Some("ssm"));
    assert_eq!((activation.tags["Fleet"].as_str(), activation.tags["Site"].as_str()), ("all", "there"));
    let files: Vec<_> = recipe.files.iter().map(|f| (f.path.as_str(), f.text.as_deref(), f.mode.as_str())).collect();
    let expected =
        [("/etc/motd", None, "0644"), ("/etc/issue", Some("own"), "0644"), ("/etc/own", Some("own"), "0644")];
    assert_eq!(files, expected, "an entry of the same path is replaced whole, where it stood");
    assert_eq!(recipe.files[0].source.as_deref(), Some(Path::new("common/motd")));
    assert_eq!(loaded.base.unwrap().path, Path::new("common/base.toml"));
    let manifest = serde_json::to_string(recipe).unwrap();
    assert!(!manifest.contains("extends"), "the manifest's recipe stands on its own: {manifest}");
}

#[test]
fn what_belongs_together_is_replaced_together() {
    let dir = tempfile::tempdir().unwrap();
    let digest = "ab".repeat(32);
    put(
        dir.path(),
        "base.toml",
        &format!(
            "name = \"a\"\n[image]\nsource = \"base.img\"\nsha256 = \"{digest}\"\n\
             [activation]\nfrom = \"aws\"\nregion = \"eu-west-1\"\nrole = \"r\"\n"
        ),
    );
    let own = "extends = \"base.toml\"\n[image]\nsource = \"own.img\"\n[activation]\nfrom = \"file\"\n";
    let loaded = recipe::load(&put(dir.path(), "own.toml", own)).unwrap();
    assert_eq!((loaded.recipe.image.source.as_str(), loaded.recipe.image.sha256), ("own.img", None));
    assert_eq!(loaded.recipe.activation.unwrap().role, None);
    let same = "extends = \"base.toml\"\n[activation]\nfrom = \"aws\"\nexpires = \"2d\"\n";
    let loaded = recipe::load(&put(dir.path(), "same.toml", same)).unwrap();
    assert!(loaded.recipe.image.sha256.is_some() && loaded.recipe.activation.unwrap().role.is_some());
}

#[test]
fn a_mistake_is_pointed_at_in_the_file_that_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let own = shared(dir.path());
    let base = dir.path().join("common/base.toml");
    for (text, line, what) in [
        (BASE.replace("role = \"ssm\"", "role = \"a b\""), 9, "not the name of an IAM role"),
        (BASE.replace("role =", "rolle ="), 9, "unknown key `rolle`"),
        (BASE.replace("region =", "region"), 8, "not valid TOML"),
        (BASE.replace("\"motd\"", "\"../motd\""), 13, "leaves the recipe's directory"),
        (BASE.replace("\"motd\"", "\"gone\""), 13, "cannot find"),
        (BASE.replace("role = \"ssm\"", "code = \"hush-hush\""), 9, "must not hold one"),
    ] {
        fs::write(&base, &text).unwrap();
        let found = mistakes(&own);
        assert_eq!((found[0].path.as_path(), found[0].line), (base.as_path(), line), "{found:?}");
        assert!(found[0].what.contains(what) && !format!("{found:?}").contains("hush"), "{found:?}");
    }
    fs::write(&base, BASE).unwrap();
    fs::write(&own, OWN.replace("text = \"own\"\n", "text = \"own\"\nmode = \"9\"\n")).unwrap();
    let found = mistakes(&own);
    assert_eq!(found.iter().map(|m| (m.path.as_path(), m.line)).collect::<Vec<_>>(), [(&*own, 10), (&*own, 14)]);
}

#[test]
fn circles_second_levels_and_missing_bases_are_one_clear_message() {
    let dir = tempfile::tempdir().unwrap();
    let rest = "name = \"a\"\n[image]\nsource = \"a.img\"\n";
    let own = put(dir.path(), "own.toml", &format!("extends = \"own.toml\"\n{rest}"));
    assert!(mistakes(&own)[0].what.contains("circle"));
    put(dir.path(), "sub/base.toml", "extends = \"../own.toml\"\n");
    fs::write(&own, format!("extends = \"sub/base.toml\"\n{rest}")).unwrap();
    let circle = &mistakes(&own)[0];
    assert!(circle.what.contains("circle") && circle.path.ends_with("sub/base.toml"), "{circle}");
    put(dir.path(), "sub/base.toml", "extends = \"third.toml\"\n");
    assert!(mistakes(&own)[0].what.contains("one level only"));
    for (extends, what) in [
        ("\"none.toml\"", "cannot be used"),
        ("\"sub\"", "a directory"),
        ("[\"a.toml\"]", "one other recipe"),
        ("\"\"", "one other recipe"),
    ] {
        fs::write(&own, format!("extends = {extends}\n{rest}")).unwrap();
        let found = mistakes(&own);
        assert_eq!((found.len(), found[0].line), (1, 1));
        assert!(found[0].what.contains(what), "{}", found[0]);
    }
}

#[test]
fn the_resolved_recipe_says_where_each_value_comes_from_and_is_a_recipe_again() {
    let (dir, home) = (tempfile::tempdir().unwrap(), Home::new());
    let own = shared(dir.path());
    let run = home.run(["recipe".as_ref(), "check".as_ref(), "--resolved".as_ref(), own.as_os_str()]).succeeds();
    let (own_name, base) = (own.display().to_string(), dir.path().join("common/base.toml").display().to_string());
    for line in [
        format!("name = \"kiosk\"  # {own_name}:2"),
        format!("role = \"ssm\"  # {base}:9"),
        format!("Site = \"there\"  # {own_name}:6"),
        format!("source = \"common/motd\"  # {base}:13"),
        "nopasswd = \"remove\"  # default".to_owned(),
    ] {
        assert!(run.out.lines().any(|found| found == line), "{line} is not in\n{}", run.out);
    }
    let again = recipe::load(&put(dir.path(), "again.toml", &run.out)).unwrap();
    assert_eq!(again.recipe, recipe::load(&own).unwrap().recipe);
    let args = ["--json".as_ref(), "recipe".as_ref(), "check".as_ref(), "--resolved".as_ref(), own.as_os_str()];
    let settings = home.run(args).succeeds().named("setting");
    let role = settings.iter().find(|s| s["key"] == "activation.role").unwrap();
    assert_eq!((role["value"].as_str(), role["from"]["line"].as_u64()), (Some("ssm"), Some(9)));
}

#[test]
fn a_lock_names_what_differs_and_locked_refuses_it() {
    if !need_builder() {
        return;
    }
    let (image, home) = (PiImage::fresh().build(), Home::new());
    put(image.dir(), "motd", "hello\n");
    let base = put(image.dir(), "common.toml", "[sudo]\nlockout = \"accept\"\n");
    let own = image.recipe("[[file]]\npath = \"/etc/motd\"\nsource = \"motd\"\n");
    let text = format!("extends = \"common.toml\"\n{}", fs::read_to_string(&own).unwrap());
    fs::write(&own, &text).unwrap();
    let out = image.beside("golden.img");
    let golden =
        || home.run(["golden".as_ref(), "--locked".as_ref(), own.as_os_str(), "--out".as_ref(), out.as_os_str()]);

    golden().fails_with(2).says("there is no lock file").says("recipe lock");
    let lock = || home.run(["recipe".as_ref(), "lock".as_ref(), own.as_os_str()]).succeeds();
    lock();
    let file = recipe::lock_path(&own);
    let first = fs::read(&file).unwrap();
    lock();
    assert_eq!(fs::read(&file).unwrap(), first, "the same for the same files");
    golden().succeeds();
    assert!(out.exists());
    fs::remove_file(&out).unwrap();
    for name in names_in(image.dir()).iter().filter(|name| name.starts_with("golden.img.") || name.contains("manifest"))
    {
        fs::remove_file(image.beside(name)).unwrap();
    }

    for (changed, what) in [(image.beside("motd"), "motd has sha256"), (base.clone(), "common.toml has sha256")] {
        let before = fs::read(&changed).unwrap();
        fs::write(&changed, [&before[..], b"\n"].concat()).unwrap();
        golden().fails_with(2).says(what).says("recipe lock");
        let card = image.beside("card.img");
        let args = ["flash".as_ref(), "--locked".as_ref(), own.as_os_str(), "--to".as_ref(), card.as_os_str()];
        home.run(args).fails_with(2).says(what);
        assert!(!out.exists() && !card.exists());
        fs::write(&changed, before).unwrap();
    }
    fs::write(&own, text.replace("/etc/motd\"\nsource = \"motd\"", "/etc/motd\"\ntext = \"\"")).unwrap();
    golden().fails_with(2).says("motd is locked, and the recipe does not refer to it");
    fs::write(&own, &text).unwrap();
    fs::write(&file, "version = 9\n[files]\n").unwrap();
    golden().fails_with(2).says("version 9");
    fs::write(&file, &first).unwrap();
    // The image last: it is large, and nobody puts it back.
    let mut bytes = fs::read(image.path()).unwrap();
    bytes[700] ^= 1;
    fs::write(image.path(), bytes).unwrap();
    golden().fails_with(2).says("has sha256").says("locked is");
    assert!(!out.exists());
}
