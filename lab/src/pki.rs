//! The lab's keys and certificates, made anew for every lab.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::address;
use crate::error::{LabError, Result};
use crate::paths::{write, write_private};

/// Who a client certificate speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    /// The user: the certificate's common name.
    pub(crate) user: &'a str,
    /// The group: its organisation.
    pub(crate) group: Option<&'a str>,
}

/// A certificate with its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

/// The lab's own certificate authority.
pub(crate) struct Authority {
    directory: PathBuf,
    cluster: CertifiedIssuer<'static, KeyPair>,
    front_proxy: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority, the API server's credentials and the keys of service accounts in a directory.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let authority = Self {
            directory: directory.to_owned(),
            cluster: root("plimsoll-lab")?,
            front_proxy: root("plimsoll-lab-front-proxy")?,
        };
        write(&directory.join("ca.crt"), authority.cluster.pem())?;
        write_private(&directory.join("ca.key"), authority.cluster.key().serialize_pem())?;
        write(&directory.join("front-proxy-ca.crt"), authority.front_proxy.pem())?;

        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let addresses = [Ipv4Addr::LOCALHOST, address::CONTROL_PLANE, address::API_SERVICE];
        let server = authority.server("kube-apiserver", None, &names, &addresses)?;
        authority.save("apiserver", &server)?;
        let to_kubelet = authority.client(Identity { user: "kube-apiserver-kubelet-client", group: None })?;
        authority.save("apiserver-kubelet-client", &to_kubelet)?;
        let front_proxy = leaf(
            &authority.front_proxy,
            "front-proxy-client",
            None,
            ExtendedKeyUsagePurpose::ClientAuth,
            vec![],
        )?;
        authority.save("front-proxy-client", &front_proxy)?;

        let issuer = authority.server("plimsoll-issuer", None, &["localhost"], &[Ipv4Addr::LOCALHOST])?;
        authority.save("issuer", &issuer)?;

        let accounts = KeyPair::generate().map_err(failed)?;
        write_private(&directory.join("service-accounts.key"), accounts.serialize_pem())?;
        write(&directory.join("service-accounts.pub"), accounts.public_key_pem())?;
        Ok(authority)
    }

    /// The certificate that signs everything in the lab.
    pub(crate) fn certificate(&self) -> String {
        self.cluster.pem()
    }

    /// A client's credentials.
    pub(crate) fn client(&self, identity: Identity<'_>) -> Result<Credential> {
        leaf(&self.cluster, identity.user, identity.group, ExtendedKeyUsagePurpose::ClientAuth, vec![])
    }

    /// A server's credentials.
    pub(crate) fn server(
        &self,
        name: &str,
        group: Option<&str>,
        names: &[&str],
        addresses: &[Ipv4Addr],
    ) -> Result<Credential> {
        let mut subjects = Vec::new();
        for name in names {
            subjects.push(SanType::DnsName((*name).try_into().map_err(failed)?));
        }
        subjects.extend(addresses.iter().map(|address| SanType::IpAddress(IpAddr::V4(*address))));
        leaf(&self.cluster, name, group, ExtendedKeyUsagePurpose::ServerAuth, subjects)
    }

    fn save(&self, name: &str, credential: &Credential) -> Result<()> {
        write(&self.directory.join(format!("{name}.crt")), &credential.certificate)?;
        write_private(&self.directory.join(format!("{name}.key")), &credential.key)
    }
}

fn root(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params(name, None)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)
}

fn leaf(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    organisation: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
    subjects: Vec<SanType>,
) -> Result<Credential> {
    let mut params = params(name, organisation)?;
    params.subject_alt_names = subjects;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    Ok(Credential { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn params(name: &str, organisation: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
    let mut subject = rcgen::DistinguishedName::new();
    if let Some(organisation) = organisation {
        subject.push(DnType::OrganizationName, organisation);
    }
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    Ok(params)
}

// By value: it is handed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: rcgen::Error) -> LabError {
    LabError::component("certificates", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_writes_what_the_control_plane_reads() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path()).unwrap();
        for file in [
            "ca.crt",
            "ca.key",
            "front-proxy-ca.crt",
            "apiserver.crt",
            "apiserver.key",
            "apiserver-kubelet-client.crt",
            "front-proxy-client.key",
            "service-accounts.key",
            "service-accounts.pub",
        ] {
            let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(text.starts_with("-----BEGIN "), "{file}");
        }
        let client = authority.client(Identity { user: "admin", group: Some("system:masters") }).unwrap();
        assert!(client.certificate.contains("BEGIN CERTIFICATE"));
        assert!(client.key.contains("BEGIN PRIVATE KEY"));
    }
}
