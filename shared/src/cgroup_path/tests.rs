//! One row per layout a runtime makes; then what must never happen.

use proptest::prelude::*;

use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const POD: &str = "6e1d42a5-5b2c-4c1e-8a74-1f2d3c4b5a69";

struct Row {
    path: String,
    id: &'static str,
    runtime: Runtime,
    pod: Option<&'static str>,
    parent: Option<&'static str>,
    /// What follows the container's own cgroup.
    below: &'static str,
}

/// `A`, `B` and `POD` (dashes) and `P_D` (underscores) stand for ids in the paths below.
fn row(path: &str, id: &'static str, runtime: Runtime) -> Row {
    let path = path.replace("P_D", &POD.replace('-', "_")).replace("POD", POD);
    let path = path.replace("<A>", A).replace("<B>", B);
    Row { path, id, runtime, pod: None, parent: None, below: "" }
}

impl Row {
    fn pod(mut self, pod: &'static str) -> Self {
        self.pod = Some(pod);
        self
    }
    fn parent(mut self, parent: &'static str) -> Self {
        self.parent = Some(parent);
        self
    }
    fn below(mut self, below: &'static str) -> Self {
        self.below = below;
        self
    }
}

fn rows() -> Vec<Row> {
    use Runtime::*;
    let rootless = "/user.slice/user-1000.slice/user@1000.service/user.slice";
    vec![
        // Docker
        row("/docker/<A>", A, Docker),
        row("/docker/<A>/system.slice/cron.service", A, Docker).below("/system.slice/cron.service"),
        row("/docker/<A>/init.scope", A, Docker).below("/init.scope"),
        row("/system.slice/docker-<A>.scope", A, Docker),
        row(&format!("{rootless}/docker-<A>.scope"), A, Docker),
        row("/my-parent/<A>", A, Unknown),
        row("/system.slice:docker:<A>", A, Docker),
        row("/docker/buildkit/y1mnwbbc6nbqhfzh0j1tg9h7s", "y1mnwbbc6nbqhfzh0j1tg9h7s", Docker),
        // Podman
        row("/libpod_parent/libpod-<A>", A, Podman),
        row("/libpod_parent/libpod-<A>/container", A, Podman).below("/container"),
        row("/libpod_parent/<B>/libpod-<A>", A, Podman).pod(B),
        row("/machine.slice/libpod-<A>.scope", A, Podman),
        row("/machine.slice/libpod-<A>.scope/container", A, Podman).below("/container"),
        row(&format!("{rootless}/libpod-<A>.scope/container"), A, Podman).below("/container"),
        row(&format!("{rootless}/user-libpod_pod_<B>.slice/libpod-<A>.scope"), A, Podman).pod(B),
        row("/machine.slice/machine-libpod_pod_<B>.slice/libpod-<A>.scope", A, Podman).pod(B),
        row("/system.slice/web.service/libpod-payload-<A>", A, Podman),
        // containerd
        row("/default/<A>", A, Containerd),
        row("/default/web-1", "web-1", Containerd),
        row("/k8s.io/<A>", A, Containerd),
        row("/system.slice/nerdctl-<A>.scope", A, Containerd),
        row("/system.slice:nerdctl:web", "web", Containerd),
        // Kubernetes
        row("/kubepods/burstable/podPOD/<A>", A, Containerd).pod(POD),
        row("/kubepods/podPOD/<A>", A, Containerd).pod(POD),
        row("/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/<A>", A, Containerd)
            .pod("0123456789abcdef0123456789abcdef"),
        row(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_D.slice/cri-containerd-<A>.scope",
            A,
            Containerd,
        )
        .pod(POD),
        row("/kubepods.slice/kubepods-podP_D.slice/docker-<A>.scope", A, Docker).pod(POD),
        row("/system.slice/containerd.service/kubepods-besteffort-podP_D.slice:cri-containerd:<A>", A, Containerd)
            .pod(POD),
        // CRI-O
        row("/kubepods/besteffort/podPOD/crio-<A>", A, Crio).pod(POD),
        row("/kubepods.slice/kubepods-podP_D.slice/crio-<A>.scope/container", A, Crio).pod(POD).below("/container"),
        // kind and Docker in Docker
        row("/docker/<B>/kubelet/kubepods/burstable/podPOD/<A>", A, Containerd).pod(POD).parent(B),
        row(
            "/system.slice/docker-<B>.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podP_D.slice/cri-containerd-<A>.scope",
            A,
            Containerd,
        )
        .pod(POD)
        .parent(B),
        row("/docker/<B>/docker/<A>", A, Docker).parent(B),
        row("/docker/<B>/init", B, Docker).below("/init"),
        // LXC, LXD, Incus, libvirt-lxc
        row("/lxc/web", "web", Lxc),
        row("/lxc/101/ns/init.scope", "101", Lxc).below("/ns/init.scope"),
        row("/lxc.payload/web/system.slice/ssh.service", "web", Lxc).below("/system.slice/ssh.service"),
        row("/lxc.payload.web", "web", Lxc),
        row("/lxc.payload.project_web/init.scope", "project_web", Lxc).below("/init.scope"),
        row("/lxc.payload.web/docker/<A>", A, Docker).parent("web"),
        row("/machine.slice/machine-lxc\\x2d1234\\x2dweb.scope", "web", Lxc),
        // systemd-nspawn
        row("/machine.slice/systemd-nspawn@web.service/payload", "web", Nspawn).below("/payload"),
        row("/machine.slice/systemd-nspawn@my\\x2dweb.service/payload/init.scope", "my-web", Nspawn)
            .below("/payload/init.scope"),
        row("/machine.slice/machine-web.scope/payload", "web", Nspawn).below("/payload"),
        row("/docker/<B>/machine.slice/machine-web.scope/supervisor", B, Docker)
            .below("/machine.slice/machine-web.scope/supervisor"),
        // plain runtimes under the systemd driver
        row("/system.slice/runc-web.scope", "web", Oci),
        row("/user.slice/user-1000.slice/crun-my-web.scope", "my-web", Oci),
        row("/system.slice/youki-<A>.scope", A, Oci),
        // others
        row("/ecs/0123456789abcdef0123456789abcdef/<A>", A, Docker),
        row("/garden/2b7a1c9e-1111", "2b7a1c9e-1111", Oci),
        row("/kubepods/burstable/podPOD/kata_<A>", A, Containerd).pod(POD),
        row(
            "/nomad.slice/share.slice/6e1d42a5-5b2c-4c1e-8a74-1f2d3c4b5a69.web.scope",
            "6e1d42a5-5b2c-4c1e-8a74-1f2d3c4b5a69.web",
            Unknown,
        ),
        // seen from inside a cgroup namespace
        row("/../<A>", A, Unknown),
        row("/../../docker/<A>", A, Docker),
        row("/../<A>/docker/<B>", B, Docker).parent(A),
        row("/../../../kubepods.slice/kubepods-podP_D.slice/cri-containerd-<A>.scope", A, Containerd).pod(POD),
    ]
}

#[test]
fn every_layout_tells_its_container() {
    for row in rows() {
        let found = parse(&row.path).unwrap_or_else(|| panic!("no container in {}", row.path));
        assert_eq!(found.id, row.id, "id of {}", row.path);
        assert_eq!(found.runtime, row.runtime, "runtime of {}", row.path);
        assert_eq!(found.pod.as_deref(), row.pod, "pod of {}", row.path);
        assert_eq!(found.parent.as_deref(), row.parent, "parent of {}", row.path);
        assert_eq!(found.path, row.path.strip_suffix(row.below).unwrap(), "own cgroup of {}", row.path);
    }
}

#[test]
fn what_is_no_container_is_none() {
    let conmon = format!("/machine.slice/libpod-conmon-{A}.scope");
    let crio = format!("/kubepods.slice/kubepods-pod{}.slice/crio-conmon-{A}.scope", POD.replace('-', "_"));
    let short = format!("/docker/{}", &A[..63]);
    let upper = format!("/docker/{}", A.to_uppercase());
    let pod = format!("/kubepods/burstable/pod{POD}");
    for path in [
        "/",
        "",
        "/..",
        "/../..",
        "/init.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/user.slice/user-1000.slice/session-1.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.gnome.Maps-4711.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/snap.firefox.firefox-6e1d42a5.scope",
        "/libpod_parent/conmon",
        &format!("/libpod_parent/{B}"),
        &format!("/libpod_parent/{B}/conmon"),
        "/lxc.monitor.web",
        "/lxc.monitor/web",
        "/machine.slice/machine-web.scope/supervisor",
        "/machine.slice/systemd-nspawn@web.service/supervisor",
        "/machine.slice/machine-qemu\\x2d1\\x2ddebian.scope/libvirt/emulator",
        "/lxc",
        "/docker",
        "/default",
        "/mycontainer",
        &conmon,
        &crio,
        &short,
        &upper,
        &pod,
    ] {
        assert_eq!(parse(path), None, "{path}");
    }
}

#[test]
fn the_line_that_tells_the_container_wins() {
    let text =
        format!("9:name=systemd:/\n4:memory:/process_api/x\n3:cpu:/docker/{A}\n0::/system.slice/x.service\n");
    assert_eq!(deepest(&text), Some(format!("/docker/{A}").as_str()));
    let nested = format!("3:cpu:/docker/{B}\n1:name=systemd:/docker/{B}/docker/{A}\n0::/docker/{B}\n");
    assert_eq!(deepest(&nested), Some(format!("/docker/{B}/docker/{A}").as_str()));
    assert_eq!(deepest("4:memory:/a\n1:name=systemd:/b\n0::/c\n"), Some("/c"));
    assert_eq!(deepest("4:memory:/a\n1:name=systemd:/b\n"), Some("/b"));
    assert_eq!(deepest("4:memory:/a\n3:cpu:/b\n"), Some("/a"));
    assert_eq!(deepest("0::/with:colons\n"), Some("/with:colons"));
    assert_eq!(deepest(""), None);
    assert_eq!(deepest("garbage\n:::\n1:2\n"), None);
}

#[test]
fn a_cgroup_that_names_nobody_can_still_be_own() {
    assert_eq!(unnamed("/job", ""), Some("/job"));
    assert_eq!(unnamed("/job/init.scope", ""), Some("/job"));
    let docker = format!("/docker/{A}");
    assert_eq!(unnamed(&format!("{docker}/job/container"), &docker), Some(format!("{docker}/job").as_str()));
    for shared in [
        "/",
        "",
        "/..",
        "/init.scope",
        "/user.slice/user-1000.slice/session-2.scope",
        "/a.slice",
        "/b.service",
    ] {
        assert_eq!(unnamed(shared, ""), None, "{shared}");
    }
    assert_eq!(unnamed(&docker, &docker), None);
}

#[test]
fn escapes_that_are_none_stay() {
    assert_eq!(unescape("a\\x2db"), "a-b");
    assert_eq!(unescape("a\\x"), "a\\x");
    assert_eq!(unescape("a\\xzz\\x4"), "a\\xzz\\x4");
    assert_eq!(unescape("\\xff\\x41"), "\u{fffd}A");
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,300}") {
        let _ = (parse(&text), deepest(&text), unnamed(&text, "/"));
    }

    /// Text made of the very words runtimes use, in any order, is where slicing would go wrong.
    #[test]
    fn any_order_of_known_words_is_survived(words in proptest::collection::vec(0usize..22, 0..12)) {
        const WORDS: [&str; 22] = [
            "/", "..", "docker", "-", ".scope", ".slice", "libpod-", A, B, "pod", POD, "kubepods", ":", "\\x2d",
            "lxc.payload", ".", "machine-", "systemd-nspawn@", ".service", "é", "supervisor", "crio-",
        ];
        let path: String = words.iter().map(|w| WORDS[*w]).collect();
        if let Some(found) = parse(&path) {
            prop_assert!(path.starts_with(found.path));
            prop_assert!(!found.id.is_empty());
            // The own cgroup names the same container as the whole path.
            prop_assert_eq!(parse(found.path).map(|f| f.id), Some(found.id.clone()));
        }
    }
}
