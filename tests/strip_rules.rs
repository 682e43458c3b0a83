//! Rules of a recipe's own, `[[strip.rule]]`: which are refused, what each fate does in plan and golden image, and that the
//! audit finds what they name.

use std::path::Path;

use cardsmith::golden::Manifest;
use cardsmith::prepare::{Plan, Severity};
use cardsmith::recipe::{self, RecipeError};
use cardsmith::strip::{OWN_RULE, RemovePaths};

use crate::support::binary::Home;
use crate::support::host_tree::{self, HostTree, carry_out};
use crate::support::oracle;
use crate::support::pi_image::{Needle, PiImage};
use crate::support::volume::Volume;
use crate::support::{need_builder, need_root};

const RECIPE: &str = "name = \"kiosk\"\n\n[image]\nsource = \"base.img\"\n\n";

fn rule(path: &str, fate: &str) -> String {
    format!("[[strip.rule]]\npath = \"{path}\"\nwhat = \"the Acme token\"\nfate = \"{fate}\"\n")
}

/// What is said of a recipe with this in it; empty where it is good.
fn mistakes(more: &str) -> Vec<String> {
    match recipe::parse(&format!("{RECIPE}{more}"), Path::new("kiosk.toml")) {
        Ok(_) => Vec::new(),
        Err(RecipeError::Mistakes { mistakes }) => {
            mistakes.iter().map(|mistake| format!("{mistake}; {}", mistake.help)).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn paths_that_lead_nowhere_or_mean_everything_are_refused_with_their_line() {
    for (path, says) in [
        ("", "absolute"),
        ("home/pi/token", "absolute"),
        ("~pi/token", "absolute"),
        ("boot:token", "absolute"),
        ("/home/../etc/shadow", ".."),
        ("~/../other", ".."),
        ("boot:/../etc", ".."),
        ("/", "whole"),
        ("//.", "whole"),
        ("~/", "whole"),
        ("~", "absolute"),
        ("boot:/", "whole"),
        ("/*", "everything"),
        ("/*/*", "everything"),
        ("/home/*", "everything"),
        ("/*/shadow", "everything"),
        ("/etc/**", "everything"),
        ("~/*", "everything"),
        ("~/**", "everything"),
        ("boot:/*", "everything"),
        ("/etc/passwd", "no system can be without"),
        ("/etc/shad*", "no system can be without"),
        ("/usr", "no system can be without"),
        ("/home", "no system can be without"),
        ("boot:/config.txt", "no system can be without"),
    ] {
        let found = mistakes(&rule(path, "remove"));
        assert_eq!(found.len(), 1, "{path:?}: {found:?}");
        assert!(found[0].starts_with("kiosk.toml:7:8: ") && found[0].contains(says), "{path:?}: {}", found[0]);
        assert!(found[0].contains("`~/…`"), "{}", found[0]);
    }
    for path in
        ["/home/*/token", "/opt/acme/*", "/opt/acme", "~/x", "~/x/*", "~/.cache/acme-*", "boot:/x", "boot:/acme/**"]
    {
        assert_eq!(mistakes(&rule(path, "remove")), [""; 0], "{path}");
    }
    assert_eq!(mistakes(&rule("/etc/passwd", "name")), [""; 0], "what is only named takes nothing away");
    assert_eq!(mistakes("[strip]\nremove = [\"/etc/fstab\"]\n").len(), 1);
}

#[test]
fn a_rule_needs_a_path_a_few_words_and_a_fate_that_there_is() {
    let section = |lines: &str| mistakes(&format!("[[strip.rule]]\n{lines}\n")).join("\n");
    assert_eq!(section("path = \"/x/y\"\nwhat = \"a token\""), "", "`remove` needs not be said");
    assert!(section("path = \"/x/y\"").contains("what"));
    assert!(section("what = \"a token\"").contains("path"));
    for what in ["", "  ", "two\\nlines", &"long".repeat(60)] {
        assert!(section(&format!("path = \"/x/y\"\nwhat = \"{what}\"")).contains("a few words"), "{what:?}");
    }
    let fate = section("path = \"/x/y\"\nwhat = \"a token\"\nfate = \"burn\"");
    assert!(["remove", "clear", "empty", "name"].iter().all(|known| fate.contains(known)), "{fate}");
    assert!(section("path = \"/x/y\"\nwhat = \"a token\"\nfat = \"name\"").contains("unknown key `fat`"));
    // The second of two is pointed at.
    let two = mistakes(&format!("{}{}", rule("/x/y", "name"), rule("/", "name")));
    assert!(two.len() == 1 && two[0].starts_with("kiosk.toml:11:8: "), "{two:?}");
}

fn plan_of(rules: &str, root: &HostTree, boot: &HostTree) -> Plan {
    let loaded = recipe::parse(&format!("{RECIPE}{rules}"), Path::new("kiosk.toml")).unwrap();
    host_tree::proposed(&RemovePaths::new(&loaded.recipe.strip), root, boot).unwrap()
}

#[test]
fn each_fate_does_what_it_says_in_every_home_and_on_the_boot_partition() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    root.file("/home/pi/.acme/token", 0o600, "t")
        .file("/home/ops/.acme/token", 0o600, "t")
        .file("/opt/acme/state/a", 0o600, "t")
        .file("/opt/acme/state/deep/b", 0o600, "t")
        .file("/etc/acme-1.conf", 0o640, "t")
        .file("/etc/acme-2.conf", 0o640, "")
        .file("/srv/acme/enrolled", 0o600, "t")
        .file("/srv/acme/other", 0o600, "t");
    boot.file("/acme.txt", 0o755, "t").file("/cmdline.txt", 0o755, "x");
    let rules = [
        rule("~/.acme", "remove"),
        rule("/opt/acme/state", "clear"),
        rule("/etc/acme-*.conf", "empty"),
        rule("/srv/acme/enrolled", "name"),
        rule("boot:/acme.txt", "remove"),
        rule("/srv/acme/mistyped", "remove"),
    ]
    .concat();
    let plan = plan_of(&rules, &root, &boot);
    let edited: Vec<String> = plan.edits.iter().map(|edit| edit.path.to_string()).collect();
    let expected = [
        "/home/ops/.acme",
        "/home/pi/.acme",
        "/opt/acme/state/a",
        "/opt/acme/state/deep",
        "/etc/acme-1.conf",
        "/acme.txt",
    ];
    assert_eq!(edited, expected);
    for edit in &plan.edits {
        assert_eq!((&*edit.reason.text, edit.before.is_none()), ("the Acme token", true), "{}", edit.path);
        assert!(edit.reason.source.contains("[[strip.rule]]"), "{}", edit.reason.source);
    }
    let warned: Vec<_> = plan.findings.iter().filter(|found| found.severity == Severity::Warning).collect();
    assert_eq!((warned.len(), warned[0].rule), (1, Some(OWN_RULE)));
    assert!(
        warned[0].text.contains("/srv/acme/enrolled") && warned[0].text.contains("the Acme token"),
        "{}",
        warned[0].text
    );
    let notes: Vec<_> = plan.findings.iter().filter(|found| found.severity == Severity::Note).collect();
    assert!(notes.len() == 1 && notes[0].text.contains("/srv/acme/mistyped"), "a path that means nothing is said");

    carry_out(&plan, &root, &boot);
    let gone = ["/home/pi/.acme", "/home/ops/.acme", "/opt/acme/state/a", "/opt/acme/state/deep"];
    assert!(gone.iter().all(|path| !root.has(path)) && !boot.has("/acme.txt"));
    assert!(root.has("/opt/acme/state") && root.has("/srv/acme/enrolled") && boot.has("/cmdline.txt"));
    assert_eq!((root.text_of("/etc/acme-1.conf").as_deref(), root.mode("/etc/acme-1.conf")), (Some(""), 0o640));
    assert_eq!(plan_of(&rules, &root, &boot).edits.len(), 0, "stripping twice strips nothing more");
}

const TOKEN: &str = "acme-7f3b9c1d5e2a4860b1c3d5e7";

#[test]
fn a_golden_image_holds_nothing_of_what_went_and_the_audit_finds_what_is_named() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::fresh()
        .file("/home/pi/.acme/token", 0o600, format!("{TOKEN}-home"))
        .file("/opt/acme/state/a", 0o600, format!("{TOKEN}-state"))
        .file("/etc/acme.conf", 0o640, format!("{TOKEN}-conf"))
        .file("/srv/acme/enrolled", 0o600, format!("{TOKEN}-stays"))
        .boot_file("acme.txt", format!("{TOKEN}-boot"))
        .build();
    let rules = [
        rule("~/.acme/token", "remove"),
        rule("/opt/acme/state", "clear"),
        rule("/etc/acme.conf", "empty"),
        rule("/srv/acme/enrolled", "name"),
        rule("boot:/acme.txt", "remove"),
    ]
    .concat();
    let recipe = image.recipe(&format!("{}{rules}", crate::golden::ACCEPT));
    let (home, out) = (Home::new(), image.beside("golden.img"));
    let places = |image: &Path, recipe: &[&str]| {
        // Strictly: so that a warning alone is a reason to fail.
        let run = home.run(["--json", "audit", "--strict", image.to_str().unwrap()].iter().chain(recipe)).exits(3);
        let findings = run.named("finding");
        let own = findings.iter().filter(|finding| finding["rule"] == OWN_RULE);
        let mut places: Vec<String> = own.map(|finding| finding["place"].as_str().unwrap().to_owned()).collect();
        places.sort();
        places
    };
    let with_recipe = ["--recipe", recipe.to_str().unwrap()];
    let planted = ["/etc/acme.conf", "/home/pi/.acme/token", "/opt/acme/state", "/srv/acme/enrolled", "boot:/acme.txt"];
    assert_eq!(places(image.path(), &with_recipe), planted);
    assert_eq!(places(image.path(), &[]), [""; 0], "without the recipe nobody knows of them");

    let plan = home.run(["plan", recipe.to_str().unwrap()]).succeeds();
    assert!(["/srv/acme/enrolled", "/home/pi/.acme/token"].iter().all(|path| plan.out.contains(path)), "{}", plan.out);
    plan.never_says(TOKEN);
    home.run(["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds().never_says(TOKEN);
    assert_eq!(places(&out, &with_recipe), ["/srv/acme/enrolled"], "what stays is found again");

    oracle::assert_clean_image(&out);
    let needle = |end: &str| Needle { name: "acme token".to_owned(), bytes: format!("{TOKEN}-{end}").into_bytes() };
    assert_eq!(oracle::find_bytes(&out, &["home", "state", "conf", "boot"].map(needle)), []);
    assert_ne!(oracle::find_bytes(&out, &[needle("stays")]), []);
    let tree = oracle::kernel_tree(&Volume::root_of(&out));
    assert!(tree.contains_key("/opt/acme/state") && tree.contains_key("/etc/acme.conf"));
    let manifest = Manifest::read(&image.beside("golden.manifest.json")).unwrap();
    let named: Vec<_> = manifest.findings.iter().filter(|found| found.rule.as_deref() == Some(OWN_RULE)).collect();
    assert!(named.len() == 1 && named[0].text.contains("/srv/acme/enrolled"), "{named:?}");
}
