//! The loop over the strip table: every rule's example, at every place of the rule, in an image. The plan tells its fate, the
//! audit fires on the image and is silent on one without it, and the golden image does not hold it, or says that it does.

use std::collections::{BTreeMap, BTreeSet};

use cardsmith::digest::Sha256Digest;
use cardsmith::golden::{self, Manifest, Settings};
use cardsmith::prepare::Class;
use cardsmith::progress::Silent;
use cardsmith::strip::{self, Also, Counts, Example, Fate, Keep, Rule};

use crate::support::binary::Home;
use crate::support::need_builder;
use crate::support::oracle;
use crate::support::pi_image::{Needle, PiImage};

/// What the machine was called: in the examples of rules about names.
pub(crate) const HOST: &str = "kiosk-old";

/// So many examples have room in the stand-in.
const MOST: usize = 300;

/// One example at one place.
pub(crate) struct Planted {
    pub rule: &'static Rule,
    /// Where the file is: `boot:/…` or `/…`.
    pub file: String,
    /// What the rule names: the file, or a directory above it.
    pub named: String,
    pub content: Vec<u8>,
}

/// A place of a rule, with names where its stars are.
fn concrete(place: &str) -> String {
    // As in every Debian since bookworm, /lib is a link.
    let place = place.strip_prefix("/lib/").map_or(place.to_owned(), |below| format!("/usr/lib/{below}"));
    let place = place.strip_prefix("~/").map_or(place.clone(), |below| format!("/home/pi/{below}"));
    // FAT and everybody else takes these.
    place.replace("**", "deep/down/file").replace("mi-*", "mi-0123456789abcdef0").replace('*', "x1")
}

fn planted(rule: &'static Rule, place: &str) -> Planted {
    let named = concrete(place);
    let (file, content) = match rule.example {
        Example::File(content) => (named.clone(), content.to_vec()),
        Example::Inside(below, content) => (format!("{named}/{below}"), content.to_vec()),
        Example::Link(target) => (named.clone(), target.as_bytes().to_vec()),
    };
    Planted { rule, file, named, content }
}

/// Whether both can be in one image and still be told apart.
fn agree(a: &Planted, b: &Planted) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    if a.file == b.file {
        return a.rule.id == b.rule.id;
    }
    // What the kernel is told decides whether the script is a leftover.
    let both = |one: &str, other: &str| (a.file == one && b.file == other) || (a.file == other && b.file == one);
    if both("boot:/cmdline.txt", "boot:/firstrun.sh") {
        return false;
    }
    // A file is no directory, and what is in a directory shares its fate.
    !below(&a.file, &b.file) && !below(&b.file, &a.file) && !below(&a.named, &b.named) && !below(&b.named, &a.named)
        // A directory that holds things of two rules counts for both.
        && (a.named != b.named || a.rule.id == b.rule.id)
}

/// As few images as there must be to hold every example at every place.
fn worlds() -> Vec<Vec<Planted>> {
    worlds_of(|rule| rule.places)
}

/// The same for some of the places of each rule.
pub(crate) fn worlds_of(places: impl Fn(&'static Rule) -> &'static [&'static str]) -> Vec<Vec<Planted>> {
    let mut worlds: Vec<Vec<Planted>> = Vec::new();
    for rule in strip::rules() {
        for place in places(rule) {
            let one = planted(rule, place);
            let roomy = worlds.iter_mut().filter(|world| world.len() < MOST);
            match roomy.into_iter().find(|world| world.iter().all(|other| agree(other, &one))) {
                Some(world) => world.push(one),
                None => worlds.push(vec![one]),
            }
        }
    }
    worlds
}

fn build(world: &[Planted]) -> PiImage {
    let mut spec = PiImage::fresh().file("/etc/hostname", 0o644, format!("{HOST}\n"));
    for one in world {
        spec = match (one.file.strip_prefix("boot:"), one.rule.example) {
            (Some(path), _) => spec.boot_file(path.trim_start_matches('/'), &one.content),
            (None, Example::Link(target)) => spec.link(&one.file, target),
            (None, _) => spec.file(&one.file, 0o600, &one.content),
        };
    }
    // Only what starts a first-boot script keeps it: one that nothing starts is a leftover, and has a rule of its own.
    let starts = |one: &Planted| one.file == "boot:/firstrun.sh" && one.rule.id != "spent-first-boot-script";
    if world.iter().any(starts) {
        let words = "console=tty1 root=PARTUUID=4f2a9c31-02 rootfstype=ext4 rootwait systemd.run=/boot/firstrun.sh\n";
        spec = spec.boot_file("cmdline.txt", words);
    }
    spec.build()
}

/// Whether it is one machine's own, so that what it holds may stand nowhere else: settings and code may.
fn is_own(rule: &Rule) -> bool {
    matches!(rule.class, Class::Secret | Class::Identity | Class::Log)
}

/// Whether a sample of a file, or the beginning of one of its lines or values, was searched for in the golden image.
fn is_searched_for(content: &[u8], searched: &BTreeSet<Sha256Digest>) -> bool {
    let upto = |bytes: &[u8]| Sha256Digest::of(&bytes[..bytes.len().min(40)]);
    let last = content.len().saturating_sub(40);
    let mut pieces: Vec<Sha256Digest> = [0, last / 2, last].iter().map(|&at| upto(&content[at..])).collect();
    for line in content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        pieces.push(upto(line));
        let value = line.iter().position(|byte| b"=:".contains(byte)).map(|at| line[at + 1..].trim_ascii());
        pieces.extend(value.map(|value| upto(value.trim_ascii_start())));
    }
    pieces.iter().any(|piece| searched.contains(piece))
}

/// The longest piece of an example without a line's end, at most 60 bytes of it: what must not be found again.
pub(crate) fn telling(content: &[u8]) -> &[u8] {
    let longest = content.split(|byte| b"\r\n\0".contains(byte)).max_by_key(|line| line.len()).unwrap_or_default();
    &longest[..longest.len().min(60)]
}

/// Two halves of the images, for two processors.
#[test]
fn every_rule_is_told_of_by_plan_and_audit_and_what_goes_is_gone() {
    in_every_other_image(0);
}

#[test]
fn every_rule_is_told_of_by_plan_and_audit_and_what_goes_is_gone_in_the_other_half() {
    in_every_other_image(1);
}

fn in_every_other_image(half: usize) {
    if !need_builder() {
        return;
    }
    let home = Home::new();
    let mut wrong = BTreeSet::new();
    for (number, world) in worlds().iter().enumerate().skip(half).step_by(2) {
        let image = build(world);
        let found = audit(&home, image.path());
        let recipe = cardsmith::recipe::load(&image.recipe("[sudo]\nlockout = \"accept\"\n")).unwrap();
        let settings = Settings { cache_dir: image.beside("cache"), ..Settings::default() };
        let prepared = golden::prepare(recipe, &settings, &Silent).unwrap();
        let blockers: Vec<_> =
            prepared.plan().findings.iter().filter(|f| f.severity == cardsmith::prepare::Severity::Blocker).collect();
        assert!(blockers.is_empty(), "{number}: {blockers:?}");
        with_choices(&image, world, &mut |rule, file, what| {
            wrong.insert(format!("{number} {} at {file}: {what}", rule.id));
        });
        let outputs = prepared.build(&Silent).unwrap().write(&image.beside("golden.img"), false, &Silent).unwrap();
        let manifest = Manifest::read(&outputs.manifest).unwrap();
        let left = audit(&home, &outputs.image);
        let searched: BTreeSet<Sha256Digest> = manifest.traces.digests.iter().copied().collect();
        for one in world {
            let (rule, file) = (one.rule, &one.file);
            let mut complain = |what: &str| {
                wrong.insert(format!("{} {} at {file}: {what}", number, rule.id));
            };
            let fires = |findings: &BTreeMap<String, BTreeSet<String>>| {
                findings.get(rule.audited_as).is_some_and(|places| {
                    places.iter().any(|place| {
                        // A rule that names the directory has no need to name what is in it.
                        let is_above = one.named.starts_with(&format!("{place}/"));
                        *place == one.named
                            || file == place
                            || is_above
                            || place.starts_with(&format!("{}/", one.named))
                    })
                })
            };
            if rule.fate == Fate::Wanted {
                if fires(&found) {
                    complain("the audit tells of what is right");
                }
                continue;
            }
            // A rule that is written by hand knows its subject; of the halves and copies beside it, it need not speak.
            let by_hand = rule.severity.is_none() && concrete(rule.places[0]) != one.named;
            if !fires(&found) && !by_hand {
                complain("the audit of the image is silent");
            }
            let path = file.strip_prefix("boot:").unwrap_or(file);
            let is_edited = manifest.edits.iter().any(|edit| {
                path == edit.path || path.strip_prefix(edit.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            match rule.fate {
                Fate::Removed | Fate::Cleared | Fate::Emptied | Fate::Part => {
                    if !is_edited {
                        complain("no edit");
                    }
                    if fires(&left) {
                        complain("the audit of the golden image finds it");
                    }
                    if is_own(rule) && !is_searched_for(&one.content, &searched) {
                        complain("nothing of it was searched for");
                    }
                    let needle = Needle { name: rule.id.to_owned(), bytes: telling(&one.content).to_vec() };
                    let elsewhere = world.iter().any(|other| {
                        matches!(other.rule.fate, Fate::Stays | Fate::Named | Fate::Wanted)
                            && memchr::memmem::find(&other.content, &needle.bytes).is_some()
                    });
                    if needle.bytes.len() >= 8
                        && !elsewhere
                        && !oracle::find_bytes(&outputs.image, &[needle]).is_empty()
                    {
                        complain("its bytes are in the golden image");
                    }
                }
                Fate::Stays | Fate::Named => {
                    if is_edited {
                        complain("it was to stay, and there is an edit");
                    }
                    let named = manifest.findings.iter().find(|finding| finding.rule.as_deref() == Some(rule.id));
                    match named {
                        None => complain("the manifest does not name it"),
                        Some(line) if !line.text.contains("keep = [") => {
                            complain("the line does not say how to accept it")
                        }
                        Some(_) => {}
                    }
                    if !fires(&left) {
                        complain("the audit of the golden image is silent");
                    }
                }
                Fate::Wanted => {}
            }
        }
    }
    let lines: Vec<_> = wrong.iter().map(String::as_str).collect();
    assert!(lines.is_empty(), "{} wrong:\n{}", lines.len(), lines.join("\n"));
}

/// The recipe's words do what they say: `also` takes what would stay, or stops for what only a person can take out; what is
/// kept is left alone, and nobody is told of it again.
fn with_choices(image: &PiImage, world: &[Planted], wrong: &mut dyn FnMut(&Rule, &str, &str)) {
    let plan = |strip: String| {
        let recipe = image.recipe(&format!("[sudo]\nlockout = \"accept\"\n[strip]\n{strip}\n"));
        let settings = Settings { cache_dir: image.beside("cache"), ..Settings::default() };
        golden::prepare(cardsmith::recipe::load(&recipe).unwrap(), &settings, &Silent).unwrap()
    };
    let words = |names: Vec<&str>| format!("{:?}", names);
    let (also, keep) =
        (plan(format!("also = {}", words(Also::names()))), plan(format!("keep = {}", words(Keep::names()))));
    for one in world {
        let (rule, file) = (one.rule, one.file.as_str());
        let path = file.strip_prefix("boot:").unwrap_or(file);
        let edits = also.plan().edits.iter().map(|edit| edit.path.to_string());
        let goes = edits
            .into_iter()
            .any(|edit| path == edit || path.strip_prefix(&edit).is_some_and(|rest| rest.starts_with('/')));
        let blocks =
            also.plan().findings.iter().any(|finding| {
                finding.severity == cardsmith::prepare::Severity::Blocker && finding.text.contains(path)
            });
        match rule.fate {
            Fate::Stays if !goes && !blocks => wrong(rule, file, "`also` leaves it"),
            Fate::Named if !goes && !blocks => wrong(rule, file, "`also` leaves it, and does not stop"),
            _ => {}
        }
        let kept_goes = keep
            .plan()
            .edits
            .iter()
            .map(|edit| edit.path.to_string())
            .any(|edit| path == edit || path.strip_prefix(&edit).is_some_and(|rest| rest.starts_with('/')));
        if kept_goes && !rule.names.is_empty() {
            wrong(rule, file, "it is kept, and goes");
        }
        if keep.plan().findings.iter().any(|finding| finding.rule == Some(rule.id)) {
            wrong(rule, file, "it is kept, and told of again");
        }
    }
}

/// What an audit found: by rule, the places.
fn audit(home: &Home, image: &std::path::Path) -> BTreeMap<String, BTreeSet<String>> {
    let run = home.run(["--json", "audit", image.to_str().unwrap()]);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let events = run.named("finding");
    assert!(!run.named("audit").is_empty(), "no answer of the audit");
    for finding in events {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        found.entry(text("rule")).or_default().insert(text("place"));
    }
    found
}

#[test]
fn what_is_kept_by_the_rule_for_one_program_does_not_go_by_one_that_catches_what_is_left() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh()
        .file("/home/pi/.bash_history", 0o600, "history of a long life\n")
        .file("/home/pi/.config/rclone/rclone.conf", 0o600, "[x]\ntoken = 9c6f21d40b7e4f53a1c87d2e\n")
        .build();
    let recipe = image.recipe("[strip]\nkeep = [\"bash-history\", \"rclone\"]\n");
    let home = Home::new();
    let plan = home.run(["--json", "plan", recipe.to_str().unwrap()]);
    let told = format!("{:?}{:?}", plan.named("edit"), plan.named("finding"));
    assert!(!told.contains("bash_history") && !told.contains("rclone.conf"), "{told}");
    let audit = home.run(["--json", "audit", image.path().to_str().unwrap(), "--recipe", recipe.to_str().unwrap()]);
    for finding in audit.named("finding") {
        let place = finding["place"].as_str().unwrap();
        assert!(finding["allowed"] == true || !place.starts_with("/home/pi/"), "{finding}");
    }
}

#[test]
fn an_image_as_it_is_published_has_nothing_to_tell_of() {
    if !need_builder() {
        return;
    }
    let home = Home::new();
    let image = PiImage::fresh().build();
    let ids: BTreeSet<&str> = strip::rules().map(|rule| rule.id).collect();
    let found = audit(&home, image.path());
    let told: Vec<_> =
        found.iter().filter(|(rule, _)| ids.contains(rule.as_str()) || rule.contains("secret")).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_system_of_real_packages_has_nothing_to_tell_of() {
    if !need_builder() {
        return;
    }
    let found = audit(&Home::new(), &crate::support::guest::pi_image(false));
    let told: Vec<_> = found.keys().filter(|rule| !rule.starts_with("sudo-") && *rule != "ssm-agent-users").collect();
    assert!(told.is_empty(), "{told:?} {found:?}");
}

#[test]
fn the_table_keeps_its_own_rules() {
    let mut ids = BTreeSet::new();
    for rule in strip::rules() {
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(!rule.what.is_empty() && !rule.source.is_empty() && !rule.places.is_empty(), "{}", rule.id);
        assert!(!rule.what.ends_with('.'), "{}", rule.id);
        let content = match rule.example {
            Example::File(content) | Example::Inside(_, content) => content,
            Example::Link(target) => target.as_bytes(),
        };
        assert!(rule.fate == Fate::Wanted || content.len() >= 8, "{}: the example says too little", rule.id);
        if let Counts::Text(expressions) = rule.counts {
            let text = String::from_utf8_lossy(content);
            assert!(strip::any_matches(expressions, &text), "{}: its expressions do not find its example", rule.id);
            for expression in expressions {
                let regex = regex_lite::RegexBuilder::new(expression).case_insensitive(true).multi_line(true).build();
                assert!(regex.is_ok(), "{}: {expression}", rule.id);
            }
        }
        if matches!(rule.fate, Fate::Stays | Fate::Named) {
            assert!(!rule.names.is_empty(), "{} stays, and no word of a recipe accepts it", rule.id);
        }
        if rule.fate != Fate::Wanted {
            let told = cardsmith::audit::find_rule(rule.audited_as);
            assert!(told.is_some(), "{}: no rule of the audit is called {}", rule.id, rule.audited_as);
        }
    }
}
