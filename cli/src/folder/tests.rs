use tempfile::tempdir;

use super::*;

fn refusal(path: &Path, kind: Kind) -> String {
    format!("{:#}", Folder::take(Some(path), kind).unwrap_err())
}

#[test]
fn one_deck_at_a_time_runs_in_a_folder_and_others_find_its_process_and_settings() {
    let temporary = tempdir().unwrap();
    let path = temporary.path().join("new");
    let (folder, lock) = Folder::take(Some(&path), Kind::Real).unwrap();
    assert!(refusal(&path, Kind::Real).contains("another tapedeck uses data folder"));
    let other = Folder::find(Some(&path)).unwrap();
    assert_eq!((other.is_running(), other.process()), (true, Some(std::process::id().cast_signed())));
    folder.save_settings(&[("A".to_owned(), "secret".to_owned())]).unwrap();
    assert_eq!(other.running_settings(), HashMap::from([("A".to_owned(), "secret".to_owned())]));
    let mode = fs::metadata(folder.deck_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(lock);
    assert_eq!((other.is_running(), other.process()), (false, None));
    // The settings of a deck that was killed are not used.
    assert_eq!(other.running_settings(), HashMap::new());
    assert!(folder.deck_file().exists());
    assert_eq!(other.usual_settings()[settings::DATABASE_URL.name], other.sqlite_address());
    assert!(other.await_end(Duration::ZERO));
    // Nor does the next deck leave them to a command that comes before it has written its own.
    let (folder, _lock) = Folder::take(Some(&path), Kind::Real).unwrap();
    assert!(!folder.deck_file().exists());
    let asked = std::thread::spawn(move || other.running_settings());
    folder.save_settings(&[("A".to_owned(), "new".to_owned())]).unwrap();
    assert_eq!(asked.join().unwrap(), HashMap::from([("A".to_owned(), "new".to_owned())]));
}

#[test]
fn a_folder_in_which_no_deck_could_start_is_deleted_again_and_one_with_data_is_not() {
    let temporary = tempdir().unwrap();
    for (entry, stays) in [("demo-watchlist.toml", false), ("tapedeck.db", true), ("logs", true)] {
        let path = temporary.path().join(entry);
        let (folder, _lock) = Folder::take(Some(&path), Kind::Demo).unwrap();
        fs::write(path.join(entry), "").unwrap();
        folder.delete_if_new();
        assert_eq!(path.exists(), stays, "{entry}");
    }
}

#[test]
fn the_demo_and_real_data_refuse_each_others_folder() {
    let temporary = tempdir().unwrap();
    for (kind, other, said) in [(Kind::Demo, Kind::Real, "invented data"), (Kind::Real, Kind::Demo, "real data")] {
        let path = temporary.path().join(said);
        drop(Folder::take(Some(&path), kind).unwrap());
        assert!(refusal(&path, other).contains(said));
        drop(Folder::take(Some(&path), kind).unwrap());
        assert_eq!(Folder::find(Some(&path)).unwrap().kind(), kind);
    }
}

#[test]
fn a_folder_of_an_earlier_version_is_known_by_its_files_and_one_of_a_later_version_is_refused() {
    let temporary = tempdir().unwrap();
    let path = temporary.path();
    fs::write(path.join("tapedeck.db"), "").unwrap();
    assert!(refusal(path, Kind::Demo).contains("real data"));
    fs::write(path.join("demo-watchlist.toml"), "").unwrap();
    assert!(refusal(path, Kind::Real).contains("invented data"));
    fs::write(path.join("folder.json"), r#"{"format":2,"kind":"other"}"#).unwrap();
    assert!(refusal(path, Kind::Demo).contains("has format 2"));
    fs::write(path.join("folder.json"), "{").unwrap();
    assert!(refusal(path, Kind::Demo).contains("is damaged"));
}

#[test]
fn without_a_deck_nothing_is_guessed() {
    let temporary = tempdir().unwrap();
    let folder = Folder::find(Some(&temporary.path().join("none"))).unwrap();
    assert!(!folder.exists() && !folder.is_running());
    assert_eq!((folder.running_settings(), folder.usual_settings()), (HashMap::new(), HashMap::new()));
}

#[test]
fn a_folder_with_somebody_elses_files_under_tapedecks_names_is_refused_and_untouched() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    let refused = refusal(folder.path(), Kind::Real);
    assert!(refused.contains("has `logs`, which this tapedeck did not make"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    // Other names are nobody's concern, and its own are no surprise at the next start.
    std::fs::remove_dir(folder.path().join("logs")).unwrap();
    drop(Folder::take(Some(folder.path()), Kind::Real).unwrap());
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    assert!(Folder::take(Some(folder.path()), Kind::Real).is_ok());
}
