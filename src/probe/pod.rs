//! The pod that carries an agent.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, Pod,
    PodSecurityContext, PodSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Sysctl,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plimsoll_agent::protocol::env;

use super::image::{AGENT_PATH, AGENT_UID};

/// The container's name in every agent pod.
pub const AGENT_CONTAINER: &str = "agent";

/// What an agent pod is made from. The pod meets the `restricted` pod security standard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentPod {
    /// Where.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// The tenant that it answers for; may be empty.
    pub tenant: String,
    /// The image's reference.
    pub image: String,
    /// `Never` where the image was put onto the nodes, else left to the cluster.
    pub image_pull_policy: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// TCP echo. The first TCP or HTTP port is what readiness is judged by.
    pub tcp: Vec<u16>,
    /// UDP echo.
    pub udp: Vec<u16>,
    /// HTTP echo.
    pub http: Vec<u16>,
    /// Both names are set for a pod with a host name of its own under a headless service.
    pub subdomain: Option<String>,
    /// The node that it must run on.
    pub node: Option<String>,
    /// The service account, where not the namespace's default.
    pub service_account: Option<String>,
    /// Its container's resources; small ones where `None`.
    pub resources: Option<ResourceRequirements>,
}

impl AgentPod {
    /// The arguments of the agent: what it serves.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["serve".to_owned()];
        for (option, ports) in [("--tcp", &self.tcp), ("--udp", &self.udp), ("--http", &self.http)] {
            if !ports.is_empty() {
                let list: Vec<_> = ports.iter().map(u16::to_string).collect();
                arguments.extend([option.to_owned(), list.join(",")]);
            }
        }
        arguments
    }

    /// The container alone, for a workload of another kind. Its security context meets `restricted`; the pod's own
    /// ([`Self::security_context`]) has to go with it.
    pub fn container(&self) -> Container {
        let port = |protocol: &'static str| {
            move |&port: &u16| ContainerPort {
                container_port: port.into(),
                protocol: Some(protocol.to_owned()),
                ..ContainerPort::default()
            }
        };
        let mut ports: Vec<_> = self.tcp.iter().chain(&self.http).map(port("TCP")).collect();
        ports.extend(self.udp.iter().map(port("UDP")));
        let readiness = self.tcp.iter().chain(&self.http).next().map(|&port| Probe {
            tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(port.into()), host: None }),
            period_seconds: Some(1),
            timeout_seconds: Some(2),
            failure_threshold: Some(60),
            ..Probe::default()
        });
        Container {
            name: AGENT_CONTAINER.to_owned(),
            image: Some(self.image.clone()),
            image_pull_policy: self.image_pull_policy.clone(),
            command: Some(vec![AGENT_PATH.to_owned()]),
            args: Some(self.arguments()),
            env: Some(self.environment()),
            ports: Some(ports),
            readiness_probe: readiness,
            resources: Some(self.resources.clone().unwrap_or_else(small)),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                read_only_root_filesystem: Some(true),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }

    /// The pod's security context. A privileged port needs the kernel's leave, which is among the safe sysctls.
    pub fn security_context(&self) -> PodSecurityContext {
        let privileged = self.tcp.iter().chain(&self.udp).chain(&self.http).any(|&port| port < 1024);
        let sysctl = Sysctl { name: "net.ipv4.ip_unprivileged_port_start".to_owned(), value: "0".to_owned() };
        PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(AGENT_UID.into()),
            run_as_group: Some(AGENT_UID.into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            sysctls: privileged.then(|| vec![sysctl]),
            ..PodSecurityContext::default()
        }
    }

    /// The whole pod. It asks for no service account token and for no time to end in.
    pub fn pod(&self) -> Pod {
        Pod {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(self.labels.clone()),
                annotations: (!self.annotations.is_empty()).then(|| self.annotations.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                containers: vec![self.container()],
                security_context: Some(self.security_context()),
                hostname: self.subdomain.as_ref().map(|_| self.name.clone()),
                subdomain: self.subdomain.clone(),
                node_name: None,
                node_selector: self
                    .node
                    .clone()
                    .map(|node| BTreeMap::from([("kubernetes.io/hostname".to_owned(), node)])),
                service_account_name: self.service_account.clone(),
                automount_service_account_token: Some(false),
                enable_service_links: Some(false),
                termination_grace_period_seconds: Some(1),
                ..PodSpec::default()
            }),
            status: None,
        }
    }

    fn environment(&self) -> Vec<EnvVar> {
        let field = |name: &str, path: &str| EnvVar {
            name: name.to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector { field_path: path.to_owned(), api_version: None }),
                ..EnvVarSource::default()
            }),
            value: None,
        };
        vec![
            EnvVar { name: env::TENANT.to_owned(), value: Some(self.tenant.clone()), value_from: None },
            field(env::NAMESPACE, "metadata.namespace"),
            field(env::POD, "metadata.name"),
            field(env::NODE, "spec.nodeName"),
            field(env::ADDRESS, "status.podIP"),
        ]
    }
}

/// Enough for an agent and a few drivers. The processor's limit is well above the need: a throttled client would call an
/// open path silent.
fn small() -> ResourceRequirements {
    let amounts = |cpu: &str, memory: &str| {
        let amount = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
        Some(BTreeMap::from([amount("cpu", cpu), amount("memory", memory)]))
    };
    ResourceRequirements { requests: amounts("10m", "16Mi"), limits: amounts("200m", "48Mi"), claims: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_reads_as_an_auditor_expects() {
        let pod = AgentPod {
            namespace: "alpha".into(),
            name: "web-0".into(),
            tenant: "alpha".into(),
            image: "plimsoll.dev/agent:0123".into(),
            image_pull_policy: Some("Never".into()),
            labels: BTreeMap::from([("tier".into(), "web".into())]),
            tcp: vec![8080],
            udp: vec![53],
            subdomain: Some("web".into()),
            ..AgentPod::default()
        };
        insta::assert_snapshot!(serde_yaml::to_string(&pod.pod()).unwrap(), @r#"
apiVersion: v1
kind: Pod
metadata:
  labels:
    tier: web
  name: web-0
  namespace: alpha
spec:
  automountServiceAccountToken: false
  containers:
  - args:
    - serve
    - --tcp
    - '8080'
    - --udp
    - '53'
    command:
    - /plimsoll-agent
    env:
    - name: PLIMSOLL_TENANT
      value: alpha
    - name: PLIMSOLL_NAMESPACE
      valueFrom:
        fieldRef:
          fieldPath: metadata.namespace
    - name: PLIMSOLL_POD
      valueFrom:
        fieldRef:
          fieldPath: metadata.name
    - name: PLIMSOLL_NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    - name: PLIMSOLL_POD_IP
      valueFrom:
        fieldRef:
          fieldPath: status.podIP
    image: plimsoll.dev/agent:0123
    imagePullPolicy: Never
    name: agent
    ports:
    - containerPort: 8080
      protocol: TCP
    - containerPort: 53
      protocol: UDP
    readinessProbe:
      failureThreshold: 60
      periodSeconds: 1
      tcpSocket:
        port: 8080
      timeoutSeconds: 2
    resources:
      limits:
        cpu: 200m
        memory: 48Mi
      requests:
        cpu: 10m
        memory: 16Mi
    securityContext:
      allowPrivilegeEscalation: false
      capabilities:
        drop:
        - ALL
      readOnlyRootFilesystem: true
  enableServiceLinks: false
  hostname: web-0
  securityContext:
    runAsGroup: 65532
    runAsNonRoot: true
    runAsUser: 65532
    seccompProfile:
      type: RuntimeDefault
    sysctls:
    - name: net.ipv4.ip_unprivileged_port_start
      value: '0'
  subdomain: web
  terminationGracePeriodSeconds: 1
"#);
    }
}
