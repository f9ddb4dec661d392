"""Only what a build needs of this machine's settings reaches it."""

import pytest

from carrel.embedded.images.host import _apt_settings, _pip_settings, _source_lines, mirror


def test_only_the_release_of_the_images_is_taken_from_the_sources():
    listed = (
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ bookworm non-free\n"
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ trixie main\n"
        "http://other.example/tool bookworms main\n"
        "http://mirror.example/security/ bookworm-security main\n"
    )
    assert _source_lines(listed) == (
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/security/ bookworm-security main",
    )


@pytest.mark.parametrize(
    ("sources", "address"),
    [
        ((), None),
        (("deb http://m.example/s bookworm-security main",), None),
        (
            (
                "deb http://m.example/s bookworm-security main",
                "deb http://m.example/d bookworm main",
            ),
            "http://m.example/d",
        ),
    ],
)
def test_the_mirror_is_where_the_release_itself_comes_from(
    sources: tuple[str, ...], address: str | None
):
    assert mirror(sources) == address


def test_proxy_and_date_checks_of_apt_are_kept_and_nothing_else():
    dump = (
        'APT::Architecture "amd64";\n'
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::Proxy "";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::AllowInsecureRepositories "1";\n'
        'Dir::Etc "etc/apt";\n'
    )
    assert _apt_settings(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
    )


@pytest.mark.parametrize(
    ("listing", "authority", "settings"),
    [
        ("", False, ""),
        ("", True, "[global]\ncert = /run/ca.pem\n"),
        (
            """global.index-url='https://mirror.example/simple'
:env:.timeout='60'
:env:.find-links='/opt/wheels'
global.cert='/etc/here.pem'
""",
            True,
            """[global]
index-url = https://mirror.example/simple
timeout = 60
cert = /run/ca.pem
""",
        ),
        (
            r"global.extra-index-url='\nhttps://a.example\nhttps://b.example'",
            False,
            "[global]\nextra-index-url = \n  https://a.example\n  https://b.example\n",
        ),
    ],
)
def test_pip_gets_addresses_and_the_bundle_but_no_path_of_this_machine(
    listing: str, *, authority: bool, settings: str
):
    assert _pip_settings(listing, with_authority=authority) == settings
