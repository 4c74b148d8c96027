//! Compiles the migrations into the crate. The macro of sqlx would do that too, but it compiles all of sqlx with both
//! databases a second time, to run inside the compiler.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../migrations");
    let mut code = String::new();
    for database in ["postgres", "sqlite"] {
        let mut paths = fs::read_dir(Path::new("../migrations").join(database))?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        writeln!(code, "pub(crate) const {}: &[(&str, &str)] = &[", database.to_uppercase())?;
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).ok_or("a migration's name is not Unicode")?;
            // The compiler notices when the checkout moves: it tracks this variable.
            let file = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../migrations/{database}/{name}\")");
            writeln!(code, "    ({name:?}, include_str!({file})),")?;
        }
        writeln!(code, "];")?;
    }
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), code)?)
}
