//! Attachments on disk: a name from a mail is data, never a path.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::report::{Code, Failure};
use crate::mail;

/// A safe name has at most so many bytes: file systems allow 255, and archives less.
const LONGEST: usize = 100;

/// Makes the directory for its owner alone, unless it is there.
///
/// # Errors
/// It cannot be made, or is no directory.
pub fn make(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        Failure::new(Code::Io, format!("cannot create {}: {error}", dir.display()))
            .hint("name a directory that you may write into")
    })
}

/// Writes the attachments of a mail into a directory that is there, numbered on from those `before`. No file is ever
/// replaced or followed.
///
/// # Errors
/// The first file that cannot be written; those before it are there.
pub fn save(raw: &[u8], dir: &Path, before: usize) -> Result<Vec<PathBuf>, Failure> {
    let write = |(index, (file, bytes)): (usize, (mail::Attachment, Vec<u8>))| {
        let path = dir.join(safe_name(before + index + 1, &file.name));
        let created = fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        created.and_then(|mut created| created.write_all(&bytes)).map_err(|error| {
            Failure::new(Code::Io, format!("cannot write {}: {error}", path.display()))
                .hint("name an empty directory; files that are there are not replaced")
        })?;
        Ok(path)
    };
    mail::files(raw).into_iter().enumerate().map(write).collect()
}

/// `001_factura.pdf`: letters, digits and `.-_` of the name, behind a number that keeps them apart and takes the
/// meaning from names such as `.htaccess`, `con` and `-rf`.
fn safe_name(number: usize, name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_matches(['.', '_']);
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 16 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let stem = stem.get(..stem.floor_char_boundary(LONGEST - extension.len())).unwrap_or(stem);
    match stem {
        "" => format!("{number:03}_attachment{extension}"),
        stem => format!("{number:03}_{stem}{extension}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_mail_stays_in_its_directory() {
        for (name, safe) in [
            ("factura.pdf", "001_factura.pdf"),
            ("../../etc/passwd", "001_passwd"),
            ("C:\\windows\\cmd.exe", "001_cmd.exe"),
            ("..", "001_attachment"),
            ("", "001_attachment"),
            ("\u{200b}.htaccess", "001_htaccess"),
            ("a\0b\n|sh.txt", "001_a_b__sh.txt"),
            ("\u{202e}fdp.exe", "001_fdp.exe"),
            ("-rf", "001_-rf"),
            ("informe año.odt", "001_informe_año.odt"),
        ] {
            assert_eq!(safe_name(1, name), safe);
        }
        let long = safe_name(1, &format!("{}.pdf", "ñ".repeat(4096)));
        assert!(long.len() <= LONGEST + 4 && long.ends_with(".pdf"), "{long}");
    }
}
