"""Trust made in an empty namespace, found again, renewed in time, and never made worse."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from carrel.cluster import JSON, Deadline, Ref
from carrel.cluster.refs import CONFIG_MAP, NAMESPACE, SECRET
from carrel.flows.certificates import (
    AUTHORITY_LIFE,
    SERVER_LIFE,
    Pair,
    Use,
    serves,
    split_bundle,
)
from carrel.flows.clock import FixedClock
from carrel.flows.trust import Certificates, TrustError, ensure_trust
from support.fake_cluster import FakeCluster

PLACE = "carrel-system"
NOW = datetime(2027, 1, 1, tzinfo=UTC)
NAMES = ("carrel-ingest.carrel-system.svc", "carrel-ingest", "carrel-ingest.carrel-system")


def _secret(name: str) -> Ref:
    return Ref(SECRET, name, PLACE)


def _config_map(name: str) -> Ref:
    return Ref(CONFIG_MAP, name, PLACE)


@pytest.fixture
def clock() -> FixedClock:
    """Stand at the beginning of 2027."""
    return FixedClock(NOW)


@pytest.fixture
async def cluster(clock: FixedClock) -> FakeCluster:
    """Hold the platform's namespace and nothing in it."""
    fake = FakeCluster(now=clock.now)
    await fake.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    fake.writes.clear()
    return fake


async def _ensure(
    cluster: FakeCluster, clock: FixedClock, certificates: Certificates = Certificates.MADE
) -> tuple[str, ...]:
    return await ensure_trust(cluster, namespace=PLACE, certificates=certificates, clock=clock)


def _pair(cluster: FakeCluster, name: str) -> Pair:
    data = cluster.objects[_secret(name)]["data"]
    return Pair(
        certificate=base64.b64decode(data["tls.crt"]), key=base64.b64decode(data["tls.key"])
    )


def _bundle(cluster: FakeCluster) -> tuple[bytes, ...]:
    return split_bundle(cluster.objects[_config_map("carrel-ca")]["data"]["ca.crt"].encode())


async def test_everything_is_made_in_an_empty_namespace(cluster: FakeCluster, clock: FixedClock):
    """The signing key, its public half, an authority and a server that it signed."""
    await _ensure(cluster, clock)
    assert set(cluster.objects) - {Ref(NAMESPACE, PLACE)} == {
        _secret("carrel-ingest-signing"),
        _config_map("carrel-ingest-public-key"),
        _secret("carrel-ca"),
        _config_map("carrel-ca"),
        _secret("carrel-ingest-tls"),
    }
    assert _bundle(cluster) == (_pair(cluster, "carrel-ca").certificate,)
    assert serves(_pair(cluster, "carrel-ingest-tls"), NAMES, authority=_bundle(cluster)[0])


async def test_a_second_run_writes_nothing(cluster: FakeCluster, clock: FixedClock):
    """Every upgrade runs it."""
    await _ensure(cluster, clock)
    cluster.writes.clear()
    assert (await _ensure(cluster, clock), cluster.writes) == ((), [])


async def test_a_server_is_renewed_in_time_by_the_same_authority(
    cluster: FakeCluster, clock: FixedClock
):
    """Nobody has to trust anything new."""
    await _ensure(cluster, clock)
    before = _pair(cluster, "carrel-ingest-tls"), _bundle(cluster)
    clock.advance(SERVER_LIFE * 3 / 4)
    cluster.writes.clear()
    await _ensure(cluster, clock)
    after = _pair(cluster, "carrel-ingest-tls"), _bundle(cluster)
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
    assert cluster.writes == [f"apply {_secret('carrel-ingest-tls')}"]


async def test_an_old_authority_is_followed_by_another_and_still_trusted(
    cluster: FakeCluster, clock: FixedClock
):
    """Certificates of the old one are in use until each is renewed."""
    await _ensure(cluster, clock)
    old = _bundle(cluster)
    clock.advance(AUTHORITY_LIFE * 3 / 4)
    await _ensure(cluster, clock)
    new = _pair(cluster, "carrel-ca").certificate
    assert _bundle(cluster) == (new, *old)
    assert serves(_pair(cluster, "carrel-ingest-tls"), NAMES, authority=new)


@pytest.mark.parametrize("lost", ["carrel-ingest-tls", "carrel-ca"])
async def test_a_lost_certificate_is_made_again(lost: str, cluster: FakeCluster, clock: FixedClock):
    """And with a new authority, the server's as well."""
    await _ensure(cluster, clock)
    del cluster.objects[_secret(lost)]
    await _ensure(cluster, clock)
    authority = _pair(cluster, "carrel-ca").certificate
    assert serves(_pair(cluster, "carrel-ingest-tls"), NAMES, authority=authority)
    assert _bundle(cluster)[0] == authority


@pytest.mark.parametrize("steps", range(1, 6))
async def test_a_run_that_is_cut_off_anywhere_is_finished_by_the_next(
    steps: int, clock: FixedClock
):
    """Whatever was written last, the end is whole."""

    class CutOff(FakeCluster):
        async def create(self, obj: JSON, *, deadline: Deadline | None = None) -> JSON:
            if len(self.writes) >= steps:
                raise SystemExit
            return await super().create(obj, deadline=deadline)

    cut = CutOff(now=clock.now)
    await cut.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    with pytest.raises(SystemExit):
        await _ensure(cut, clock)
    whole = FakeCluster(now=clock.now)
    whole.objects = cut.objects
    await _ensure(whole, clock)
    authority = _pair(whole, "carrel-ca").certificate
    assert serves(_pair(whole, "carrel-ingest-tls"), NAMES, authority=authority)
    assert _bundle(whole)[0] == authority


async def test_a_lost_signing_key_is_never_replaced(cluster: FakeCluster, clock: FixedClock):
    """Datasets were signed with it."""
    await _ensure(cluster, clock)
    del cluster.objects[_secret("carrel-ingest-signing")]
    with pytest.raises(TrustError, match="Restore it from a backup"):
        await _ensure(cluster, clock)
    assert _secret("carrel-ingest-signing") not in cluster.objects


async def test_a_lost_public_half_is_published_again(cluster: FakeCluster, clock: FixedClock):
    """It follows from the key."""
    await _ensure(cluster, clock)
    public = cluster.objects.pop(_config_map("carrel-ingest-public-key"))["data"]
    await _ensure(cluster, clock)
    assert cluster.objects[_config_map("carrel-ingest-public-key")]["data"] == public


async def test_a_public_half_that_somebody_replaced_is_refused(
    cluster: FakeCluster, clock: FixedClock
):
    """Somebody else's signatures would count."""
    await _ensure(cluster, clock)
    cluster.objects[_config_map("carrel-ingest-public-key")]["data"] = {"public.pem": "other"}
    with pytest.raises(TrustError, match="one of them was replaced"):
        await _ensure(cluster, clock)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("carrel-ingest-signing", {"signing.key": "bm9uc2Vuc2U="}, "holds no Ed25519 key"),
        ("carrel-ingest-signing", {}, "holds no Ed25519 key"),
        ("carrel-ca", {"tls.crt": "!", "tls.key": "!"}, "holds no certificate"),
    ],
)
async def test_damage_is_named_and_nothing_is_written_over_it(
    name: str, data: dict[str, str], words: str, cluster: FakeCluster, clock: FixedClock
):
    """A person decides what to restore."""
    await _ensure(cluster, clock)
    cluster.objects[_secret(name)]["data"] = data
    cluster.writes.clear()
    with pytest.raises(TrustError, match=words):
        await _ensure(cluster, clock)
    assert cluster.writes == []


async def test_with_cert_manager_only_the_signing_key_is_made(
    cluster: FakeCluster, clock: FixedClock
):
    """Two makers of one Secret would fight."""
    await _ensure(cluster, clock, Certificates.CERT_MANAGER)
    assert set(cluster.objects) - {Ref(NAMESPACE, PLACE)} == {
        _secret("carrel-ingest-signing"),
        _config_map("carrel-ingest-public-key"),
    }


@pytest.mark.long
async def test_renewal_goes_on_for_years(cluster: FakeCluster, clock: FixedClock):
    """Looked at once a month for twelve years, nothing ever ends and the bundle stays short."""
    await _ensure(cluster, clock)
    for _ in range(12 * 13):
        clock.advance(timedelta(days=28))
        await _ensure(cluster, clock)
        pair = _pair(cluster, "carrel-ingest-tls")
        assert serves(pair, NAMES, authority=_bundle(cluster)[0])
    assert len(_bundle(cluster)) == 2


async def test_a_service_that_is_turned_on_gets_a_certificate_of_its_own(
    cluster: FakeCluster, clock: FixedClock
):
    """And a later run without it leaves the pair alone."""
    asked = {"namespace": PLACE, "certificates": Certificates.MADE, "clock": clock}
    await ensure_trust(cluster, **asked, services=["carrel-mirror"])
    pair = _pair(cluster, "carrel-mirror-tls")
    names = ("carrel-mirror.carrel-system.svc", "carrel-mirror", "carrel-mirror.carrel-system")
    assert serves(pair, names, authority=_bundle(cluster)[0])
    await ensure_trust(cluster, **asked)
    assert _pair(cluster, "carrel-mirror-tls") == pair


async def test_the_central_log_gets_a_key_that_is_never_replaced(
    cluster: FakeCluster, clock: FixedClock
):
    """Made once where there is a log; lost, it is missed and not made anew."""
    asked = {"namespace": PLACE, "certificates": Certificates.MADE, "clock": clock}
    await ensure_trust(cluster, **asked)
    assert _secret("carrel-ledger-signing") not in cluster.objects
    await ensure_trust(cluster, **asked, services=["carrel-ledger"])
    made = cluster.objects[_secret("carrel-ledger-signing")]
    await ensure_trust(cluster, **asked, services=["carrel-ledger"])
    assert cluster.objects[_secret("carrel-ledger-signing")] == made
    del cluster.objects[_secret("carrel-ledger-signing")]
    with pytest.raises(TrustError, match="carrel-ledger-signing is gone, but the log was signed"):
        await ensure_trust(cluster, **asked, services=["carrel-ledger"])


async def test_the_gateway_shows_its_certificate_to_workspaces_too(
    cluster: FakeCluster, clock: FixedClock
):
    """And the front door gets one for its host and every origin below it."""
    asked = {"namespace": PLACE, "certificates": Certificates.MADE, "clock": clock}
    await ensure_trust(
        cluster, **asked, services=["carrel-gateway"], front_door="carrel.example.org"
    )
    authority = _bundle(cluster)[0]
    names = ("carrel-gateway.carrel-system.svc", "carrel-gateway", "carrel-gateway.carrel-system")
    own, public = _pair(cluster, "carrel-gateway-tls"), _pair(cluster, "carrel-front-door-tls")
    assert serves(own, names, authority=authority, use=Use.SERVE_AND_CALL)
    assert not serves(own, names, authority=authority, use=Use.SERVE)
    assert serves(public, ("carrel.example.org", "*.carrel.example.org"), authority=authority)


async def test_a_front_door_that_moves_gets_another_certificate(
    cluster: FakeCluster, clock: FixedClock
):
    """The old one names hosts that nobody asks any more."""
    asked = {"namespace": PLACE, "certificates": Certificates.MADE, "clock": clock}
    await ensure_trust(cluster, **asked, front_door="one.example.org")
    await ensure_trust(cluster, **asked, front_door="two.example.org")
    pair = _pair(cluster, "carrel-front-door-tls")
    names = ("two.example.org", "*.two.example.org")
    assert serves(pair, names, authority=_bundle(cluster)[0])
