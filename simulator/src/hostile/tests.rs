use super::*;
use crate::client::{get, get_at_most};

#[tokio::test]
async fn what_is_wrong_is_what_was_asked_for_and_nothing_else() {
    let ask = async |kind| {
        let hostile = Hostile::start(kind).await.unwrap();
        get(&hostile.url(), "/x").await
    };
    let length = |answer: &crate::client::Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
    assert_eq!(ask(Kind::Harmless).await.json()["chart"]["result"][0]["meta"]["symbol"], SYMBOL);
    let short = ask(Kind::WrongLength).await;
    assert_eq!((length(&short), short.body.len()), (PAGE.len() + MISSING, PAGE.len()));
    let cut = ask(Kind::Truncated).await;
    assert_eq!(length(&cut), cut.body.len());
    assert!(cut.status() == 200 && serde_json::from_slice::<serde_json::Value>(&cut.body).is_err());
    assert!(ask(Kind::HtmlOk).await.text().starts_with("<!DOCTYPE html>"));
    let empty = ask(Kind::Empty).await;
    assert_eq!((empty.status(), empty.body.len()), (200, 0));
    let bomb = ask(Kind::GzipBomb).await;
    assert_eq!((bomb.header("content-encoding"), bomb.body.len()), (Some("gzip"), length(&bomb)));
    assert_eq!(ask(Kind::NestedEncoding).await.header("content-encoding"), Some("gzip, gzip"));
    assert_eq!(ask(Kind::Reset).await.head, "");
}

#[tokio::test]
async fn behind_an_answer_that_is_over_hides_another_one() {
    let hostile = Hostile::start(Kind::ShortLength).await.unwrap();
    // The connection is kept, so that only as much is read as there must be.
    let answer = get_at_most(&hostile.url(), "/x", (PAGE.len() + FORGED.len()) as u64).await;
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    let behind = String::from_utf8_lossy(&answer.body[length..]).into_owned();
    assert!(behind.contains("HTTP/1.1 200 OK\r\n") && behind.contains("666"), "{behind}");
}

#[tokio::test]
async fn what_has_no_end_goes_on_for_as_long_as_somebody_listens() {
    for kind in [Kind::Endless, Kind::EndlessChunked, Kind::NeverEndingHeaders] {
        let hostile = Hostile::start(kind).await.unwrap();
        let answer = get_at_most(&hostile.url(), "/x", 20 << 20).await;
        assert_eq!(answer.head.len() + answer.body.len(), 20 << 20, "{kind:?}");
        // The piece that is being sent is not counted yet.
        assert!(hostile.bytes_sent() + 2 * PIECE as u64 > 20 << 20, "{kind:?}");
    }
}

#[tokio::test]
async fn who_says_nothing_says_nothing_and_who_drips_is_slow() {
    let heard = async |kind| {
        let hostile = Hostile::start(kind).await.unwrap();
        let url = hostile.url();
        let outcome = tokio::time::timeout(Duration::from_secs(1), get(&url, "/x")).await;
        assert!(outcome.is_err(), "{kind:?}");
        (hostile.connections(), hostile.requests(), hostile.bytes_sent())
    };
    assert_eq!(heard(Kind::Silent).await, (1, 1, 0));
    let (_, _, bytes) = heard(Kind::SlowDrip(Duration::from_millis(50))).await;
    assert!((42..80).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_redirect_leads_where_nobody_should_go_and_it_is_seen_who_went() {
    let to = async |target| {
        let hostile = Hostile::start(Kind::RedirectPrivate(target)).await.unwrap();
        let answer = get(&hostile.url(), "/x").await;
        assert_eq!(answer.status(), 302);
        (hostile, answer.header("location").unwrap().to_owned())
    };
    assert_eq!(to(Target::Metadata).await.1, "http://169.254.169.254/latest/meta-data/");
    assert_eq!(to(Target::File).await.1, "file:///etc/passwd");
    let (hostile, location) = to(Target::Neighbour).await;
    assert_eq!(hostile.lured(), 0);
    TcpStream::connect(location.strip_prefix("http://").unwrap().split('/').next().unwrap()).await.unwrap();
    while hostile.lured() == 0 {
        tokio::task::yield_now().await;
    }
    let looping = Hostile::start(Kind::RedirectLoop).await.unwrap();
    assert_eq!(get(&looping.url(), "/again").await.header("location"), Some("/again"));
}

#[tokio::test]
async fn an_authority_is_there_where_there_is_tls() {
    for kind in [Kind::ExpiredCertificate, Kind::SelfSigned, Kind::WrongHost] {
        let hostile = Hostile::start(kind).await.unwrap();
        assert!(hostile.url().starts_with("https://127.0.0.1:"), "{kind:?}");
        assert!(hostile.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"), "{kind:?}");
    }
    assert_eq!(Hostile::start(Kind::Harmless).await.unwrap().ca_pem(), "");
}
