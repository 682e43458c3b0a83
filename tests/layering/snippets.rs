//! The reader itself, on small crates: that it finds what it must find, and nothing else.

use super::files::{arrows, told_circles};
use super::rooms::{disagreements, ready_table};
use super::source::{Tree, read};
use super::words::words;

fn crate_of(files: &[(&str, &str)]) -> Tree {
    let files: Vec<_> = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    read(&files)
}

/// All arrows between the files, as messages tell them.
fn told_arrows(files: &[(&str, &str)]) -> Vec<String> {
    arrows(&crate_of(files)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_circle_is_told_with_its_files_lines_and_names() {
    let tree = crate_of(&[
        ("src/a/mod.rs", "mod left;\nmod right;\n"),
        ("src/a/left.rs", "use super::right::{\n    self,\n    Right,\n};\npub struct Left;\n"),
        ("src/a/right.rs", "pub struct Right;\nfn f() { crate::a::left::Left; }\n"),
    ]);
    let told = [
        "a circle of 2 files: src/a/left.rs, src/a/right.rs",
        "    src/a/left.rs:3 uses Right of src/a/right.rs",
        "    src/a/right.rs:2 uses Left of src/a/left.rs",
    ];
    assert_eq!(told_circles(&tree), [told.join("\n")]);
}

#[test]
fn a_circle_of_three_is_one_circle_and_a_bystander_is_not_in_it() {
    let told = told_circles(&crate_of(&[
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "use crate::c::C; pub struct B;"),
        ("src/c.rs", "use crate::{a::A, d::D}; pub struct C;"),
        ("src/d.rs", "pub struct D;"),
        ("src/e.rs", "use crate::a::A;"),
    ]));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("a circle of 3 files: src/a.rs, src/b.rs, src/c.rs\n"), "{}", told[0]);
}

#[test]
fn what_only_leads_down_is_no_circle() {
    let files =
        [("src/a.rs", "pub struct A;"), ("src/b.rs", "use crate::a::A;"), ("src/c.rs", "use super::{a::A, b};")];
    assert!(told_circles(&crate_of(&files)).is_empty());
}

#[test]
fn re_exports_are_followed_to_the_file_that_defines() {
    let door = "mod c; mod d; mod e;\npub use c::C as See;\npub(crate) use d::*;\npub use e::e;\n";
    let used = [
        ("src/b/mod.rs", door),
        ("src/b/c.rs", "pub struct C;"),
        ("src/b/d.rs", "pub enum D { One }"),
        ("src/b/e.rs", "pub fn e() {}"),
        ("src/a.rs", "use crate::b::{D::One, See};\nfn f() { crate::b::e(); }"),
    ];
    let told =
        ["src/a.rs:1 uses C of src/b/c.rs", "src/a.rs:1 uses D of src/b/d.rs", "src/a.rs:2 uses e of src/b/e.rs"];
    assert_eq!(told_arrows(&used), told);
}

#[test]
fn a_door_that_uses_what_it_passes_on_depends_on_it() {
    let inside = [("src/a/b.rs", "pub struct B; pub fn b() {}"), ("src/a/c.rs", "pub struct C;")];
    let passing = ("src/a/mod.rs", "mod b;\nmod c;\npub use b::{B, b};\npub use c::C;\nenum E { B(u8), C }\n");
    assert!(told_arrows(&[inside[0], inside[1], passing]).is_empty());

    let using =
        ("src/a/mod.rs", "mod b;\nmod c;\npub use b::{B, b};\nuse c::C;\nfn f() -> B { b() }\nfn g() { b::b() }\n");
    let told = [
        "src/a/mod.rs:5 uses B of src/a/b.rs",
        "src/a/mod.rs:5 uses b of src/a/b.rs",
        "src/a/mod.rs:4 uses C of src/a/c.rs",
    ];
    assert_eq!(told_arrows(&[inside[0], inside[1], using]), told);
}

#[test]
fn a_module_counts_by_what_is_taken_out_of_it() {
    let below = ("src/a/b.rs", "pub fn open() {}");
    let idle = ("src/a/c.rs", "use super::b;\n");
    let door = ("src/a/mod.rs", "mod b; mod c;");
    assert!(told_arrows(&[door, below, idle]).is_empty());
    let busy = ("src/a/c.rs", "use super::b as it;\n\nfn f() { it::open() }\n");
    assert_eq!(told_arrows(&[door, below, busy]), ["src/a/c.rs:3 uses open of src/a/b.rs"]);
}

#[test]
fn inline_modules_and_the_root_are_walked_by_super() {
    let files = [
        ("src/a.rs", "pub const A: u8 = 1;\nmod deep { use super::A; fn f() { super::super::b::g(); } }"),
        ("src/b.rs", "words! { enum Made { X } }\npub fn g() -> u8 { 1 }"),
        ("src/c.rs", "use crate::b::Made;"),
    ];
    assert_eq!(told_arrows(&files), ["src/a.rs:2 uses g of src/b.rs", "src/c.rs:1 uses Made of src/b.rs"]);
}

#[test]
fn comments_literals_visibilities_and_tests_do_not_count() {
    let quiet = [
        "//! [`crate::b::B`]\n// crate::b::B\n/* /* crate::b::B */ crate::b::B */",
        r##"const A: &str = r#"" crate::b::B"#; const C: &[u8] = b"\" crate::b::B"; "##,
        r"fn f<'a>(c: &'a u8) { ['\'', '\\', '\u{27}', '\x27', '/', b'/']; } // crate::b::B",
        "pub(in crate::b::B) fn f() {}",
        "#[cfg(test)]\nmod tests { use crate::b::B; fn f() { { } } }",
        "#[cfg(test)]\n#[allow(unused)]\npub use crate::b::{B, C};",
        "#[cfg(all(test, target_os = \"linux\"))] fn f() { crate::b::B }",
        "#[cfg(test)] mod only;",
    ];
    for text in quiet {
        let files = [("src/a.rs", text), ("src/a/only.rs", "use crate::b::B;"), ("src/b.rs", "pub struct B;")];
        let files = if text.ends_with("only;") { &files[..] } else { &[files[0], files[2]] };
        assert!(told_arrows(files).is_empty(), "{text}");
        let louder = format!("{text}\nfn g() {{ crate::b::B }}");
        let files = [("src/a.rs", louder.as_str()), ("src/b.rs", "pub struct B;")];
        assert_eq!(told_arrows(&files).len(), 1, "what comes behind it is read: {text}");
    }
}

#[test]
fn fields_methods_and_variables_are_no_mentions_and_ends_of_ranges_are() {
    let door = "pub use part::{A, part};\nfn f() { x.A.part(); let part = 0; T::A; <T as U>::A }\n";
    let part = ("src/a/part.rs", "pub const A: usize = 1; pub fn part() {}");
    assert!(told_arrows(&[("src/a/mod.rs", door), part]).is_empty());
    let ranged = format!("{door}fn g() {{ 0..A }}");
    assert_eq!(told_arrows(&[("src/a/mod.rs", ranged.as_str()), part]), ["src/a/mod.rs:3 uses A of src/a/part.rs"]);
}

#[test]
fn words_know_their_lines() {
    let found: Vec<_> = words("a /*\n*/ 'x: \"\n\\\"\"\nr#type::b").into_iter().map(|w| (w.text, w.line)).collect();
    let want = [("a", 1), (":", 2), ("\"", 2), ("type", 4), ("::", 4), ("b", 4)];
    assert_eq!(found, want.map(|(text, line)| (text.to_owned(), line)));
}

/// Three rooms: top uses middle and bottom, middle uses bottom.
fn three_rooms() -> Tree {
    crate_of(&[
        ("src/lib.rs", "mod bottom; mod middle; mod top; pub use top::Top;"),
        ("src/bottom.rs", "pub struct Bottom;"),
        ("src/middle/mod.rs", "mod part;\n"),
        ("src/middle/part.rs", "\nuse crate::bottom::Bottom;"),
        ("src/top.rs", "pub use crate::middle;\nfn f() { super::bottom::Bottom }\npub struct Top;"),
    ])
}

const ITS_TABLE: &str = "bottom:\nmiddle: bottom\ntop: bottom middle\n";

#[test]
fn a_table_that_is_right_is_let_be_and_can_be_had_from_the_code() {
    let commented = ITS_TABLE.replace("middle: bottom", "# why\n\nmiddle: bottom  # a reason");
    assert!(disagreements(&commented, &three_rooms()).is_empty());
    assert_eq!(ready_table("", &three_rooms()), ITS_TABLE);
    assert!(ready_table(&commented, &three_rooms()).contains("middle: bottom  # a reason\n"));
}

#[test]
fn each_disagreement_with_the_table_is_named() {
    let cases = [
        ("middle: bottom", "middle:", "src/middle/part.rs:2: middle -> bottom is not in src/rooms.txt"),
        ("top: bottom middle", "top: middle", "src/top.rs:2: top -> bottom is not in src/rooms.txt"),
        ("bottom:\n", "bottom:\nattic:\n", "src/rooms.txt: attic is not a room of src"),
        ("top:", "bottom:\ntop:", "src/rooms.txt: bottom has two lines"),
    ];
    for (old, new, told) in cases {
        assert_eq!(disagreements(&ITS_TABLE.replacen(old, new, 1), &three_rooms()), [told]);
    }
}

#[test]
fn a_room_without_a_line_an_idle_arrow_and_a_wrong_order_are_named() {
    let told = |table: &str, want: &str| {
        let wrong = disagreements(table, &three_rooms());
        assert!(wrong.iter().any(|line| line == want), "{want}: {wrong:?}");
    };
    told("bottom:\nmiddle: bottom\n", "top: this room has no line in src/rooms.txt");
    told(
        "bottom:\nmiddle: bottom\ntop: bottom middle\nbottom: top",
        "src/rooms.txt: nobody uses bottom -> top any more",
    );
    let low = "src/rooms.txt: middle may import only rooms that stand above it, and bottom does not";
    told("middle: bottom\nbottom:\ntop: bottom middle\n", low);
}

#[test]
fn a_room_behind_the_name_of_the_root_counts() {
    let files =
        [("src/lib.rs", "pub use top::Top;"), ("src/top.rs", "pub struct Top;"), ("src/low.rs", "use crate::Top;")];
    let told = "src/low.rs:1: low -> top is not in src/rooms.txt";
    assert_eq!(disagreements("low:\ntop:\n", &crate_of(&files)), [told]);
}
