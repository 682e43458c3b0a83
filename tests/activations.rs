//! Activations from a file: each row for one card, whatever happens; and no message that repeats a code.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cardsmith::activation::{ActivationError, ActivationFile, Dispenser, Issuer, Order};
use cardsmith::ledger::{Bootability, Ledger};
use cardsmith::progress::Silent;
use tempfile::TempDir;

const CODE: &str = "Zq9/+Secret0Code1Never2Shown";

fn id(n: u32) -> String {
    format!("7c2f0000-0000-4000-8000-{n:012x}")
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn csv(rows: &[String]) -> String {
    format!("activation_id,activation_code,region\n{}\n", rows.join("\n"))
}

fn row(n: u32) -> String {
    format!("{},{CODE}{n},eu-west-1", id(n))
}

fn order<'a>(cards: usize) -> Order<'a> {
    Order { recipe: "kiosk", golden: None, cards, name: &|serial| format!("kiosk-{serial:04}") }
}

/// A file of rows and a ledger.
fn bench(rows: u32) -> (TempDir, Issuer, Ledger) {
    let dir = TempDir::new().unwrap();
    let path = write(dir.path(), "a.csv", &csv(&(1..=rows).map(row).collect::<Vec<_>>()));
    let issuer = Issuer::File(ActivationFile::open(&path).unwrap());
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite3")).unwrap();
    (dir, issuer, ledger)
}

#[test]
fn csv_and_json_are_read_with_marks_line_ends_and_columns_as_programs_leave_them() {
    let dir = TempDir::new().unwrap();
    let crlf = format!(
        "\u{feff}region,activation_code,activation_id,expires,name\r\neu-west-1,{CODE},{},2999-01-01,kiosk-0007\r\n",
        id(10).to_uppercase()
    );
    let json = format!(
        r#"[{{"activation_id":"{}","activation_code":"{CODE}","region":"eu-west-1","expires":32472144000,"name":"kiosk-0007"}}]"#,
        id(10)
    );
    for text in [crlf, json] {
        let file = ActivationFile::open(&write(dir.path(), "a", &text)).unwrap();
        let row = file.rows().next().unwrap().clone();
        assert_eq!((row.id.as_str(), row.region.as_str()), (id(10).as_str(), "eu-west-1"));
        assert_eq!((row.name.as_deref(), row.expires), (Some("kiosk-0007"), Some(32_472_144_000)));
        assert_eq!(file.activation(&row.id).unwrap().code.expose(), CODE);
        assert!(file.warnings().is_empty(), "{:?}", file.warnings());
    }
}

#[test]
fn a_wrong_row_is_named_by_its_place_and_its_content_is_never_repeated() {
    let dir = TempDir::new().unwrap();
    let one = id(1);
    let cases = [
        (String::new(), "line 1"),
        (format!("{one},{CODE},eu-west-1\n"), "line 1"),
        (format!("activation_id,activation_code\n{one},{CODE}\n"), "line 1"),
        (format!("activation_id,activation_id,activation_code,region\n{one},{one},{CODE},eu-west-1\n"), "line 1"),
        (csv(&[row(1), format!("{CODE},{one},eu-west-1")]), "line 3"),
        (csv(&[format!("{one},{CODE},{CODE}")]), "line 2"),
        (csv(&[format!("{one},{CODE}")]), "line 2"),
        (csv(&[format!("{one},short,eu-west-1")]), "line 2"),
        (csv(&[format!("{one},{CODE} {CODE},eu-west-1")]), "line 2"),
        (csv(&[format!("{one},,eu-west-1")]), "line 2"),
        (csv(&[row(1), row(2), row(1)]), "line 4"),
        (format!("activation_id,activation_code,region,expires\n{one},{CODE},eu-west-1,{CODE}\n"), "line 2"),
        (format!("activation_id,activation_code,region,name\n{one},{CODE},eu-west-1,{CODE}\n"), "line 2"),
        (
            format!("[{{\"activation_id\":\"{one}\",\"activation_code\":[\"{CODE}\"],\"region\":\"eu-west-1\"}}]"),
            "entry 1",
        ),
        (format!("[{{\"{CODE}\":1}}]"), "entry 1"),
        (format!("[\"{CODE}\"]"), "entry 1"),
        (format!("{{\"activation_code\":\"{CODE}\"}}"), "the top"),
        (format!("[{{\"activation_code\":\"{CODE}\""), "line 1"),
    ];
    for (text, place) in cases {
        let Err(error) = ActivationFile::open(&write(dir.path(), "bad", &text)) else { panic!("accepted: {text}") };
        let (shown, debug) = (error.to_string(), format!("{error:?}"));
        assert!(shown.contains(place), "{shown} for {text}");
        assert!(!shown.contains("Secret0Code") && !debug.contains("Secret0Code"), "{shown}");
        assert!(error.is_usage());
    }
    let mut bytes = csv(&[row(1)]).into_bytes();
    bytes.push(0xff);
    let path = dir.path().join("latin1");
    std::fs::write(&path, bytes).unwrap();
    assert!(ActivationFile::open(&path).is_err());
}

#[test]
fn a_file_that_others_can_read_is_warned_of() {
    let dir = TempDir::new().unwrap();
    let path = write(dir.path(), "a.csv", &csv(&[row(1)]));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = ActivationFile::open(&path).unwrap();
    assert!(file.warnings()[0].contains("chmod 600"), "{:?}", file.warnings());
}

#[test]
fn each_row_is_used_once_and_too_few_are_refused_before_anything_is_recorded() {
    let (_dir, issuer, ledger) = bench(2);
    let Err(error) = Dispenser::open(&ledger, Some(&issuer), order(3), &Silent) else {
        panic!("three cards, two rows")
    };
    assert!(matches!(error, ActivationError::TooFew { usable: 2, used: 0, .. }), "{error}");
    assert!(ledger.cards().unwrap().is_empty());

    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(2), &Silent).unwrap();
    let mut used = Vec::new();
    for _ in 0..2 {
        let card = dispenser.next_card("slot").unwrap();
        used.push(dispenser.activate(&card).unwrap().unwrap().id);
        dispenser.sealing(&card).unwrap();
        dispenser.verified(&card, "{}").unwrap();
    }
    dispenser.close().unwrap();
    assert_eq!(used, [id(1), id(2)]);
    let Err(error) = Dispenser::open(&ledger, Some(&issuer), order(1), &Silent) else { panic!("no row is left") };
    assert!(matches!(error, ActivationError::TooFew { usable: 0, used: 2, .. }), "{error}");
}

#[test]
fn a_failed_cards_row_is_free_again_unless_that_card_may_boot() {
    let (_dir, issuer, ledger) = bench(3);
    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(1), &Silent).unwrap();
    let card = dispenser.next_card("slot").unwrap();
    assert_eq!(dispenser.activate(&card).unwrap().unwrap().id, id(1));
    let told = dispenser.failed(&card, "write", "card pulled", Bootability::CannotBoot).unwrap();
    assert!(told.contains(&format!("activation {} is free again", id(1))) && told.contains("serial 1"), "{told}");

    let card = dispenser.next_card("slot").unwrap();
    assert_eq!((card.serial, dispenser.activate(&card).unwrap().unwrap().id), (1, id(1)));
    dispenser.sealing(&card).unwrap();
    let told = dispenser.failed(&card, "seal", "card pulled", Bootability::MayBoot).unwrap();
    assert!(told.contains("not used again"), "{told}");

    let card = dispenser.next_card("slot").unwrap();
    assert_eq!(dispenser.activate(&card).unwrap().unwrap().id, id(2));
    drop(dispenser);

    // That run died with card 1 unwritten: its row is free, the other one is not.
    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(2), &Silent).unwrap();
    let card = dispenser.next_card("slot").unwrap();
    assert_eq!((card.serial, dispenser.activate(&card).unwrap().unwrap().id), (1, id(2)));
    dispenser.close().unwrap();
    ledger.release_row(&id(1)).unwrap();
    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(3), &Silent).unwrap();
    dispenser.close().unwrap();
}

#[test]
fn expired_rows_and_rows_of_other_cards_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let text = format!(
        "activation_id,activation_code,region,name,expires\n{},{CODE}1,eu-west-1,,2020-01-01\n\
         {},{CODE}2,eu-west-1,kiosk-0002,\n{},{CODE}3,eu-west-1,,\n",
        id(1),
        id(2),
        id(3)
    );
    let file = ActivationFile::open(&write(dir.path(), "a.csv", &text)).unwrap();
    assert!(file.warnings()[0].contains("1 of the 3 rows"), "{:?}", file.warnings());
    let issuer = Issuer::File(file);
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite3")).unwrap();
    assert!(Dispenser::open(&ledger, Some(&issuer), order(3), &Silent).is_err());
    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(2), &Silent).unwrap();
    let cards = [dispenser.next_card("slot").unwrap(), dispenser.next_card("slot").unwrap()];
    let ids = cards.map(|card| dispenser.activate(&card).unwrap().unwrap().id);
    assert_eq!(ids, [id(3), id(2)], "card 2 gets the row with its name");
}

#[test]
fn the_ledger_file_never_holds_a_code() {
    let (_dir, issuer, ledger) = bench(1);
    let dispenser = Dispenser::open(&ledger, Some(&issuer), order(1), &Silent).unwrap();
    let card = dispenser.next_card("slot").unwrap();
    dispenser.activate(&card).unwrap().unwrap();
    dispenser.sealing(&card).unwrap();
    dispenser.verified(&card, "{}").unwrap();
    let bytes = std::fs::read(ledger.path()).unwrap();
    let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds(&id(1)), "the id is there");
    assert!(!holds(CODE), "the code is not");
}
