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
                <p class="shell-comment">{format!("# {}", line.comment)}</p>
                <div class="shell-command">
                    <code>{line.command}</code>
                    <CopyButton text=Signal::stored(command) label="copy the command" />
                </div>
                <p class="shell-reads"><span>"we read "</span><code>{line.reads}</code></p>
            </li>
        }
    };
    view! { <ul class="shell">{move || lines.get().into_iter().map(line).collect_view()}</ul> }
}
