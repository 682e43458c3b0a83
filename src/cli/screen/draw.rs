//! How the board looks. Whatever the size of the terminal, this does not panic: narrow ones lose columns, low ones lines.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, Wrap};

use super::board::{Board, Mark, Row, Work};
use crate::units::ByteSize;

/// Below these widths, in columns, something is left out: the rate, the time left, the card's name.
const WITH_RATE: u16 = 72;
const WITH_TIME: u16 = 56;
const WITH_CARD: u16 = 44;

pub(super) fn board(frame: &mut Frame<'_>, board: &Board, colour: bool) {
    let rows = u16::try_from(board.rows.len()).unwrap_or(u16::MAX).saturating_add(1);
    // What was said gets what is left: the slots are what the screen is for.
    let [title, _, slots, _, said, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(rows),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading(board, colour), title);
    frame.render_widget(table(board, slots, colour), slots);
    frame.render_widget(messages(board, said), said);
    let keys_text = board.ending.unwrap_or("q  no more cards, finish those under way     Ctrl-C  stop");
    frame.render_widget(Line::styled(keys_text, Style::new().add_modifier(Modifier::DIM)), keys);
}

fn heading(board: &Board, colour: bool) -> Line<'_> {
    let done = match board.wanted {
        Some(wanted) => format!("{} of {wanted} verified", board.verified),
        None => format!("{} verified", board.verified),
    };
    let failed = Style::new().add_modifier(Modifier::BOLD).patch(hue(Color::Red, colour));
    let mut parts = vec![
        Span::styled(board.title.as_str(), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("   "),
        Span::raw(done),
    ];
    if board.failed > 0 {
        parts.extend([Span::raw(", "), Span::styled(format!("{} failed", board.failed), failed)]);
    }
    Line::from(parts)
}

fn hue(which: Color, colour: bool) -> Style {
    if colour { Style::new().fg(which) } else { Style::new() }
}

fn table<'a>(board: &'a Board, area: Rect, colour: bool) -> Table<'a> {
    let longest = |of: fn(&Row) -> &str, least: usize, most: usize| {
        let width = board.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(width.clamp(least, most)).unwrap_or(0))
    };
    let (rate, time, card) = (area.width >= WITH_RATE, area.width >= WITH_TIME, area.width >= WITH_CARD);
    let mut widths = vec![longest(|row| &row.name, 4, 16)];
    widths.extend(card.then(|| longest(|row| &row.card, 4, 24)));
    widths.extend([Constraint::Length(8), Constraint::Fill(1)]);
    widths.extend(rate.then_some(Constraint::Length(12)));
    widths.extend(time.then_some(Constraint::Length(6)));
    let shown = |name: &'a str, of_card: &'a str, state: Cell<'a>, what: Cell<'a>, speed: String, left: String| {
        let mut cells = vec![Cell::new(name)];
        cells.extend(card.then(|| Cell::new(of_card)));
        cells.extend([state, what]);
        cells.extend(rate.then(|| Cell::new(Line::raw(speed).right_aligned())));
        cells.extend(time.then(|| Cell::new(Line::raw(left).right_aligned())));
        TableRow::new(cells)
    };
    let head = shown("slot", "card", "stage".into(), "".into(), "rate".to_owned(), "left".to_owned());
    let now = Instant::now();
    // What is not the bar: the fixed columns and the blanks between them.
    let fixed: u16 =
        widths.iter().map(|width| if let Constraint::Length(width) = width { *width + 1 } else { 0 }).sum();
    let bar_width = area.width.saturating_sub(fixed);
    let line = |row: &'a Row| {
        let state = Cell::new(state(row)).style(mark(row.mark, colour));
        match &row.work {
            Some(work) => {
                let speed = work.rate(now).map_or_else(String::new, |rate| format!("{}/s", ByteSize(rate)));
                let left = work.left(now).map_or_else(String::new, clock);
                shown(&row.name, &row.card, state, Cell::new(bar(work, bar_width)), speed, left)
            }
            None => shown(&row.name, &row.card, state, Cell::new(row.text.as_str()), String::new(), String::new()),
        }
    };
    Table::new(board.rows.iter().map(line), widths)
        .header(head.style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .column_spacing(1)
}

fn state(row: &Row) -> &str {
    match (&row.work, row.mark) {
        (Some(work), _) => &work.stage,
        (None, Mark::Pass) => "PASS",
        (None, Mark::Fail) => "FAIL",
        (None, Mark::Wants) => "look",
        (None, Mark::Quiet | Mark::Busy) => "",
    }
}

/// Without colours, what matters is still bold or reversed.
fn mark(mark: Mark, colour: bool) -> Style {
    match mark {
        Mark::Quiet | Mark::Busy => Style::new(),
        Mark::Wants => Style::new().add_modifier(Modifier::BOLD).patch(hue(Color::Yellow, colour)),
        Mark::Pass => Style::new().add_modifier(Modifier::BOLD).patch(hue(Color::Green, colour)),
        // Reversed: a failed card must be seen across the room, without colour too.
        Mark::Fail => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED).patch(hue(Color::Red, colour)),
    }
}

/// `[======>     ]  52%`, as wide as there is room for.
fn bar(work: &Work, width: u16) -> String {
    let Some(percent) = work.percent() else { return String::new() };
    let room = u64::from(width.saturating_sub(8)).min(60);
    // No bar to speak of; the number still tells.
    if room < 4 {
        return format!("{percent:>3}%");
    }
    let full = usize::try_from(room * percent / 100).unwrap_or(0);
    let rest = usize::try_from(room).unwrap_or(0).saturating_sub(full);
    let tip = if rest > 0 && full > 0 { ">" } else { "" };
    format!("[{}{tip}{}] {percent:>3}%", "=".repeat(full), " ".repeat(rest.saturating_sub(tip.len())))
}

fn clock(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        1..100 => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        // From a hundred hours on the rate is noise, and so would be the time.
        _ => "long".to_owned(),
    }
}

/// The last things that were said, the newest one at the bottom.
fn messages(board: &Board, area: Rect) -> Paragraph<'_> {
    let width = usize::from(area.width).max(1);
    let mut free = usize::from(area.height);
    let mut lines: Vec<Line<'_>> = Vec::new();
    // From the newest back: the oldest go first where room is short.
    for text in board.said.iter().rev() {
        // A sentence that breaks at words may need a line more than its length says.
        let needs = text.chars().count().div_ceil(width) + usize::from(text.chars().count() > width);
        if needs > free {
            break;
        }
        free -= needs;
        lines.push(Line::raw(text.as_str()));
    }
    lines.reverse();
    Paragraph::new(lines).wrap(Wrap { trim: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn bench() -> Board {
        let names = ["left-1", "left-2", "right", "a slot with a name that is long"].map(str::to_owned);
        let mut bench = Board::new("kiosk".to_owned(), names, Some(20));
        bench.row(0, |row| {
            row.card = "kiosk-0001".to_owned();
            row.stage("verify".to_owned(), Some(ByteSize(1000)));
            row.at(ByteSize(520));
        });
        bench.row(1, |row| row.rest(Mark::Pass, "take the card out"));
        bench.row(2, |row| row.rest(Mark::Fail, "does not keep what is written: 3 of 1,612 MiB differ"));
        bench.row(3, |row| row.rest(Mark::Quiet, "put a card in"));
        (bench.verified, bench.failed) = (3, 1);
        bench
            .say("left-2: the card was removed, and this sentence is longer than a narrow terminal is wide".to_owned());
        bench.say("日本語 \u{301}\u{200b}".to_owned());
        bench
    }

    fn drawn(bench: &Board, width: u16, height: u16, colour: bool) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| board(frame, bench, colour)).unwrap();
        terminal
    }

    fn text(terminal: &Terminal<TestBackend>) -> String {
        let buffer = terminal.backend().buffer();
        let width = usize::from(buffer.area.width).max(1);
        let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        symbols.chunks(width).map(|line| line.concat().trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn every_slot_has_a_line_with_card_stage_and_outcome() {
        let shown = text(&drawn(&bench(), 100, 24, true));
        assert!(shown.starts_with("kiosk   3 of 20 verified, 1 failed\n"), "{shown}");
        let line = |slot: &str| shown.lines().find(|line| line.starts_with(slot)).unwrap().to_owned();
        assert!(line("left-1").contains("kiosk-0001 verify"), "{shown}");
        assert!(line("left-1").contains("=>") && line("left-1").contains(" 52%"), "{shown}");
        assert!(line("left-2").contains("PASS     take the card out"), "{shown}");
        assert!(line("right").contains("FAIL     does not keep what is written"), "{shown}");
        assert!(line("a slot with a na").contains("put a card in"), "{shown}");
        assert!(shown.contains("left-2: the card was removed") && shown.contains("Ctrl-C  stop"), "{shown}");
    }

    #[test]
    fn no_size_of_a_terminal_makes_it_panic_and_narrow_ones_still_say_pass_and_fail() {
        for width in 0..100 {
            for height in [0, 1, 2, 3, 5, 8, 24] {
                drawn(&bench(), width, height, true);
            }
        }
        let narrow = text(&drawn(&bench(), 30, 10, true));
        assert!(narrow.contains("PASS") && narrow.contains("FAIL"), "{narrow}");
        let mut empty = Board::default();
        empty.say(String::new());
        drawn(&empty, 1, 1, false);
    }

    #[test]
    fn without_colour_no_colour_is_used() {
        let colours = |colour: bool| {
            let terminal = drawn(&bench(), 100, 24, colour);
            terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    #[test]
    fn time_left_is_short_at_any_length() {
        let shown = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!([shown(5), shown(754), shown(7500), shown(u64::MAX)], ["0:05", "12:34", "2:05 h", "long"]);
    }
}
