//! The body of an upload: which files it brings, and what it says of the repository.
//!
//! Two kinds are known: sections of text cut at markers, which the older uploaders send, and the
//! JSON of the current ones, whose files are base64 of zlib. Either may come as gzip or zstd.
//! File contents are borrowed from the body, and unpacked one by one when they are read.

use std::borrow::Cow;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Failure, Result};
use crate::json::Cursor;

/// The most that one upload may unpack to, in bytes.
pub const MAX_UNPACKED_BYTES: u64 = 2 << 30;
/// How many times larger than packed an upload may get, above [`RATIO_FREE_BYTES`].
pub const MAX_RATIO: u64 = 400;
/// Up to this size the ratio does not matter, in bytes.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;
/// Files of the repository that an upload may list.
pub const MAX_NETWORK_ENTRIES: usize = 1_000_000;
/// Files that an upload may bring.
pub const MAX_FILES: usize = 100_000;

const IGNORED_FROM: &[u8] = b"==FROMNOWONIGNOREDBYCODECOV==>>>";
const SECTION_END: &[u8] = b"<<<<<< ";
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How the client says that its body is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// JSON when the body looks like it, else text: what the current upload endpoints take.
    V1,
    /// Text, always: what the older endpoints take.
    Legacy,
}

/// An opened body.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// Paths of the repository, empty when the upload lists none.
    pub network: Vec<Cow<'a, str>>,
    /// The files, in the order of the body.
    pub files: Vec<UploadedFile<'a>>,
    /// Lines that are not to be counted.
    pub fixes: Fixes<'a>,
}

/// One file of an upload.
#[derive(Debug)]
pub struct UploadedFile<'a> {
    /// Its name on the machine that sent it; empty when unknown.
    pub name: Cow<'a, str>,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    Plain(Cow<'a, [u8]>),
    Packed(Cow<'a, str>),
}

/// Lines that are not to be counted, in the form in which they came.
#[derive(Debug, Default)]
pub enum Fixes<'a> {
    /// None were sent.
    #[default]
    None,
    /// A section of text.
    Text(Cow<'a, str>),
    /// The text of a JSON value: path → lines.
    Json(Cow<'a, [u8]>),
}

/// What an upload has unpacked so far, against what it may.
#[derive(Debug)]
pub struct Budget {
    packed_bytes: u64,
    unpacked_bytes: AtomicU64,
}

impl Budget {
    /// The budget of a body of that size.
    pub fn new(packed_bytes: usize) -> Budget {
        Budget {
            packed_bytes: packed_bytes as u64,
            unpacked_bytes: AtomicU64::new(0),
        }
    }

    /// Takes note of unpacked bytes; refuses what is more than an honest upload has.
    fn spend(&self, bytes: usize, what: &str) -> Result<()> {
        let total = self
            .unpacked_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed)
            + bytes as u64;
        let most = MAX_UNPACKED_BYTES
            .min(RATIO_FREE_BYTES.max(self.packed_bytes.saturating_mul(MAX_RATIO)));
        if total > most {
            return Err(Failure::Storage(format!(
                "{what} unpacks to more than {most} bytes, the most for its size"
            )));
        }
        Ok(())
    }
}

/// The body without its outer compression, which its first bytes tell.
pub fn unwrap<'a>(body: &'a [u8], budget: &Budget) -> Result<Cow<'a, [u8]>> {
    unwrap_named(body, "body", budget)
}

/// Like [`unwrap`], for something that messages call `what`.
pub(crate) fn unwrap_named<'a>(
    body: &'a [u8],
    what: &str,
    budget: &Budget,
) -> Result<Cow<'a, [u8]>> {
    if body.starts_with(GZIP) {
        return Ok(Cow::Owned(read_all(
            flate2::read::MultiGzDecoder::new(body),
            body.len(),
            budget,
            what,
        )?));
    }
    if body.starts_with(ZSTD) {
        let decoder = zstd::Decoder::with_buffer(body)
            .map_err(|error| Failure::Storage(format!("{what} is no zstd stream: {error}")))?;
        return Ok(Cow::Owned(read_all(decoder, body.len(), budget, what)?));
    }
    Ok(Cow::Borrowed(body))
}

/// Opens a body that [`unwrap`] gave.
pub fn open(body: &[u8], kind: Kind) -> Result<Envelope<'_>> {
    let trimmed = body.trim_ascii();
    if kind == Kind::V1 && trimmed.starts_with(b"{") && trimmed.ends_with(b"}") {
        open_json(trimmed)
    } else {
        open_text(body)
    }
}

impl<'a> UploadedFile<'a> {
    /// A file with this content.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        content: impl Into<Cow<'a, [u8]>>,
    ) -> UploadedFile<'a> {
        UploadedFile {
            name: name.into(),
            content: Content::Plain(content.into()),
        }
    }

    /// The content, unpacked.
    pub fn read(&self, budget: &Budget) -> Result<Cow<'_, [u8]>> {
        match &self.content {
            Content::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::Packed(text) => self.unpack(text.as_bytes(), budget).map(Cow::Owned),
        }
    }

    fn unpack(&self, text: &[u8], budget: &Budget) -> Result<Vec<u8>> {
        let what = format!("coverage_files: data of {:?}", self.name);
        let base64 = base64_simd::STANDARD;
        let packed = base64.decode_to_vec(text).or_else(|_| {
            let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            base64.decode_to_vec(text.iter().copied().filter(known).collect::<Vec<u8>>())
        });
        let packed = packed.map_err(|_| Failure::Storage(format!("{what} is not base64")))?;
        read_all(
            flate2::read::ZlibDecoder::new(&packed[..]),
            packed.len(),
            budget,
            &what,
        )
    }
}

/// Unpacks a stream, in steps that the budget pays for.
fn read_all(
    mut stream: impl Read,
    packed_bytes: usize,
    budget: &Budget,
    what: &str,
) -> Result<Vec<u8>> {
    const STEP_BYTES: usize = 1 << 20;
    let mut out = Vec::with_capacity(packed_bytes.saturating_mul(4).min(64 << 20));
    loop {
        let read = stream
            .by_ref()
            .take(STEP_BYTES as u64)
            .read_to_end(&mut out);
        let read = read.map_err(|error| {
            Failure::Storage(format!(
                "{what} cannot be decompressed, it may be cut off: {error}"
            ))
        })?;
        if read == 0 {
            return Ok(out);
        }
        budget.spend(read, what)?;
    }
}

#[derive(Deserialize)]
struct JsonBody<'a> {
    #[serde(borrow)]
    network_files: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    coverage_files: Vec<JsonFile<'a>>,
    report_fixes: Option<JsonFixes>,
    path_fixes: Option<JsonFixes>,
}

#[derive(Deserialize)]
struct JsonFile<'a> {
    #[serde(borrow)]
    filename: Option<Text<'a>>,
    #[serde(borrow)]
    format: Text<'a>,
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Deserialize)]
struct JsonFixes {
    /// Its text is looked for when all of the body is known to be JSON.
    #[expect(dead_code, reason = "only that it is there is asked of it")]
    value: IgnoredAny,
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn open_json(text: &[u8]) -> Result<Envelope<'_>> {
    let body: JsonBody<'_> = serde_json::from_slice(text)
        .map_err(|error| Failure::Storage(format!("body is not the JSON of an upload: {error}")))?;
    let key = match (&body.report_fixes, &body.path_fixes) {
        (Some(_), _) => "report_fixes",
        (None, Some(_)) => "path_fixes",
        (None, None) => {
            return Err(Failure::Storage(
                "body has neither `report_fixes` nor `path_fixes`".into(),
            ));
        }
    };
    let fixes = value_of(text, key).and_then(|fixes| value_of(fixes, "value"));
    let network = body.network_files.unwrap_or_default();
    check_count(network.len(), MAX_NETWORK_ENTRIES, "network_files")?;
    check_count(body.coverage_files.len(), MAX_FILES, "coverage_files")?;
    let files = body.coverage_files.into_iter().map(|file| UploadedFile {
        name: file.filename.map(|name| name.0).unwrap_or_default(),
        content: match &*file.format.0 {
            "base64+compressed" => Content::Packed(file.data.0),
            _ => Content::Plain(into_bytes(file.data.0)),
        },
    });
    Ok(Envelope {
        network: network
            .into_iter()
            .map(|path| path.0)
            .filter(|path| !path.is_empty())
            .collect(),
        files: files.collect(),
        fixes: Fixes::Json(fixes.unwrap_or_default().into()),
    })
}

/// The text of the value that an object has at `key`. Looks no further, so what is wrong behind it
/// does not matter.
fn value_of<'a>(object: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(object);
    cursor.expect(b'{').ok()?;
    let mut first = true;
    while let Some(found) = cursor.key(&mut first).ok()? {
        let value = cursor.raw().ok()?;
        if found == key {
            return Some(value);
        }
    }
    None
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn check_count(count: usize, most: usize, what: &str) -> Result<()> {
    if count > most {
        return Err(Failure::Storage(format!(
            "{what} has {count} entries; the most is {most}"
        )));
    }
    Ok(())
}

fn open_text(body: &[u8]) -> Result<Envelope<'_>> {
    let end = memmem::find(body, IGNORED_FROM).unwrap_or(body.len());
    let mut envelope = Envelope::default();
    for (content, ending) in sections(&body[..end]) {
        let (name, content) = split_name(content.trim_ascii());
        match ending {
            _ if content.is_empty() && name.is_empty() => {}
            Ending::Network => envelope.network = read_network(content)?,
            Ending::Env => {}
            Ending::File if name == "fixes" => {
                envelope.fixes = Fixes::Text(String::from_utf8_lossy(content));
            }
            Ending::File => envelope.files.push(UploadedFile::new(name, content)),
        }
    }
    check_count(envelope.files.len(), MAX_FILES, "body")?;
    Ok(envelope)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Network,
    Env,
    File,
}

/// The sections of a text body, each with what the marker behind it makes of it.
fn sections(body: &[u8]) -> impl Iterator<Item = (&[u8], Ending)> {
    const MARKERS: [(&[u8], Ending); 3] = [
        (b"network", Ending::Network),
        (b"ENV", Ending::Env),
        (b"EOF", Ending::File),
    ];
    let mut markers = memmem::find_iter(body, SECTION_END).filter_map(move |at| {
        let rest = &body[at + SECTION_END.len()..];
        let (word, ending) = MARKERS.iter().find(|(word, _)| rest.starts_with(word))?;
        Some((at, at + SECTION_END.len() + word.len(), *ending))
    });
    let mut start = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let (end, next, ending) = markers.next().unwrap_or_else(|| {
            done = true;
            (body.len(), body.len(), Ending::File)
        });
        Some((&body[std::mem::replace(&mut start, next)..end], ending))
    })
}

/// The name in the first line of a section, and what follows it.
fn split_name(section: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let Some(rest) = section.strip_prefix(b"# path=") else {
        return (Cow::Borrowed(""), section);
    };
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    (
        String::from_utf8_lossy(rest[..end].trim_ascii()),
        rest[end..].trim_ascii_start(),
    )
}

fn read_network(section: &[u8]) -> Result<Vec<Cow<'_, str>>> {
    let mut network = Vec::new();
    for line in section.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(path) = clean_network_path(line)? {
            network.push(path);
        }
        check_count(network.len(), MAX_NETWORK_ENTRIES, "network")?;
    }
    Ok(network)
}

/// One line of a network section as a path; `None` for what is no file of the repository.
pub(crate) fn clean_network_path(line: &[u8]) -> Result<Option<Cow<'_, str>>> {
    let quoted = line.len() >= 2 && line.starts_with(b"\"") && line.ends_with(b"\"");
    let path = if quoted {
        let path = String::from_utf8(unquote(&line[1..line.len() - 1])).map_err(|_| {
            Failure::Storage(format!(
                "network: {} is not UTF-8",
                String::from_utf8_lossy(line)
            ))
        })?;
        Cow::Owned(path)
    } else {
        String::from_utf8_lossy(line)
    };
    let path = if path.contains('\\') {
        Cow::Owned(path.replace("\\ ", " ").replace('\\', "/"))
    } else {
        path
    };
    let path = match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.strip_prefix("./").unwrap_or(path)),
        Cow::Owned(path) => Cow::Owned(path.strip_prefix("./").map(str::to_owned).unwrap_or(path)),
    };
    Ok((!path.trim().is_empty() && !path.contains("/target/delombok/")).then_some(path))
}

/// Undoes git's quoting of a path.
fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [b'r', tail @ ..] => rest = tail,
            [other, tail @ ..] => {
                out.push(*other);
                rest = tail;
            }
            [] => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zlib(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn json_body(packed: &[u8]) -> String {
        let data = base64_simd::STANDARD.encode_to_string(packed);
        format!(
            r#"{{"network_files":["a.c",""],"report_fixes":{{"format":"legacy","value":{{}}}},"metadata":{{}},
            "coverage_files":[{{"filename":"/w/lcov.info","format":"base64+compressed","data":"{data}","labels":""}}]}}"#
        )
    }

    #[test]
    fn a_json_body_gives_its_files() {
        let body = json_body(&zlib(b"SF:a.c\n"));
        let envelope = open(body.as_bytes(), Kind::V1).unwrap();
        assert_eq!(envelope.network, ["a.c"]);
        let file = &envelope.files[0];
        assert_eq!(
            (&*file.name, &*file.read(&Budget::new(100)).unwrap()),
            ("/w/lcov.info", &b"SF:a.c\n"[..])
        );
    }

    #[test]
    fn truncated_and_foreign_data_is_refused_with_the_files_name() {
        let packed = zlib(&b"SF:a.c\nDA:1,1\n".repeat(100));
        for bad in [&packed[..packed.len() / 2], &b"not zlib"[..]] {
            let body = json_body(bad);
            let envelope = open(body.as_bytes(), Kind::V1).unwrap();
            let failure = envelope.files[0].read(&Budget::new(100)).unwrap_err();
            assert!(
                matches!(&failure, Failure::Storage(text) if text.contains("lcov.info")),
                "{failure}"
            );
        }
        assert!(matches!(
            open(b"{\"a\": 1}", Kind::V1),
            Err(Failure::Storage(_))
        ));
    }

    #[test]
    fn a_bomb_is_refused() {
        let packed = zlib(&vec![b' '; (RATIO_FREE_BYTES + (4 << 20)) as usize]);
        let body = json_body(&packed);
        let envelope = open(body.as_bytes(), Kind::V1).unwrap();
        let budget = Budget::new(body.len());
        assert!(matches!(
            envelope.files[0].read(&budget),
            Err(Failure::Storage(_))
        ));
    }

    #[test]
    fn outer_compression_is_told_by_the_first_bytes() {
        let budget = Budget::new(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"SF:a.c").unwrap();
        assert_eq!(
            &*unwrap(&gzip.finish().unwrap(), &budget).unwrap(),
            b"SF:a.c"
        );
        let zstd = zstd::encode_all(&b"SF:a.c"[..], 1).unwrap();
        assert_eq!(&*unwrap(&zstd, &budget).unwrap(), b"SF:a.c");
        assert!(unwrap(&[0x1f, 0x8b, 1, 2], &budget).is_err());
    }

    #[test]
    fn sections_end_at_markers_anywhere() {
        let body = b"a.c\n./b.c\n<<<<<< network\nA=1<<<<<< ENV\n# path=x/y.info \n\nSF:a.c<<<<<< EOFSF:b.c\n<<<<<< EOF\n \n";
        let envelope = open(body, Kind::Legacy).unwrap();
        assert_eq!(envelope.network, ["a.c", "b.c"]);
        let files: Vec<_> = envelope
            .files
            .iter()
            .map(|file| (&*file.name, file.read(&Budget::new(0)).unwrap()))
            .collect();
        assert_eq!(files[0], ("x/y.info", Cow::Borrowed(&b"SF:a.c"[..])));
        assert_eq!(files[1], ("", Cow::Borrowed(&b"SF:b.c"[..])));
        assert_eq!(files.len(), 2);
    }
}
