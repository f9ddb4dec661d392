"""Who the certificates of an instance speak for."""

import base64
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carrel.embedded import Instance, Network, Person, pki


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    made = Instance(
        name="one",
        index=3,
        state=tmp_path_factory.mktemp("one"),
        port=8443,
        network=Network.BRIDGE,
    )
    pki.make(made)
    return made


def certificate(instance: Instance, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((instance.keys / f"{name}.crt").read_bytes())


def subject(read: x509.Certificate) -> tuple[str, str]:
    def one(oid: x509.ObjectIdentifier) -> str:
        return "".join(str(a.value) for a in read.subject.get_attributes_for_oid(oid))

    return one(NameOID.COMMON_NAME), one(NameOID.ORGANIZATION_NAME)


def in_kubeconfig(path: Path) -> x509.Certificate:
    user = yaml.safe_load(path.read_text(encoding="utf-8"))["users"][0]["user"]
    return x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))


def test_a_demo_person_is_an_oidc_subject_without_any_group(instance: Instance) -> None:
    people = {p: subject(in_kubeconfig(instance.kubeconfig(p))) for p in Person}
    admin = people.pop(Person.ADMIN)
    assert admin == ("carrel-admin", "system:masters")
    assert people == {p: (f"oidc:demo-{p.value}", "") for p in people}


def test_nobody_but_the_administrator_is_a_master(instance: Instance) -> None:
    masters = [
        path.stem
        for path in instance.keys.glob("*.crt")
        if subject(certificate(instance, path.stem))[1] == "system:masters"
    ]
    assert masters == ["admin"]


def test_the_host_reaches_the_api_server_under_the_name_it_proves(instance: Instance) -> None:
    names = certificate(instance, "apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    addresses = {str(a) for a in names.value.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "10.96.0.1", "10.203.0.2"}
    document = yaml.safe_load(instance.kubeconfig().read_text(encoding="utf-8"))
    assert document["clusters"][0]["cluster"]["server"] == "https://10.203.0.2:6443"


def test_a_client_cannot_pose_as_a_server(instance: Instance) -> None:
    uses = certificate(instance, "researcher").extensions.get_extension_for_class(
        x509.ExtendedKeyUsage
    )
    assert list(uses.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_each_authority_signs_only_its_own(instance: Instance) -> None:
    issuers = {
        name: certificate(instance, name).issuer
        for name in ("researcher", "front-proxy", "apiserver-etcd")
    }
    assert len(set(issuers.values())) == 3


def test_keys_and_kubeconfigs_are_for_root_alone(instance: Instance) -> None:
    folders = (instance.keys, instance.kubeconfig().parent)
    secret = [p for folder in folders for p in folder.iterdir() if p.suffix in {".key", ".conf"}]
    assert secret
    assert {oct(p.stat().st_mode & 0o777) for p in secret} == {"0o600"}
    assert {oct(folder.stat().st_mode & 0o777) for folder in folders} == {"0o700"}


def test_a_second_time_keeps_every_key(instance: Instance) -> None:
    before = {p.name: p.read_bytes() for p in instance.keys.iterdir()}
    pki.make(instance)
    assert {p.name: p.read_bytes() for p in instance.keys.iterdir()} == before


def test_a_broken_authority_is_replaced_with_all_that_it_signed(tmp_path: Path) -> None:
    made = Instance(name="two", index=0, state=tmp_path, port=1, network=Network.BRIDGE)
    pki.make(made)
    tokens = (made.keys / "service-accounts.key").read_bytes()
    before = certificate(made, "kubelet")
    (made.keys / "ca.crt").write_text("broken", encoding="ascii")
    pki.make(made)
    certificate(made, "kubelet").verify_directly_issued_by(certificate(made, "ca"))
    assert certificate(made, "kubelet") != before
    assert (made.keys / "service-accounts.key").read_bytes() == tokens
