use sources::providers::file::part::path;
use tempfile::TempDir;

use super::*;

const LIMIT: usize = 1 << 19;

fn folder() -> (TempDir, Folder) {
    let outer = TempDir::new().unwrap();
    fs::create_dir_all(outer.path().join("in/deep")).unwrap();
    fs::write(outer.path().join("secret.csv"), "secret").unwrap();
    fs::write(outer.path().join("in/deep/a b.csv"), "x,y\n1,2\n3,4").unwrap();
    let folder = Folder::new("V", &format!("file:{}", outer.path().join("in").display())).unwrap();
    (outer, folder)
}

fn skipped(outcome: Result<Content, PageError>) -> String {
    match outcome {
        Err(PageError::Skip(reason) | PageError::GiveUp(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_read_whole_or_from_a_byte_on_with_its_header() {
    let (_outer, folder) = folder();
    let read = |part| {
        let content = folder.read(&path("deep/a b.csv", part).unwrap(), LIMIT).unwrap();
        assert!(content.modified.is_some());
        String::from_utf8(content.body).unwrap()
    };
    assert_eq!(read(Part::Whole), "x,y\n1,2\n3,4");
    assert_eq!(read(Part::Window { offset: 0, header: true }), "x,y\n1,2\n3,4\n");
    assert_eq!(read(Part::Window { offset: 8, header: true }), "x,y\n\n3,4\n");
    assert_eq!(read(Part::Window { offset: 8, header: false }), "\n3,4\n");
    assert_eq!(read(Part::Window { offset: 99, header: true }), "x,y\n");
}

#[test]
fn a_window_is_never_longer_than_it_may_be() {
    let (outer, folder) = folder();
    fs::write(outer.path().join("in/long"), vec![b'x'; WINDOW_BYTES + 10]).unwrap();
    for offset in [0, 5] {
        let part = Part::Window { offset, header: true };
        assert_eq!(folder.read(&path("long", part).unwrap(), LIMIT).unwrap().body.len(), WINDOW_BYTES);
    }
    let reason = skipped(folder.read("/long", LIMIT));
    assert!(reason.contains("more than 524288"), "{reason}");
}

#[test]
fn nothing_outside_of_the_folder_and_nothing_but_files_is_read() {
    let (outer, folder) = folder();
    std::os::unix::fs::symlink(outer.path().join("secret.csv"), outer.path().join("in/link.csv")).unwrap();
    std::os::unix::fs::symlink("deep/a b.csv", outer.path().join("in/inside.csv")).unwrap();
    assert!(skipped(folder.read("/link.csv", LIMIT)).contains("leads out of the folder"));
    assert!(skipped(folder.read("/%2e%2e/secret.csv", LIMIT)).contains("leads out of the folder"));
    assert!(skipped(folder.read("/deep", LIMIT)).contains("not a regular file"));
    assert!(skipped(folder.read("/none.csv", LIMIT)).contains("cannot read"));
    assert!(folder.read("/inside.csv", LIMIT).is_ok());
}

#[test]
fn an_address_that_is_no_folder_is_refused_with_the_variable() {
    for address in ["http://127.0.0.1", "file:/no/such/folder", "file://host/x", "file:/proc/self/exe"] {
        let error = format!("{:#}", Folder::new("TAPEDECK_FILE_URL", address).unwrap_err());
        assert!(error.starts_with("`TAPEDECK_FILE_URL` is `"), "{error}");
    }
    assert!(Folder::new("V", "file:").is_ok() && Folder::new("V", "file:.").is_ok());
}
