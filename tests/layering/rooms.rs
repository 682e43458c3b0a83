//! The rooms of the crate, and the table that says which room may import which.

use std::collections::{BTreeMap, BTreeSet};

use super::names::items_of;
use super::source::{Place, Tree};

/// Where each arrow between two rooms is first seen: file and line.
pub type RoomArrows = BTreeMap<(String, String), (String, usize)>;

/// One line of the table: `room: dep dep  # reason`.
struct Row {
    room: String,
    may: Vec<String>,
    reason: String,
}

/// The rooms: top-level modules.
pub fn rooms(tree: &Tree) -> BTreeSet<String> {
    tree.keys().filter(|place| place.len() == 1).map(|place| place[0].clone()).collect()
}

/// Which room names which other room, passing on included.
pub fn room_arrows(tree: &Tree) -> RoomArrows {
    let mut arrows = RoomArrows::new();
    for (place, module) in tree.iter().filter(|(place, _)| !place.is_empty()) {
        let imports = module.imports.iter().map(|import| (&import.path, import.line));
        for (path, line) in imports.chain(module.mentions.iter().map(|mention| (&mention.path, mention.line))) {
            for room in named_rooms(tree, place, path).into_iter().filter(|room| *room != place[0]) {
                let seen = (module.file.clone(), line);
                let first = arrows.entry((place[0].clone(), room)).or_insert_with(|| seen.clone());
                *first = seen.min(first.clone());
            }
        }
    }
    arrows
}

/// The room that a path from the crate's root names; behind a name that the root itself offers, the one that defines it.
fn named_rooms(tree: &Tree, from: &Place, path: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let starts = if path.first().is_some_and(|name| name == "crate") { 1 } else { ups };
    let at_root = starts > 0 && (ups == 0 || ups == from.len());
    let Some(name) = path.get(starts).filter(|_| at_root) else { return Vec::new() };
    if tree.contains_key(std::slice::from_ref(name)) {
        return vec![name.clone()];
    }
    items_of(tree, from, path).into_iter().filter_map(|(place, _)| place.first().cloned()).collect()
}

fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let row = |line: &str| {
        let (line, reason) = line.split_once('#').unwrap_or((line, ""));
        let (room, may) = line.split_once(':').unwrap_or((line, ""));
        let may = may.split_whitespace().map(str::to_owned).collect();
        Row { room: room.trim().to_owned(), may, reason: reason.trim().to_owned() }
    };
    lines.map(row).collect()
}

/// Everything in which the table and the crate disagree.
pub fn disagreements(table: &str, tree: &Tree) -> Vec<String> {
    let (rows, rooms, arrows) = (rows(table), rooms(tree), room_arrows(tree));
    let mut wrong = Vec::new();
    for ((from, to), (file, line)) in &arrows {
        if !rows.iter().any(|row| row.room == *from && row.may.contains(to)) {
            wrong.push(format!("{file}:{line}: {from} -> {to} is not in src/rooms.txt"));
        }
    }
    for room in rooms.iter().filter(|room| !rows.iter().any(|row| row.room == **room)) {
        wrong.push(format!("{room}: this room has no line in src/rooms.txt"));
    }
    for (at, row) in rows.iter().enumerate() {
        wrong.extend(wrong_in_row(row, &rows[..at], &rooms, &arrows));
    }
    wrong
}

fn wrong_in_row(row: &Row, above: &[Row], rooms: &BTreeSet<String>, arrows: &RoomArrows) -> Vec<String> {
    let room = &row.room;
    let mut wrong = Vec::new();
    if !rooms.contains(room) {
        wrong.push(format!("src/rooms.txt: {room} is not a room of src"));
    }
    if above.iter().any(|row| row.room == *room) {
        wrong.push(format!("src/rooms.txt: {room} has two lines"));
    }
    for to in &row.may {
        if !arrows.contains_key(&(room.clone(), to.clone())) {
            wrong.push(format!("src/rooms.txt: nobody uses {room} -> {to} any more"));
        }
        // With every arrow pointing upward in the file, there is no way round.
        if !above.iter().any(|row| row.room == *to) {
            wrong.push(format!("src/rooms.txt: {room} may import only rooms that stand above it, and {to} does not"));
        }
    }
    wrong
}

/// The table as the crate is, ready to be put into src/rooms.txt, with the reasons of the old one.
pub fn ready_table(old: &str, tree: &Tree) -> String {
    let (rows, arrows) = (rows(old), room_arrows(tree));
    let mut left: BTreeMap<String, BTreeSet<String>> =
        rooms(tree).into_iter().map(|room| (room, BTreeSet::new())).collect();
    for (from, to) in arrows.into_keys() {
        left.entry(from).or_default().insert(to);
    }
    let order = |room: &String| rows.iter().position(|row| row.room == *room).unwrap_or(rows.len());
    let mut lines = String::new();
    let mut above = BTreeSet::new();
    while !left.is_empty() {
        // In a circle no room can be next; then it is the one that wants the fewest rooms from below.
        let wanted = |may: &BTreeSet<String>| may.difference(&above).count();
        let next =
            left.iter().min_by_key(|(room, may)| (wanted(may), order(room), may.len())).map(|(room, _)| room.clone());
        let (room, may) = left.remove_entry(&next.unwrap()).unwrap();
        lines.push_str(&line(&room, &may, &rows));
        above.insert(room);
    }
    lines
}

fn line(room: &str, may: &BTreeSet<String>, old: &[Row]) -> String {
    let may: String = may.iter().map(|room| format!(" {room}")).collect();
    let reason = old.iter().find(|row| row.room == room && !row.reason.is_empty());
    format!("{room}:{may}{}\n", reason.map_or(String::new(), |row| format!("  # {}", row.reason)))
}
