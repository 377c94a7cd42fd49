//! Links and routes, made with `ip`: the bridge of a lab, and the link that joins a node to it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use crate::address;
use crate::error::{Context as _, LabError, Result};
use crate::preflight::find_program;

const BRIDGE: &str = "lab0";

/// Makes the bridge that the nodes are joined by. There is no link out of it.
pub(super) fn make_bridge() -> Result<()> {
    prepare()?;
    batch(&bridge_commands())
}

/// Makes the link of a node; its far end appears in the node as `eth0`. `process` is in the node's namespace.
pub(super) fn link_node(index: u16, process: u32) -> Result<()> {
    batch(&link_commands(index, process))
}

/// Configures a node's end of its link, in the node.
pub(super) fn configure_node(index: u16, nodes: u16) -> Result<()> {
    batch(&node_commands(index, nodes))
}

fn bridge_commands() -> String {
    let own = address::CONTROL_PLANE;
    format!(
        "link set lo up\nlink add {BRIDGE} type bridge\naddr add {own}/{} dev {BRIDGE}\naddr add {}/32 dev {BRIDGE}\nlink set {BRIDGE} up\n",
        address::NODE_PREFIX,
        address::METADATA
    )
}

fn link_commands(index: u16, process: u32) -> String {
    let link = format!("node{}", index + 1);
    format!(
        "link add {link} type veth peer name eth0 netns {process}\nlink set {link} master {BRIDGE} up\n{}",
        route(index, address::node(index))
    )
}

fn node_commands(index: u16, nodes: u16) -> String {
    let own = address::node(index);
    let mut commands = format!(
        "link set lo up\naddr add {own}/{} dev eth0\nlink set eth0 up\nroute add default via {}\n",
        address::NODE_PREFIX,
        address::CONTROL_PLANE
    );
    for other in (0..nodes).filter(|other| *other != index) {
        commands.push_str(&route(other, address::node(other)));
    }
    commands
}

fn route(index: u16, via: Ipv4Addr) -> String {
    format!("route replace {} via {via}\n", address::pod_range(index))
}

/// Sets the parameters of this network namespace, before it has any link. IPv6 is off on every link made from now on: nothing in the lab routes it, and
/// a link-local address would be a path that no policy mentions.
pub(super) fn prepare() -> Result<()> {
    for (parameter, value) in [("ipv4/ip_forward", "1"), ("ipv6/conf/default/disable_ipv6", "1")] {
        let path = format!("/proc/sys/net/{parameter}");
        match std::fs::write(&path, value) {
            // A kernel without IPv6 has none of its parameters.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            written => written.context(|| format!("writing {path}"))?,
        }
    }
    Ok(())
}

fn batch(commands: &str) -> Result<()> {
    let program = find_program("ip").ok_or_else(|| LabError::component("network", "there is no `ip`"))?;
    let mut child = Command::new(program)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(|| "starting `ip`")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes()).context(|| "writing to `ip`")?;
    }
    let output = child.wait_with_output().context(|| "waiting for `ip`")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(LabError::component("network", format!("`ip` failed: {}\nof:\n{commands}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        insta::assert_snapshot!(format!(
            "# bridge\n{}# link\n{}# node\n{}",
            bridge_commands(),
            link_commands(1, 42),
            node_commands(1, 3)
        ));
    }
}
