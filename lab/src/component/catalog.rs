//! Which components there are, and what names a build of one.

use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

use crate::image::ImageBuilder;
use crate::paths::Home;

/// The pins (`go.mod`, `go.sum` and where needed a source file) of every component.
static PINS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/components");

/// The image of the process that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "plimsoll.dev/lab/pause:1";

/// The file of a component's image archive, in the component's directory.
pub(crate) const IMAGE_ARCHIVE: &str = "image.tar";

/// How everything in Go is compiled; the scripts in `ci/` compile with the same, so that all of it is compiled once. The
/// linker leaves debug information out: not to make it saves a sixth of the compiler's time.
pub(super) const FLAGS: &str = include_str!("../../components/GOFLAGS");

/// Raised when the way in which components are built or packed changes.
const RECIPE: &str = "1";

/// One component: a Go module of pins, what to build out of it, and the image that is made of it, if any.
#[derive(Debug)]
pub(crate) struct Component {
    /// Its name, and that of its directory of pins.
    pub(crate) name: &'static str,
    /// The directory under `components/` with its pins.
    pub(crate) module: &'static str,
    /// The module whose version is the component's, if it is not all ours.
    pub(crate) upstream: Option<&'static str>,
    /// The packages to build, each a program.
    pub(crate) packages: &'static [&'static str],
    /// The name of the program where Go would choose another.
    pub(crate) program: Option<&'static str>,
    /// Variables set at link time, as `-X` takes them.
    pub(crate) variables: &'static [&'static str],
    /// The image to make of the built programs.
    pub(crate) image: Option<fn(&Path) -> std::io::Result<ImageBuilder>>,
    /// Whether a lab can start without it.
    pub(crate) optional: bool,
}

/// Every component, in the order in which they are built: what the control plane needs comes first, so that the lab
/// starts while the rest is still being built.
pub(crate) const ALL: &[Component] = &[
    Component {
        name: "pause",
        module: "pause",
        upstream: None,
        packages: &["."],
        program: Some("pause"),
        variables: &[],
        image: Some(pause_image),
        optional: false,
    },
    Component {
        name: "cni-plugins",
        module: "cni-plugins",
        upstream: Some("github.com/containernetworking/plugins"),
        packages: &[
            "github.com/containernetworking/plugins/plugins/ipam/host-local",
            "github.com/containernetworking/plugins/plugins/main/loopback",
            "github.com/containernetworking/plugins/plugins/main/ptp",
            "github.com/containernetworking/plugins/plugins/meta/portmap",
        ],
        program: None,
        variables: &[],
        image: None,
        optional: false,
    },
    Component {
        name: "etcd",
        module: "etcd",
        upstream: Some("go.etcd.io/etcd/server/v3"),
        packages: &["go.etcd.io/etcd/server/v3"],
        program: Some("etcd"),
        variables: &[],
        image: None,
        optional: false,
    },
    Component {
        name: "kubernetes",
        module: "kubernetes",
        upstream: Some("k8s.io/kubernetes"),
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubelet",
        ],
        program: None,
        variables: KUBERNETES_VARIABLES,
        image: None,
        optional: false,
    },
    Component {
        name: "coredns",
        module: "coredns",
        upstream: Some("github.com/coredns/coredns"),
        packages: &["."],
        program: Some("coredns"),
        variables: &[],
        image: Some(coredns_image),
        optional: false,
    },
    Component {
        name: "agnhost",
        module: "kubernetes",
        upstream: Some("k8s.io/kubernetes"),
        packages: &["k8s.io/kubernetes/test/images/agnhost"],
        program: None,
        variables: KUBERNETES_VARIABLES,
        image: Some(agnhost_image),
        optional: true,
    },
];

/// What `kubectl version` and the version skew checks of others see; `{version}` is the pinned one.
const KUBERNETES_VARIABLES: &[&str] = &[
    "k8s.io/component-base/version.gitVersion={version}",
    "k8s.io/component-base/version.gitMajor={major}",
    "k8s.io/component-base/version.gitMinor={minor}",
    "k8s.io/component-base/version.gitTreeState=clean",
];

/// The component of a name.
pub(crate) fn find(name: &str) -> Option<&'static Component> {
    ALL.iter().find(|component| component.name == name)
}

impl Component {
    /// The files that pin it.
    pub(crate) fn pins(&self) -> Vec<(&'static str, &'static [u8])> {
        let mut files: Vec<_> = PINS
            .get_dir(self.module)
            .into_iter()
            .flat_map(Dir::files)
            .filter_map(|file| Some((file.path().file_name()?.to_str()?, file.contents())))
            .collect();
        files.sort_unstable();
        files
    }

    /// The version of the upstream module that the pins name.
    pub(crate) fn version(&self) -> Option<&'static str> {
        let text = self.pins().into_iter().find(|(name, _)| *name == "go.mod")?.1;
        let upstream = self.upstream?;
        std::str::from_utf8(text).ok()?.lines().find_map(|line| {
            let mut words = line.trim().trim_start_matches("require ").split_ascii_whitespace();
            let (module, version) = (words.next()?, words.next()?);
            (module == upstream && version.starts_with('v')).then_some(version)
        })
    }

    /// The flags of the linker.
    pub(crate) fn linker_flags(&self) -> String {
        let version = self.version().unwrap_or("v0.0.0");
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
        let mut flags = String::from("-s -w");
        for variable in self.variables {
            let variable =
                variable.replace("{version}", version).replace("{major}", major).replace("{minor}", minor);
            flags.push_str(" -X ");
            flags.push_str(&variable);
        }
        flags
    }

    /// Where the built component lies. The name changes whenever the result would.
    pub(crate) fn directory(&self, home: &Home) -> PathBuf {
        home.components().join(format!("{}-{}", self.name, self.key()))
    }

    fn key(&self) -> String {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(RECIPE.as_bytes());
        part(std::env::consts::ARCH.as_bytes());
        part(FLAGS.as_bytes());
        part(self.linker_flags().as_bytes());
        for package in self.packages {
            part(package.as_bytes());
        }
        for (name, content) in self.pins() {
            part(name.as_bytes());
            part(content);
        }
        hex::encode(&digest.finalize()[..8])
    }
}

fn pause_image(bin: &Path) -> std::io::Result<ImageBuilder> {
    Ok(ImageBuilder::new(PAUSE_IMAGE)
        .file("/pause", std::fs::read(bin.join("pause"))?, 0o755)
        .entrypoint(["/pause"])
        .user("65535:65535"))
}

fn coredns_image(bin: &Path) -> std::io::Result<ImageBuilder> {
    Ok(ImageBuilder::new("plimsoll.dev/lab/coredns:1")
        .file("/coredns", std::fs::read(bin.join("coredns"))?, 0o755)
        .entrypoint(["/coredns"]))
}

/// The image under the name that the upstream tests ask for.
fn agnhost_image(bin: &Path) -> std::io::Result<ImageBuilder> {
    Ok(ImageBuilder::new("registry.k8s.io/e2e-test-images/agnhost:2.43")
        .file("/agnhost", std::fs::read(bin.join("agnhost"))?, 0o755)
        .directory("/tmp", 0o1777)
        .entrypoint(["/agnhost"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_its_pins() {
        for component in ALL {
            let names: Vec<_> = component.pins().iter().map(|(name, _)| *name).collect();
            assert!(names.contains(&"go.mod"), "{}: {names:?}", component.name);
            if component.upstream.is_some() {
                assert!(names.contains(&"go.sum"), "{}: {names:?}", component.name);
                assert!(component.version().is_some(), "{}", component.name);
            }
        }
    }

    #[test]
    fn the_key_depends_on_what_is_built() {
        let keys: std::collections::BTreeSet<_> = ALL.iter().map(Component::key).collect();
        assert_eq!(keys.len(), ALL.len());
    }

    #[test]
    fn kubernetes_knows_its_version() {
        let kubernetes = find("kubernetes").unwrap();
        let version = kubernetes.version().unwrap();
        assert!(version.starts_with("v1."), "{version}");
        assert!(kubernetes.linker_flags().contains(&format!("gitVersion={version} ")));
    }
}
