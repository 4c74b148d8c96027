use std::str::FromStr as _;

use super::*;

#[test]
fn private_addresses_are_not_on_the_internet() {
    for address in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.1.1",
        "198.19.255.255",
        "203.0.113.9",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "100::1",
        "64:ff9b:1::1",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "198.17.255.255",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused() {
    let outcome = PublicAddresses.resolve(Name::from_str("localhost").unwrap()).await;
    let error = outcome.err().unwrap().to_string();
    assert_eq!(error, "`localhost` has no address on the internet");
}

#[test]
fn a_redirect_stays_with_host_and_port_and_is_never_plain() {
    let from = Url::parse("https://api.example.org/a?key=x").unwrap();
    let may = |to: &str| is_same_place(&from, &from.join(to).unwrap());
    assert!(may("/b") && may("https://api.example.org:443/b") && may("https://API.example.org/b?c#d"));
    for to in [
        "http://api.example.org/b",
        "https://example.org/b",
        "https://api.example.org.evil.example/b",
        "https://api.example.org:8443/b",
        "https://127.0.0.1/b",
        "https://me@api.example.org/b",
        "file:///etc/passwd",
        "//169.254.169.254/latest",
    ] {
        assert!(!may(to), "{to}");
    }
    let plain = Url::parse("http://api.example.org/a").unwrap();
    assert!(!is_same_place(&plain, &plain.join("/b").unwrap()));
}
