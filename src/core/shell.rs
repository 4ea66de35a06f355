//! Paths inside commands that are shown to be copied into a shell.
//! Promises: what a POSIX shell makes of the text is the path, byte for byte, with whatever spaces and quotes it has; a path of
//! plain letters stays as it is. Bytes that are no text, and control characters, need a shell that knows `$'…'`, as all common ones do.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `path` as one word of a shell command.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    let Some(text) = text else {
        let mut word = "$'".to_owned();
        for byte in bytes {
            match byte {
                b'\'' | b'\\' => {
                    word.push('\\');
                    word.push(char::from(*byte));
                }
                b' '..=b'~' => word.push(char::from(*byte)),
                // Three octal digits: unlike hexadecimal ones, what follows is never taken for more of them.
                _ => _ = write!(word, "\\{byte:03o}"),
            }
        }
        return word + "'";
    };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_shell_reads_back_every_byte() {
        for bytes in [
            &b"/lab/runs/0123456789ab"[..],
            b"/my lab/it's $HOME `x` \"y\" ~ * ;",
            "/Prüfstand/実験".as_bytes(),
            b"",
            b"/tab\there\nand\\there",
            b"/lab-\xff\x31/it's",
        ] {
            let word = quoted(Path::new(OsStr::from_bytes(bytes)));
            let said = std::process::Command::new("bash").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
            assert_eq!(said.stdout, bytes, "{word}");
        }
        assert_eq!(quoted(Path::new("/lab/runs/x_1")), "/lab/runs/x_1");
        assert_eq!(quoted(Path::new("/my lab")), "'/my lab'");
    }
}
