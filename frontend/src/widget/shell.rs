//! "In the shell": the commands a person would type for the same answer, and what we read instead.

use leptos::prelude::*;

use super::copy::CopyButton;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLine {
    /// What it answers.
    pub comment: String,
    /// Ready to paste: all arguments filled in and quoted.
    pub command: String,
    /// Kernel file, netlink message or engine call that Glasshull reads for the same.
    pub reads: String,
}

/// The panel.
#[component]
pub fn Shell(
    /// The commands; they change when what is shown gets another pid.
    #[prop(into)]
    lines: Signal<Vec<ShellLine>>,
) -> impl IntoView {
    let line = |line: ShellLine| {
        let command = line.command.clone();
        view! {
            <li class="shell-line">
                <div class="shell-comment">
                    <p>{format!("# {}", line.comment)}</p>
                    <CopyButton text=Signal::stored(command) label="copy the command" />
                </div>
                <p class="shell-command"><code>{breakable(&line.command)}</code></p>
                <p class="shell-reads"><span>"we read "</span><code>{line.reads}</code></p>
            </li>
        }
    };
    view! { <ul class="shell">{move || lines.get().into_iter().map(line).collect_view()}</ul> }
}

/// A command whose lines end at its spaces, and within a word too long for a line at its slashes.
fn breakable(command: &str) -> impl IntoView + use<> {
    let part = |part: &str| view! { {part.to_owned()} <wbr /> };
    let word = |(i, word): (usize, &str)| {
        view! { {(i > 0).then_some(" ")} <span>{word.split_inclusive('/').map(part).collect_view()}</span> }
    };
    command.split(' ').enumerate().map(word).collect_view()
}
