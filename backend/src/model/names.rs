//! Files that decide what names lead to, for a host program that shall find them as a container does. Pure; contents come from
//! the container and from the host.

/// How a C library looks names up when no file says it.
const ORDER: &str = "files dns";

/// The host's `nsswitch.conf` with the container's way to find hosts: users and groups stay the host's, and modules that the
/// container's C library loads for them need not be there.
pub(crate) fn nsswitch(host: &str, inside: Option<&str>) -> String {
    let order = inside.and_then(order_of).unwrap_or(ORDER);
    let kept = host.lines().filter(|line| order_of(line).is_none());
    let line = format!("hosts: {order}");
    kept.chain(std::iter::once(line.as_str())).flat_map(|line| [line, "\n"]).collect()
}

/// What follows `hosts:` in a file or a line.
fn order_of(text: &str) -> Option<&str> {
    let told = text.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"))?;
    let told = told.split('#').next().unwrap_or_default().trim();
    Some(if told.is_empty() { ORDER } else { told })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str =
        "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files\n\nnetworks: files\n";

    #[test]
    fn only_the_way_to_find_hosts_is_the_container_s() {
        let laid = nsswitch(HOST, Some("passwd: sss\n hosts:\tfiles dns myhostname # as ever\n"));
        assert_eq!(laid, "passwd: files systemd\n\nnetworks: files\nhosts: files dns myhostname\n");
    }

    #[test]
    fn without_a_word_of_the_container_files_go_before_dns() {
        for inside in [None, Some(""), Some("passwd: files\n"), Some("hosts: # nothing\n")] {
            assert!(nsswitch(HOST, inside).ends_with("networks: files\nhosts: files dns\n"), "{inside:?}");
        }
        assert_eq!(nsswitch("", None), "hosts: files dns\n");
    }
}
