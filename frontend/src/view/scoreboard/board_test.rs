//! Tests of the blocks: places, dots, order and what D waits for.

use glasshull_shared::domain::container::Container;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat};

use super::*;

fn add(s: &mut Snapshot, pid: u32, container: Option<&str>, state: ProcessState) {
    let key = ProcessKey { pid, start_time: u64::from(pid) };
    let row = Process { container: container.map(Into::into), ..Process::default() };
    s.process.insert(key, Arc::new(row));
    let channel = (state == ProcessState::D).then(|| "io_schedule".to_owned());
    let stat = ProcessStat { state, wait_channel: channel, ..ProcessStat::default() };
    s.process_stat.insert(key, Arc::new(stat));
}

fn contain(s: &mut Snapshot, name: &str, state: ContainerState, limit: Option<u32>) {
    let key = ContainerKey { id: name.into() };
    s.container.insert(key.clone(), Arc::new(Container { name: name.into(), state, ..Container::default() }));
    let stat = ContainerStat { pids: Some(2), pids_limit: limit, ..ContainerStat::default() };
    s.container_stat.insert(key, Arc::new(stat));
}

fn snapshot() -> Snapshot {
    let mut s = Snapshot::default();
    contain(&mut s, "web", ContainerState::Running, Some(8));
    contain(&mut s, "db", ContainerState::Running, None);
    contain(&mut s, "old", ContainerState::Exited, None);
    for (pid, owner, state) in [
        (1, None, ProcessState::S),
        (10, Some("web"), ProcessState::R),
        (11, Some("web"), ProcessState::S),
        (20, Some("db"), ProcessState::D),
        (21, Some("db"), ProcessState::D),
    ] {
        add(&mut s, pid, owner, state);
    }
    s
}

fn drawn(block: &Block) -> String {
    block.glyphs.iter().map(|g| g.text).collect()
}

#[test]
fn blocks_have_letters_dots_and_waits() {
    let board = board(&snapshot(), Shown::default(), None, 1);
    let (web, db) = (&board.blocks[&Some("web".into())], &board.blocks[&Some("db".into())]);
    assert_eq!(drawn(web), "RS······");
    assert_eq!(web.summary, "R1 S1");
    assert_eq!((drawn(db).as_str(), db.waits.as_str(), db.tone), ("DD", "io_schedule ×2", "trouble"));
    assert_eq!(board.stopped, 1);
    assert_eq!(counts_text(&board.counts), "R1 S2 D2");
    assert_eq!(board.order, [Some("db".to_owned()), Some("web".to_owned())]);
}

#[test]
fn what_is_frozen_is_no_trouble() {
    let mut s = snapshot();
    contain(&mut s, "db", ContainerState::Paused, None);
    let board = board(&s, Shown { by_trouble: true, ..Shown::default() }, None, 1);
    let db = &board.blocks[&Some("db".into())];
    assert_eq!((db.tone, db.waits.as_str(), board.frozen), ("", "", 2));
    assert_eq!(db.glyphs[0], Glyph::new("D", "attention"));
}

#[test]
fn a_letter_stays_where_it_is_when_its_elder_ends() {
    let mut s = snapshot();
    let first = board(&s, Shown::default(), None, 1);
    s.process.remove(&ProcessKey { pid: 10, start_time: 10 });
    let second = board(&s, Shown::default(), Some(&first), 2);
    let web = &second.blocks[&Some("web".into())];
    assert_eq!((web.glyphs[0], drawn(web).as_str()), (Glyph::hole(), "S······"));
}

#[test]
fn an_order_by_trouble_stands_for_a_while() {
    let shown = Shown { by_trouble: true, ..Shown::default() };
    let mut s = snapshot();
    let first = board(&s, shown, None, 1);
    assert_eq!(first.order[0].as_deref(), Some("db"));
    for pid in [20, 21] {
        add(&mut s, pid, Some("db"), ProcessState::S);
    }
    add(&mut s, 11, Some("web"), ProcessState::D);
    let soon = board(&s, shown, Some(&first), 5);
    assert_eq!(soon.order, first.order);
    assert_eq!(board(&s, shown, Some(&soon), 12).order[0].as_deref(), Some("web"));
}

#[test]
fn an_image_that_all_have_is_not_said() {
    let mut s = snapshot();
    let images = |s: &Snapshot| {
        let board = board(s, Shown::default(), None, 1);
        board.order.iter().map(|o| board.blocks[o].image.clone()).collect::<Vec<_>>()
    };
    for (name, image) in [("db", "a:1"), ("web", "a:1")] {
        let key = ContainerKey { id: name.into() };
        let row = Container {
            name: name.into(),
            image: Some(image.into()),
            state: ContainerState::Running,
            ..Container::default()
        };
        s.container.insert(key, Arc::new(row));
    }
    assert_eq!(images(&s), ["", ""]);
    let key = ContainerKey { id: "web".into() };
    let row = Container {
        name: "web".into(),
        image: Some("b:1".into()),
        state: ContainerState::Running,
        ..Container::default()
    };
    s.container.insert(key, Arc::new(row));
    assert_eq!(images(&s), ["a:1", "b:1"]);
}
