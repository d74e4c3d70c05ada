//! The blocks of the scoreboard, made from the tables and from the board before. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::domain::container::{ContainerKey, ContainerStat, ContainerState};
use glasshull_shared::domain::process::{ProcessState, ThreadKey};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use crate::store::lookup::{container, container_name};
use crate::store::scoreboard::{
    Owner, Places, Task, count_states, counts_text, open_slots, settle, state, tasks, trouble,
};
use crate::store::word;
use crate::widget::letters::Glyph;
use crate::widget::table::order::{SortKey, sort_rows};

/// Ticks for which an order by trouble stands before it is made anew.
const RANK_TICKS: u64 = 10;

/// One block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    /// Container's name, or the host's.
    pub(super) name: String,
    /// State where it is not simply running.
    pub(super) state: String,
    /// Image; empty where nobody told, and when all blocks have the same.
    pub(super) image: String,
    /// `R1 S4 · 11 %`.
    pub(super) summary: String,
    /// Letters, then dots for open slots.
    pub(super) glyphs: Arc<Vec<Glyph>>,
    /// Whom each letter stands for; shorter than `glyphs` by the open slots.
    pub(super) places: Arc<Places>,
    /// Open slots that are not drawn.
    pub(super) more_open: usize,
    /// What its D processes wait in, most frequent first.
    pub(super) waits: String,
    /// How many are in each state.
    pub(super) counts: Vec<(ProcessState, usize)>,
    /// `data-tone` of the block.
    pub(super) tone: &'static str,
    /// Its container is paused: that its tasks are in D is no trouble.
    pub(super) paused: bool,
}

/// All blocks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Board {
    pub(super) blocks: BTreeMap<Owner, Block>,
    /// Containers in the order in which they are drawn; the host comes after them.
    pub(super) order: Vec<Owner>,
    /// Tick at which the order was made.
    ranked_at: u64,
    by_trouble: bool,
    /// Kernel threads.
    pub(super) kernel: usize,
    /// D tasks of paused containers.
    pub(super) frozen: usize,
    /// Containers without processes.
    pub(super) stopped: usize,
    /// All letters by state.
    pub(super) counts: Vec<(ProcessState, usize)>,
}

/// What a person chose to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    pub(super) threads: bool,
    pub(super) kernel: bool,
    pub(super) by_trouble: bool,
}

/// The board after `before`.
pub(super) fn board(snapshot: &Snapshot, shown: Shown, before: Option<&Board>, tick: u64) -> Board {
    let mut owners = tasks(snapshot, shown.threads, shown.kernel);
    for (key, row) in &snapshot.container {
        let alive = matches!(
            row.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        );
        if alive {
            owners.entry(Some(key.id.clone())).or_default();
        }
    }
    let mut blocks: BTreeMap<Owner, Block> = owners
        .into_iter()
        .map(|(owner, tasks)| {
            let was = before.and_then(|b| b.blocks.get(&owner)).map(|b| &*b.places);
            let places = settle(was.unwrap_or(&Vec::new()), &tasks);
            let block = block(snapshot, owner.as_deref(), places, &tasks, shown);
            (owner, block)
        })
        .collect();
    let images: BTreeSet<&str> =
        blocks.values().map(|b| b.image.as_str()).filter(|i| !i.is_empty()).collect();
    if images.len() < 2 {
        blocks.values_mut().for_each(|b| b.image.clear());
    }
    let mut totals: BTreeMap<ProcessState, usize> = BTreeMap::new();
    for (state, n) in blocks.values().flat_map(|b| &b.counts) {
        *totals.entry(*state).or_default() += n;
    }
    let waiting = |b: &Block| b.counts.iter().find(|(s, _)| *s == ProcessState::D).map_or(0, |(_, n)| *n);
    let mut board = Board {
        frozen: blocks.values().filter(|b| b.paused).map(waiting).sum(),
        kernel: snapshot.process.values().filter(|p| p.kernel_thread).count(),
        stopped: snapshot.container.keys().filter(|k| !blocks.contains_key(&Some(k.id.clone()))).count(),
        counts: ProcessState::ALL.iter().filter_map(|s| totals.get(s).map(|n| (*s, *n))).collect(),
        blocks,
        by_trouble: shown.by_trouble,
        ..Board::default()
    };
    rank(&mut board, before, tick);
    board
}

/// Orders the containers. By trouble the order stands for a while, so that blocks do not change places each second.
fn rank(board: &mut Board, before: Option<&Board>, tick: u64) {
    let mut owners: Vec<Owner> = board.blocks.keys().filter(|o| o.is_some()).cloned().collect();
    let kept = before.filter(|b| {
        let same = b.by_trouble == board.by_trouble && b.order.len() == owners.len();
        let young = tick.saturating_sub(b.ranked_at) < RANK_TICKS;
        same && young && b.by_trouble && b.order.iter().all(|o| board.blocks.contains_key(o))
    });
    if let Some(before) = kept {
        board.order.clone_from(&before.order);
        board.ranked_at = before.ranked_at;
        return;
    }
    let name = |o: &Owner| SortKey::text(board.blocks.get(o).map(|b| b.name.as_str()));
    owners = sort_rows(owners, false, name);
    if board.by_trouble {
        let trouble = |b: &Block| if b.paused { 0 } else { trouble(&b.counts) };
        owners = sort_rows(owners, true, |o| SortKey::number(board.blocks.get(o).map(|b| trouble(b) as f64)));
    }
    board.order = owners;
    board.ranked_at = tick;
}

fn block(snapshot: &Snapshot, owner: Option<&str>, places: Places, tasks: &[Task], shown: Shown) -> Block {
    let stat =
        owner.and_then(|id| snapshot.container_stat.get(&ContainerKey { id: id.to_owned() })).map(|s| &**s);
    let counts = count_states(tasks.iter().map(|t| state(snapshot, t)));
    let row = owner.and_then(|id| container(snapshot, id));
    let paused = row.is_some_and(|r| r.state == ContainerState::Paused);
    let mut glyphs: Vec<Glyph> = places
        .iter()
        .map(|place| match place {
            Some(task) => {
                let state = state(snapshot, task);
                let frozen = paused && state == ProcessState::D;
                Glyph::new(word::letter(state), if frozen { "attention" } else { word::process_tone(state) })
            }
            None => Glyph::hole(),
        })
        .collect();
    // pids.max counts threads: what is used of it is not the number of letters.
    let used = stat.and_then(|s| s.pids).map_or(tasks.len(), |p| p as usize);
    let (dots, more_open) = open_slots(used, stat.and_then(|s| s.pids_limit));
    glyphs.extend(std::iter::repeat_n(Glyph::open(), dots));
    let own_state = row.map(word::container_state).filter(|w| w.tone != "fine").map(|w| w.line());
    let image = row.and_then(|r| r.image.clone());
    Block {
        name: owner.map_or_else(|| "host (no container)".into(), |id| container_name(snapshot, id)),
        state: own_state.unwrap_or_default(),
        image: image.unwrap_or_default(),
        summary: summary(&counts, stat, shown),
        glyphs: Arc::new(glyphs),
        places: Arc::new(places),
        more_open,
        tone: if paused { "" } else { tone(&counts) },
        waits: if paused { String::new() } else { waits(snapshot, tasks) },
        paused,
        counts,
    }
}

fn summary(counts: &[(ProcessState, usize)], stat: Option<&ContainerStat>, shown: Shown) -> String {
    let mut text = counts_text(counts);
    if text.is_empty() {
        text.push_str(if shown.threads { "no thread" } else { "no process" });
    }
    if let Some(ratio) = stat.and_then(|s| s.cpu_ratio) {
        text.push_str(&format!(" · {}", unit::percent(f64::from(ratio))));
    }
    text
}

fn waits(snapshot: &Snapshot, tasks: &[Task]) -> String {
    let mut channels: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks.iter().filter(|t| state(snapshot, t) == ProcessState::D) {
        let channel = wait_channel(snapshot, task).unwrap_or_else(|| "hidden".into());
        *channels.entry(channel).or_default() += 1;
    }
    let channels = sort_rows(channels.into_iter().collect(), true, |(_, n)| SortKey::Number(*n as f64));
    let text = |(channel, n): (String, usize)| if n > 1 { format!("{channel} ×{n}") } else { channel };
    channels.into_iter().take(4).map(text).collect::<Vec<_>>().join(", ")
}

/// Kernel function a task waits in; `None` in other states or when hidden.
pub(super) fn wait_channel(snapshot: &Snapshot, task: &Task) -> Option<String> {
    match task.tid {
        Some(tid) => {
            let key = ThreadKey { pid: task.process.pid, start_time: task.process.start_time, tid };
            snapshot.thread.get(&key)?.wait_channel.clone()
        }
        None => snapshot.process_stat.get(&task.process)?.wait_channel.clone(),
    }
}

fn tone(counts: &[(ProcessState, usize)]) -> &'static str {
    let any = |wanted: ProcessState| counts.iter().any(|(s, _)| *s == wanted);
    if any(ProcessState::D) {
        "trouble"
    } else if any(ProcessState::Z) {
        "special"
    } else {
        ""
    }
}

#[cfg(test)]
#[path = "board_test.rs"]
mod tests;
