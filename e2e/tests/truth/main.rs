//! Truth tests: what `glasshull snapshot` and `glasshull who` say about a lab of real containers is compared with `ps`,
//! `docker top`, `docker inspect` and the kernel's own files.
//!
//! One lab for all cases, in this process's own `main` (no libtest), so that it is taken down whatever happens; a guard
//! does it when this process is killed. Arguments that are no flags select cases by a part of their name.
//! The binary: `GLASSHULL_BIN`, else `glasshull` beside this test's target directory.

mod agent;
mod cgroup;
mod confinement;
mod container;
mod device;
mod dns;
mod engine;
mod enter;
mod file;
mod finding;
mod flow;
mod host;
mod mount;
mod mount_use;
mod namespace;
mod nat;
mod network;
mod process;
mod runner;
mod runtime;
mod ship;
mod socket;
mod watch;
mod who;
mod wire;

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
    ("cgroup::limits_are_those_of_the_files_on_the_way_up", cgroup::limits),
    ("cgroup::memory_is_made_of_what_the_kernel_says", cgroup::breakdown),
    ("cgroup::a_paused_containers_group_is_frozen", cgroup::frozen),
    ("cgroup::a_limit_of_the_group_above_is_inherited", cgroup::inherited),
    ("cgroup::a_kill_has_the_victim_that_dmesg_names", cgroup::oom_kill),
    ("cgroup::without_the_log_kills_are_still_known", cgroup::without_log),
    ("cgroup::limits_prints_the_same", cgroup::command),
    ("runtime::plain_containers_are_those_of_runc_list", runtime::runc_list),
    ("engine::a_given_engine_is_connected", engine::connected),
    ("network::links_are_those_of_ip_in_each_namespace", network::link::links),
    ("network::physical_links_have_their_driver", network::link::drivers),
    ("network::a_known_number_of_bytes_is_counted_on_its_way_alone", network::count::known_bytes),
    ("network::rates_are_those_of_what_passes", network::count::rates),
    ("network::a_veth_pair_is_known_from_both_ends", network::pair::pairs),
    ("network::veth_lists_the_links_of_a_container", network::pair::veth_command),
    ("network::a_namespace_knows_who_shares_it", network::pair::namespaces),
    ("network::neighbours_are_those_of_ip", network::table::neighbours),
    ("network::routes_are_those_of_ip", network::table::routes),
    ("network::a_changed_hardware_address_is_marked", network::change::changed_mac),
    ("network::namespaces_that_come_and_go_disturb_nothing", network::change::churn),
    ("network::links_that_come_and_go_while_watched_disturb_nothing", network::change::links_while_watched),
    ("network::a_missing_capability_hides_only_what_it_must", network::rights::dropped),
    ("network::an_ordinary_user_sees_its_own_namespace", network::rights::nobody),
    ("socket::tcp_and_udp_are_those_of_ss_in_each_namespace", socket::as_ss),
    ("socket::unix_sockets_are_those_of_ss", socket::unix_as_ss),
    ("socket::an_ordinary_user_sees_the_sockets_of_containers", socket::without_rights),
    ("socket::each_connection_of_5_ms_is_told_with_its_bytes", socket::short_connections),
    ("socket::what_containers_fetch_is_told_from_both_ends", socket::closed_in_containers),
    ("socket::listening_keeps_no_namespace_alive", socket::not_pinned),
    ("flow::each_packet_of_a_known_transfer_is_in_a_flow", flow::known_transfer),
    ("flow::containers_at_both_ends_are_named", flow::named_ends),
    ("flow::a_flood_is_bounded_and_what_is_missed_is_said", flow::flood),
    ("flow::without_cap_net_raw_it_says_so", flow::without_net_raw),
    ("flow::a_capture_ends_with_its_namespace", flow::ends),
    ("wire::the_stream_is_the_file_that_was_sent", wire::stream),
    ("wire::the_file_is_what_tshark_reads", wire::tshark),
    ("wire::without_payload_no_byte_of_it_leaves", wire::headers_only),
    ("wire::a_wrong_filter_is_told_and_limits_hold", wire::filter_and_limits),
    ("wire::the_dashboard_is_not_in_its_own_pictures", wire::own_stream),
    ("wire::a_namespace_is_not_kept_alive", wire::namespace_ends),
    ("network::changes_are_told_before_the_next_tick", network::event::links),
    ("network::a_storm_of_links_leaves_no_ghost", network::event::storm),
    ("network::a_containers_link_goes_down_and_up_by_order", network::control::down_and_up),
    ("network::orders_are_refused_where_they_should_be", network::control::refused),
    ("nat::rules_are_those_of_iptables_and_nft_with_their_counters", nat::rules),
    ("nat::a_fetch_raises_the_counter_and_is_translated_as_conntrack_says", nat::fetched),
    ("nat::stale_rules_and_forwarding_that_is_off_are_marked", nat::dead),
    ("nat::a_proxied_port_leads_to_its_listener_until_that_stops", nat::proxied),
    ("nat::a_flow_has_the_same_true_ends_on_both_sides", nat::true_ends),
    ("confinement::capabilities_are_those_capsh_and_getpcaps_tell", confinement::capabilities),
    ("confinement::limits_are_those_of_prlimit", confinement::limits),
    ("confinement::the_rest_is_that_of_the_kernels_files", confinement::rest),
    ("confinement::what_was_declared_is_what_docker_inspect_tells", confinement::declared),
    ("confinement::a_limit_that_was_changed_is_a_difference", confinement::changed),
    ("confinement::the_command_says_the_same", confinement::command),
    ("mount::mounts_are_those_of_findmnt_in_each_namespace", mount::as_findmnt),
    ("mount::what_lies_beneath_another_is_told", mount::overmounted),
    ("mount::what_of_the_host_is_mounted_in_is_told_and_whether_writable", mount::from_host),
    ("mount::an_ordinary_user_sees_the_mounts_of_containers", mount::without_rights),
    ("mount_use::figures_are_those_of_df", mount_use::as_df),
    ("mount_use::those_of_other_namespaces_are_told_too", mount_use::elsewhere),
    ("mount_use::growth_is_what_was_written", mount_use::growth),
    ("mount_use::one_that_hangs_stalls_nothing", mount_use::hung),
    ("mount_use::one_that_hangs_while_watched_stops_no_tick", mount_use::hung_while_watched),
    ("finding::raised_for_exactly_those_the_scene_makes_so", finding::exactly_those),
    ("finding::level_and_container_choose_and_the_exit_code_says_so", finding::exit_codes),
    ("finding::an_ordinary_user_finds_less_and_is_told_so", finding::without_rights),
    ("finding::zombies_of_a_parent_that_stands_still_until_it_goes_on", finding::container::zombies),
    ("finding::as_many_tasks_as_allowed_until_more_are", finding::container::pids),
    ("finding::started_again_and_again_until_its_policy_is_gone", finding::container::restart_loop),
    ("finding::two_kills_for_memory_are_two_until_it_is_removed", finding::container::oom_kills),
    ("finding::an_engine_that_is_silent_until_it_answers", finding::engine::silent),
    ("finding::nothing_is_forwarded_until_it_is", finding::network::forwarding_off),
    ("finding::ports_that_lead_nowhere_until_they_do_not", finding::network::stale_dnat),
    ("finding::a_gateway_that_is_silent_or_another_until_it_is_asked_again", finding::network::gateway),
    ("finding::one_hardware_address_for_two_containers_until_each_has_its_own", finding::network::shared_mac),
    ("finding::a_link_that_drops_until_both_ends_agree", finding::network::losses),
    ("finding::a_namespace_without_process_until_its_name_is_gone", finding::network::empty_namespace),
    ("finding::not_as_declared_until_set_back", finding::confined::not_as_declared),
    ("finding::never_killed_until_it_has_a_limit", finding::confined::never_killed),
    ("finding::as_good_as_the_host_until_made_anew", finding::confined::too_free),
    ("namespace::those_with_processes_are_those_of_lsns", namespace::as_lsns),
    ("namespace::the_matrix_is_that_of_the_links_of_each_init", namespace::matrix),
    ("namespace::nesting_users_names_and_clocks_are_told", namespace::inside_and_outside),
    ("namespace::what_lsns_does_not_see_is_listed_with_what_keeps_it", namespace::without_process),
    ("namespace::an_ordinary_user_is_told_what_is_hidden", namespace::without_rights),
    ("device::devices_are_those_of_lsblk", device::as_lsblk),
    ("device::figures_are_those_of_iostat", device::as_iostat),
    ("device::figures_are_those_of_the_kernel_and_of_dd", device::figures),
    ("file::open_files_are_those_of_lsof", file::as_lsof),
    ("file::a_deleted_file_is_told_with_the_space_it_holds", file::deleted),
    ("file::host_paths_lead_to_the_very_files", file::host_path),
    ("file::what_dd_writes_is_told_as_growth", file::growth),
    ("file::who_ended_or_is_hidden_is_told_in_a_line", file::refused),
    ("dns::answers_are_those_of_nslookup_and_the_engine", dns::answers),
    ("dns::exports_are_taken_by_the_programs_they_are_for", dns::exports),
    ("dns::a_name_without_an_answer_is_told", dns::failures),
    ("dns::who_asks_keeps_no_namespace_alive", dns::not_pinned),
    ("enter::programs_find_names_as_the_container_does", enter::names),
    ("enter::a_container_without_any_file_is_entered", enter::scratch),
    ("enter::user_folder_code_signal_and_terminal_are_the_program_s", enter::passes),
    ("enter::the_host_stays_as_it_is_and_refusals_say_why", enter::refuses),
    ("who::a_pid_leads_to_container_parents_and_binary", who::pid),
    ("who::a_container_leads_to_its_pids", who::container),
    ("who::nobody_is_an_error_that_says_so", who::nobody),
    ("who::the_host_path_is_the_very_file", who::host_path),
    ("who::a_deleted_and_a_replaced_binary_are_told", who::deleted),
    ("ship::the_agent_in_a_container_shows_the_same", ship::as_container),
    ("engine::a_wrong_engine_hides_no_container", engine::wrong),
    ("engine::containers_stay_while_the_engine_is_dead", engine::dead),
    ("network::a_restart_while_watched_moves_one_container_alone", network::change::restart_while_watched),
    ("engine::a_kill_and_a_start_are_seen", engine::kill_and_start),
];

fn main() -> ExitCode {
    runner::run(CASES)
}
