//! The host: cpu, memory and pressure as the classic tools print them, what it is, and where all this comes from.

mod cpu;
mod memory;
mod origin;
mod system;

use leptos::prelude::*;

use super::in_the_shell;
use crate::store::shell::for_host;
use crate::store::use_store;

/// The view.
pub(super) fn render() -> AnyView {
    let store = use_store();
    view! {
        <div class="view host">
            <div class="host-panels">
                <div class="host-main">
                    {panel("CPU", cpu::panel(store))}
                    {panel("Memory", memory::memory(store))}
                    {panel("Engines", origin::engines(store))}
                    {panel("Where it comes from", origin::sources(store))}
                </div>
                <div class="host-side">
                    {panel("System", system::system(store))}
                    {panel("Pressure", memory::pressure(store))}
                    {panel("In the shell", in_the_shell(for_host))}
                </div>
            </div>
        </div>
    }
    .into_any()
}

fn panel(title: &'static str, body: impl IntoView) -> impl IntoView {
    view! {
        <section class="panel">
            <h2>{title}</h2>
            {body}
        </section>
    }
}
