//! Which names an engine gives a container, out of its `inspect` answer: `NetworkSettings.Networks` with addresses, aliases
//! and links.

use bollard::models::{ContainerInspectResponse, EndpointSettings};
use glasshull_shared::domain::dns::{Told, ToldNetwork};
use glasshull_shared::unit::{printable, short_id};

use crate::sys::text::cut;

/// Entries of one list taken over.
const ENTRIES_AT_MOST: usize = 200;
/// Networks on which engines answer for no names.
const WITHOUT_NAMES: [&str; 3] = ["bridge", "host", "none"];

/// What the answer tells.
pub(super) fn of(id: &str, answer: &ContainerInspectResponse) -> Told {
    let container = answer.name.as_deref().unwrap_or_default().trim_start_matches('/');
    let networks = answer.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut networks: Vec<ToldNetwork> = networks
        .into_iter()
        .flatten()
        .take(ENTRIES_AT_MOST)
        .map(|(name, end)| network(name, end, [container, short_id(id)]))
        .collect();
    networks.sort();
    let servers = answer.host_config.iter().filter_map(|host| host.dns.as_ref()).flatten();
    Told { networks, servers: servers.take(ENTRIES_AT_MOST).map(|server| shown(server)).collect() }
}

fn network(name: &str, end: &EndpointSettings, own: [&str; 2]) -> ToldNetwork {
    let filled = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(shown);
    let mut names = Vec::new();
    if !WITHOUT_NAMES.contains(&name) {
        let more = end.dns_names.iter().chain(&end.aliases).flatten().map(String::as_str);
        for one in own.into_iter().chain(more).filter(|one| !one.is_empty()).map(shown) {
            if !names.contains(&one) && names.len() < ENTRIES_AT_MOST {
                names.push(one);
            }
        }
    }
    let link = |link: &String| link.split_once(':').map(|(whom, alias)| (shown(whom), shown(alias)));
    ToldNetwork {
        network: shown(name),
        id: filled(&end.network_id).unwrap_or_else(|| shown(name)),
        gateways: [&end.gateway, &end.ipv6_gateway].into_iter().filter_map(filled).collect(),
        addresses: [&end.ip_address, &end.global_ipv6_address].into_iter().filter_map(filled).collect(),
        names,
        links: end.links.iter().flatten().take(ENTRIES_AT_MOST).filter_map(link).collect(),
    }
}

fn shown(text: &str) -> String {
    cut(printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_where_the_engine_answers_for_them() {
        let id = "0f3c5a9e1b7d".repeat(6).get(..64).unwrap().to_owned();
        let answer = serde_json::from_value(serde_json::json!({
            "Name": "/web", "Config": {"Env": ["PASSWORD=secret"]}, "HostConfig": {"Dns": ["10.0.0.53"]},
            "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2", "NetworkID": "b0", "Gateway": "172.17.0.1"},
                "app": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2", "NetworkID": "a0", "Gateway": "",
                        "Aliases": ["www", "web"], "DNSNames": ["web", "www", "0f3c5a9e1b7d"],
                        "Links": ["db:database", "garbage"]}
            }}
        }))
        .unwrap();
        let told = of(&id, &answer);
        let [app, bridge] = &told.networks[..] else { panic!("{told:?}") };
        assert_eq!(app.names, ["web", "0f3c5a9e1b7d", "www"]);
        assert_eq!(app.addresses, ["172.18.0.2", "fd00::2"]);
        assert_eq!(app.links, [("db".to_owned(), "database".to_owned())]);
        assert!(bridge.names.is_empty() && app.gateways.is_empty());
        assert_eq!(told.servers, ["10.0.0.53"]);
        assert_eq!(bridge.gateways, ["172.17.0.1"]);
    }

    #[test]
    fn nothing_told_is_nothing_known_and_everything_is_bounded() {
        assert_eq!(of("aa", &ContainerInspectResponse::default()), Told::default());
        let many = vec!["x".repeat(9000); 1000];
        let answer = serde_json::json!({"NetworkSettings": {"Networks": {"n\n": {"Aliases": many}}}});
        let told = of("aa", &serde_json::from_value(answer).unwrap());
        let names: Vec<_> = told.networks[0].names.iter().map(String::len).collect();
        assert_eq!((names, told.networks[0].id.as_str()), (vec![2, 4096], "n\\n"));
    }
}
