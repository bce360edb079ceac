//! Writes the upload's body into a temporary file: the JSON form (version 1) of fixes, file list and reports.
//!
//! Nothing is held whole: each report is read in pieces, deflated, written as base64. The file's length is known
//! before it is sent, which presigned URLs of object stores need.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::fixes;

/// How much of a report is read at once.
const READ_BYTES: usize = 256 * 1024;

/// How much deflated data is encoded at once; a multiple of 3, so that padding comes only at the end.
const BASE64_INPUT_BYTES: usize = 48 * 1024;

/// The level of zstd for servers that take it: it finds what base64 wastes, higher levels find no more.
const ZSTD_LEVEL: i32 = 1;

/// What an upload carries.
pub(in crate::cli) struct Contents {
    /// The folder that names are relative to.
    pub(in crate::cli) root: PathBuf,
    /// The reports' paths.
    pub(in crate::cli) reports: Vec<PathBuf>,
    /// The names of the repository's files as they are sent.
    pub(in crate::cli) network: Vec<String>,
    /// The names of the files to read for fixes; empty if fixes are off.
    pub(in crate::cli) fixed: Vec<String>,
}

/// A body in a temporary file that goes when it is dropped.
pub(in crate::cli) struct Body {
    file: File,
    /// The length of the body.
    pub(in crate::cli) size_bytes: u64,
}

impl Body {
    /// The body from its first byte, as a handle of its own. Handles share their position: read one at a time.
    pub(in crate::cli) fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

/// Writes the body of `contents`. Errors: a report that cannot be read, no space for the temporary file.
pub(in crate::cli) fn write(contents: &Contents) -> Result<Body> {
    let mut out = BufWriter::with_capacity(READ_BYTES, temporary_file()?);
    write_fixes(&mut out, contents)?;
    out.write_all(b",\"network_files\":")?;
    serde_json::to_writer(&mut out, &contents.network)?;
    out.write_all(b",\"coverage_files\":[")?;
    let mut buffer = vec![0; READ_BYTES];
    for (index, report) in contents.reports.iter().enumerate() {
        separate(&mut out, index)?;
        write_report(&mut out, &contents.root, report, &mut buffer)
            .with_context(|| format!("read report {}", report.display()))?;
    }
    out.write_all(b"],\"metadata\":{}}")?;
    sealed(out.into_inner().map_err(io::IntoInnerError::into_error)?)
}

/// The same body, compressed with zstd.
pub(in crate::cli) fn compress(body: &Body) -> Result<Body> {
    let mut out = zstd::Encoder::new(temporary_file()?, ZSTD_LEVEL)?;
    out.set_pledged_src_size(Some(body.size_bytes))?;
    io::copy(
        &mut io::BufReader::with_capacity(READ_BYTES, body.reader()?),
        &mut out,
    )?;
    sealed(out.finish()?)
}

fn temporary_file() -> Result<File> {
    let folder = std::env::temp_dir();
    tempfile::tempfile().with_context(|| {
        format!(
            "make a temporary file in {}: set TMPDIR to another",
            folder.display()
        )
    })
}

fn sealed(file: File) -> Result<Body> {
    let size_bytes = file.metadata()?.len();
    Ok(Body { file, size_bytes })
}

fn separate(out: &mut impl Write, index: usize) -> io::Result<()> {
    if index > 0 {
        out.write_all(b",")
    } else {
        Ok(())
    }
}

fn write_fixes(out: &mut impl Write, contents: &Contents) -> Result<()> {
    out.write_all(b"{\"report_fixes\":{\"format\":\"legacy\",\"value\":{")?;
    let mut source = Vec::new();
    let mut written = 0;
    for name in &contents.fixed {
        let Some(fixes) = fixes::read(&contents.root, name, &mut source) else {
            continue;
        };
        separate(out, written)?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":{\"eof\":")?;
        serde_json::to_writer(&mut *out, &fixes.eof)?;
        out.write_all(b",\"lines\":")?;
        serde_json::to_writer(&mut *out, &fixes.lines)?;
        out.write_all(b"}")?;
        written += 1;
    }
    out.write_all(b"}}")?;
    Ok(())
}

fn write_report(out: &mut impl Write, root: &Path, path: &Path, buffer: &mut [u8]) -> Result<()> {
    out.write_all(b"{\"filename\":")?;
    serde_json::to_writer(&mut *out, &sent_name(root, path))?;
    out.write_all(b",\"format\":\"base64+compressed\",\"data\":\"")?;
    let mut report = File::open(path)?;
    let mut encoder = ZlibEncoder::new(Base64Writer::new(out), Compression::default());
    loop {
        match report.read(buffer)? {
            0 => break,
            read => encoder.write_all(&buffer[..read])?,
        }
    }
    encoder
        .finish()?
        .finish()?
        .write_all(b"\",\"labels\":\"\"}")?;
    Ok(())
}

/// A report's name relative to `root` if it lies below it, else its whole path; separated by `/`.
pub(in crate::cli) fn sent_name(root: &Path, path: &Path) -> String {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' {
        name.into_owned()
    } else {
        name.replace(std::path::MAIN_SEPARATOR, "/")
    }
}

/// Encodes what is written to it as base64 with padding.
struct Base64Writer<W> {
    out: W,
    pending: Vec<u8>,
    encoded: Vec<u8>,
}

impl<W: Write> Base64Writer<W> {
    fn new(out: W) -> Base64Writer<W> {
        let encoded = vec![0; base64_simd::STANDARD.encoded_length(BASE64_INPUT_BYTES)];
        Base64Writer {
            out,
            pending: Vec::with_capacity(BASE64_INPUT_BYTES),
            encoded,
        }
    }

    fn finish(mut self) -> io::Result<W> {
        self.encode_pending()?;
        Ok(self.out)
    }

    fn encode_pending(&mut self) -> io::Result<()> {
        let encoded = base64_simd::STANDARD.encode(
            &self.pending,
            base64_simd::Out::from_slice(&mut self.encoded),
        );
        self.out.write_all(encoded)?;
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for Base64Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BASE64_INPUT_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == BASE64_INPUT_BYTES {
            self.encode_pending()?;
        }
        Ok(taken)
    }

    /// Does nothing: an incomplete group can be written only at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decoded(data: &Value) -> Vec<u8> {
        let deflated = base64_simd::STANDARD
            .decode_to_vec(data.as_str().unwrap())
            .unwrap();
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(&deflated[..])
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    fn bytes_of(body: &Body) -> Vec<u8> {
        let mut bytes = Vec::new();
        body.reader().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, body.size_bytes);
        bytes
    }

    /// Bytes that do not compress, so that the deflated report is longer than every buffer.
    fn noise(size_bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(size_bytes).collect()
    }

    #[test]
    fn body_holds_reports_network_and_fixes_and_decodes_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let big = noise(READ_BYTES * 2 + 1);
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/é \"q\".kt"), "{\nx\n}\n").unwrap();
        std::fs::write(root.join("src/empty.go"), "").unwrap();
        std::fs::write(
            root.join("lcov.info"),
            "SF:src/a.py\nDA:1,1\nend_of_record\n",
        )
        .unwrap();
        std::fs::write(root.join("big.lcov"), &big).unwrap();
        std::fs::write(root.join("empty.lcov"), "").unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let names = ["src/empty.go", "src/é \"q\".kt", "src/gone.go", "a.py"].map(str::to_owned);
        let contents = Contents {
            reports: vec![
                root.join("big.lcov"),
                root.join("empty.lcov"),
                root.join("lcov.info"),
                outside.path().into(),
            ],
            network: names.to_vec(),
            fixed: names.to_vec(),
            root,
        };

        let body = write(&contents).unwrap();

        let sent: Value = serde_json::from_slice(&bytes_of(&body)).unwrap();
        let expected_fixes = json!({"format": "legacy", "value": {
            "src/empty.go": {"eof": null, "lines": []}, "src/é \"q\".kt": {"eof": 3, "lines": [1, 3]}}});
        assert_eq!(sent["report_fixes"], expected_fixes);
        assert_eq!(sent["network_files"], json!(names));
        assert_eq!(sent["metadata"], json!({}));
        let files = sent["coverage_files"].as_array().unwrap();
        let sent_names: Vec<&str> = files
            .iter()
            .map(|file| file["filename"].as_str().unwrap())
            .collect();
        assert_eq!(
            sent_names,
            [
                "big.lcov",
                "empty.lcov",
                "lcov.info",
                outside.path().to_str().unwrap()
            ]
        );
        assert!(
            files
                .iter()
                .all(|file| file["format"] == "base64+compressed" && file["labels"] == "")
        );
        assert!(decoded(&files[0]["data"]) == big);
        assert_eq!(decoded(&files[1]["data"]), b"");
        assert_eq!(
            decoded(&files[2]["data"]),
            b"SF:src/a.py\nDA:1,1\nend_of_record\n"
        );

        let compressed = compress(&body).unwrap();
        assert_eq!(
            zstd::decode_all(&bytes_of(&compressed)[..]).unwrap(),
            bytes_of(&body)
        );
    }

    #[test]
    fn base64_is_the_same_for_every_division_of_the_input() {
        let input = noise(BASE64_INPUT_BYTES + 50);
        for piece_bytes in [
            1,
            2,
            7,
            BASE64_INPUT_BYTES - 1,
            BASE64_INPUT_BYTES,
            input.len(),
        ] {
            let mut writer = Base64Writer::new(Vec::new());
            for piece in input.chunks(piece_bytes) {
                writer.write_all(piece).unwrap();
            }
            assert!(
                writer.finish().unwrap() == base64_simd::STANDARD.encode_type::<Vec<u8>>(&input)
            );
        }
    }

    #[test]
    fn report_that_is_gone_is_named_in_the_error() {
        let contents = Contents {
            root: "/".into(),
            reports: vec!["/gone/lcov.info".into()],
            network: vec![],
            fixed: vec![],
        };
        assert_eq!(
            write(&contents).err().unwrap().to_string(),
            "read report /gone/lcov.info"
        );
    }
}
