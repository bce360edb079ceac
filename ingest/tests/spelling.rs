//! Readers take lines that are spelt as their tools spell them by a short cut. Any other spelling of
//! the same document, with attributes in another order, other quotes, blanks or comments, gives the same.

use engine::model::FileCoverage;
use ingest::envelope::{Budget, Envelope, UploadedFile};
use ingest::process_files;
use ingest::settings::Settings;
use proptest::collection::vec;
use proptest::prelude::*;

/// How a document is written.
#[derive(Clone, Copy)]
enum Spelling {
    /// As its tool writes it.
    Usual,
    /// In every way that XML allows else.
    Odd,
}

/// What a report says of one line.
#[derive(Clone, Debug)]
struct Line {
    number: u32,
    hits: u64,
    /// Arms taken and missed.
    arms: (u32, u32),
    /// Whether a method starts here, or missed arms are named.
    is_special: bool,
}

/// Files by the number in their name; one may come again.
type Files = Vec<(u8, Vec<Line>)>;

fn files() -> impl Strategy<Value = Files> {
    let hits = prop_oneof![0..3_u64, 0..100_000_000_000_u64];
    let line = (0..400_u32, hits, (0..3_u32, 0..3_u32), any::<bool>());
    let line = line.prop_map(|(number, hits, arms, is_special)| Line {
        number,
        hits,
        arms,
        is_special,
    });
    vec((0..3_u8, vec(line, 0..40)), 0..6)
}

impl Spelling {
    fn element(self, name: &str, attributes: &[(&str, String)]) -> String {
        match self {
            Spelling::Usual => format!("{}/>", self.tag(name, attributes)),
            Spelling::Odd => format!("{} ><!-- > --></{name} >", self.tag(name, attributes)),
        }
    }

    fn open(self, name: &str, attributes: &[(&str, String)]) -> String {
        format!("{}>", self.tag(name, attributes))
    }

    fn tag(self, name: &str, attributes: &[(&str, String)]) -> String {
        let mut tag = format!("<{name}");
        match self {
            Spelling::Usual => attributes
                .iter()
                .for_each(|(key, value)| tag += &format!(" {key}=\"{value}\"")),
            Spelling::Odd => {
                tag.insert_str(0, "x <![CDATA[<line/>]]>");
                tag += "\n other = '/>'";
                let odd = attributes.iter().rev();
                odd.for_each(|(key, value)| tag += &format!("\r\n{key}\t= '{value}'"));
            }
        }
        tag
    }
}

fn cobertura(files: &Files, spelling: Spelling) -> String {
    let mut xml = String::from("<coverage><packages>");
    for (file, lines) in files {
        xml += &spelling.open("class", &[("filename", format!("src/{file}.py"))]);
        for Line {
            number,
            hits,
            arms: (taken, missed),
            is_special,
        } in lines
        {
            let mut line = vec![("number", number.to_string()), ("hits", hits.to_string())];
            if taken + missed > 0 {
                let total = taken + missed;
                let percent = 100 * taken / total;
                line.push(("branch", "true".into()));
                line.push((
                    "condition-coverage",
                    format!("{percent}% ({taken}/{total})"),
                ));
                if *is_special {
                    line.push(("missing-branches", "7,exit".into()));
                }
            } else if *is_special {
                line.push(("branch", "false".into()));
            }
            xml += &format!("\n\t\t{}", spelling.element("line", &line));
        }
        xml += "</class>";
    }
    xml + "</packages></coverage>"
}

fn jacoco(files: &Files, spelling: Spelling) -> String {
    let mut xml = String::from("<report name=\"the app\"><package name=\"com/x\">");
    for (file, lines) in files {
        xml += &spelling.open("class", &[("name", format!("com/x/{file}"))]);
        for line in lines.iter().filter(|line| line.is_special) {
            let (name, desc) = ("&lt;init&gt;".to_owned(), "()V".to_owned());
            let method = [
                ("name", name),
                ("desc", desc),
                ("line", line.number.to_string()),
            ];
            xml += &spelling.open("method", &method);
            for kind in ["LINE", "COMPLEXITY", "METHOD"] {
                let (covered, missed) = (line.arms.0.to_string(), line.arms.1.to_string());
                let counter = [
                    ("type", kind.into()),
                    ("missed", missed),
                    ("covered", covered),
                ];
                xml += &spelling.element("counter", &counter);
            }
            xml += "</method>";
        }
        xml += "</class>";
        xml += &spelling.open("sourcefile", &[("name", format!("{file}.java"))]);
        for Line {
            number,
            hits,
            arms: (taken, missed),
            ..
        } in lines
        {
            let line = [
                ("nr", number.to_string()),
                ("mi", u32::from(*hits == 0).to_string()),
                ("ci", hits.to_string()),
                ("mb", missed.to_string()),
                ("cb", taken.to_string()),
            ];
            xml += &spelling.element("line", &line);
        }
        xml += "</sourcefile>";
    }
    xml + "</package></report>"
}

fn clover(files: &Files, spelling: Spelling) -> String {
    let mut xml = String::from("<coverage generated=\"1\"><project>");
    for (file, lines) in files {
        xml += &spelling.open("file", &[("name", format!("src/{file}.php"))]);
        for Line {
            number,
            hits,
            arms: (yes, no),
            is_special,
        } in lines
        {
            let (number, hits) = (("num", number.to_string()), ("count", hits.to_string()));
            let kind = |kind: &str| ("type", kind.to_owned());
            let line = match (yes + no, is_special) {
                (0, true) => vec![number, kind("stmt"), hits],
                (0, false) => vec![number, hits, kind("stmt")],
                (_, false) => {
                    let counts = [
                        ("truecount", yes.to_string()),
                        ("falsecount", no.to_string()),
                    ];
                    [vec![number, kind("cond")], counts.to_vec()].concat()
                }
                (complexity, true) => vec![
                    number,
                    kind("method"),
                    ("name", "f".into()),
                    ("visibility", "public".into()),
                    ("complexity", complexity.to_string()),
                    ("crap", "1.5".into()),
                    hits,
                ],
            };
            xml += &format!("\n  {}", spelling.element("line", &line));
        }
        xml += &spelling.element("metrics", &[("loc", "350".into())]);
        xml += "</file>";
    }
    xml + "</project></coverage>"
}

/// What a document says.
fn read(document: &str) -> (Vec<(String, FileCoverage)>, Option<String>) {
    let settings = Settings::parse("codecov: {max_report_age: false}");
    let envelope = Envelope {
        files: vec![UploadedFile::new("", document.as_bytes())],
        ..Envelope::default()
    };
    let budget = Budget::new(document.len());
    let outcome = process_files(&envelope, &budget, &settings, &[], 0);
    (outcome.files, outcome.error.map(|error| error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_spelling_of_a_document_gives_the_same(files in files()) {
        for write in [cobertura, jacoco, clover] {
            let usual = write(&files, Spelling::Usual);
            let odd = write(&files, Spelling::Odd);
            prop_assert_eq!(read(&usual), read(&odd), "{}", usual);
        }
    }

    #[test]
    fn documents_that_are_cut_or_changed_never_panic(
        files in files(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for write in [cobertura, jacoco, clover] {
            let mut document = write(&files, Spelling::Odd).into_bytes();
            let at = cut.index(document.len());
            read(&String::from_utf8_lossy(&document[..at]));
            document[at] = byte;
            let (_, error) = read(&String::from_utf8_lossy(&document));
            prop_assert!(error.is_none_or(|error| !error.contains("broke")));
        }
    }
}

#[test]
fn lines_of_methods_count_once_more_with_their_class() {
    let line = |hits: u64| format!("<line number=\"7\" hits=\"{hits}\"/>");
    let document = format!(
        "<coverage><class filename=\"a.py\"><methods>{}</methods><lines>{}</lines></class></coverage>",
        line(3),
        line(2)
    );
    let (files, _) = read(&document);
    let rows: Vec<_> = files[0]
        .1
        .rows()
        .map(|(line, row)| (line, row.hits))
        .collect();
    assert_eq!(rows, [(7, Some(3))]);
    assert_eq!(files.first().map(|file| file.0.as_str()).unwrap(), "a.py");
}
