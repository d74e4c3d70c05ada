//! Truth tests: what `glasshull snapshot` and `glasshull who` say about a lab of real containers is compared with `ps`,
//! `docker top`, `docker inspect` and the kernel's own files.
//!
//! One lab for all cases, in this process's own `main` (no libtest), so that it is taken down whatever happens; a guard
//! does it when this process is killed. Arguments that are no flags select cases by a part of their name.
//! The binary: `GLASSHULL_BIN`, else `glasshull` beside this test's target directory.

mod agent;
mod container;
mod engine;
mod host;
mod nat;
mod network;
mod process;
mod runner;
mod ship;
mod who;

use std::process::ExitCode;

use runner::Case;

/// All cases in the order in which they run; those that change the scene come last.
const CASES: &[Case] = &[
    ("process::every_process_is_listed_as_ps_lists_it", process::listed_as_ps),
    ("process::pids_inside_are_those_of_the_kernel", process::pids_inside),
    ("process::each_belongs_to_the_container_docker_top_says", process::container_as_docker_top),
    ("process::zombie_stopped_and_uninterruptible_are_told_apart", process::states),
    ("process::threads_and_users_are_those_of_the_container", process::threads_and_users),
    ("process::counters_lie_between_two_kernel_readings", process::counters),
    ("process::hostile_arguments_arrive_as_harmless_text", process::hostile_arguments),
    ("process::none_of_fifty_a_second_is_lost", process::short_lived),
    ("container::all_are_known_as_docker_inspect_tells", container::as_inspect),
    ("container::ends_are_told_with_code_and_oom_flag", container::ends),
    ("container::ports_and_networks_are_those_of_docker", container::ports_and_networks),
    ("container::labels_arrive_unchanged", container::labels),
    ("container::health_is_that_of_docker", container::health),
    ("container::limits_and_throttling_are_those_of_the_cgroup", container::limits),
    ("engine::a_given_engine_is_connected", engine::connected),
    ("network::links_are_those_of_ip_in_each_namespace", network::links),
    ("network::a_veth_pair_is_known_from_both_ends", network::pairs),
    ("network::a_namespace_knows_who_shares_it", network::namespaces),
    ("network::neighbours_and_routes_are_those_of_ip", network::neighbours_and_routes),
    ("network::namespaces_that_come_and_go_disturb_nothing", network::churn),
    ("nat::rules_are_those_of_iptables_and_nft_with_their_counters", nat::rules),
    ("nat::a_fetch_raises_the_counter_and_is_translated_as_conntrack_says", nat::fetched),
    ("nat::stale_rules_and_forwarding_that_is_off_are_marked", nat::dead),
    ("nat::a_proxied_port_leads_to_its_listener_until_that_stops", nat::proxied),
    ("who::a_pid_leads_to_container_parents_and_binary", who::pid),
    ("who::a_container_leads_to_its_pids", who::container),
    ("who::nobody_is_an_error_that_says_so", who::nobody),
    ("who::the_host_path_is_the_very_file", who::host_path),
    ("who::a_deleted_and_a_replaced_binary_are_told", who::deleted),
    ("ship::the_agent_in_a_container_shows_the_same", ship::as_container),
    ("engine::a_wrong_engine_hides_no_container", engine::wrong),
    ("engine::containers_stay_while_the_engine_is_dead", engine::dead),
    ("engine::a_kill_and_a_start_are_seen", engine::kill_and_start),
];

fn main() -> ExitCode {
    runner::run(CASES)
}
