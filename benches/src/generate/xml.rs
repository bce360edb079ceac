//! Formats that are XML.

use std::io::{self, Write};

use super::{Folder, Kind, Line, Source, count};

/// Writes a report of these folders, made at `now_us`.
pub(super) fn write(
    kind: Kind,
    folders: impl Iterator<Item = Folder>,
    now_us: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    write_head(kind, now_us, out)?;
    for (number, folder) in folders.enumerate() {
        match kind {
            Kind::Cobertura => write_cobertura(&folder, out)?,
            Kind::Jacoco => write_jacoco(&folder, out)?,
            Kind::Clover => write_clover(&folder, out)?,
            Kind::OpenCover => write_opencover(number, &folder, out)?,
            Kind::Scoverage => write_scoverage(&folder, out)?,
            _ => write_sonar(&folder, out)?,
        }
    }
    let tail = match kind {
        Kind::Cobertura => "\t</packages>\n</coverage>\n",
        Kind::Jacoco => "</report>",
        Kind::Clover => "  </project>\n</coverage>\n",
        Kind::OpenCover => "  </Modules>\n</CoverageSession>\n",
        Kind::Scoverage => "</statements>\n",
        _ => "</coverage>\n",
    };
    out.write_all(tail.as_bytes())
}

fn write_head(kind: Kind, now_us: i64, out: &mut impl Write) -> io::Result<()> {
    let now_ms = now_us / 1000;
    match kind {
        Kind::Cobertura => write!(
            out,
            "<?xml version=\"1.0\" ?>\n<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\n\
             <coverage version=\"7.6.1\" timestamp=\"{now_ms}\" line-rate=\"0.8\" branch-rate=\"0.6\" complexity=\"0\">\n\
             \t<sources>\n\t\t<source>/home/runner/work/app/app</source>\n\t</sources>\n\t<packages>\n"
        ),
        Kind::Jacoco => write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\
             <!DOCTYPE report PUBLIC \"-//JACOCO//DTD Report 1.1//EN\" \"report.dtd\">\
             <report name=\"app\"><sessioninfo id=\"runner-1\" start=\"{now_ms}\" dump=\"{now_ms}\"/>"
        ),
        Kind::Clover => {
            let now_s = now_us / 1_000_000;
            write!(
                out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<coverage generated=\"{now_s}\">\n  <project timestamp=\"{now_s}\">\n"
            )
        }
        Kind::OpenCover => write!(
            out,
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<CoverageSession>\n  <Summary visitedSequencePoints=\"1\"/>\n  <Modules>\n"
        ),
        Kind::Scoverage => write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<statements>\n"
        ),
        _ => writeln!(out, "<coverage version=\"1\">"),
    }
}

fn write_cobertura(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    let package = folder.path.replace('/', ".");
    writeln!(
        out,
        "\t\t<package name=\"{package}\" line-rate=\"0.8\" branch-rate=\"0.6\" complexity=\"0\">\n\t\t\t<classes>"
    )?;
    for source in &folder.sources {
        let (path, name) = (&folder.path, &source.name);
        writeln!(
            out,
            "\t\t\t\t<class name=\"{name}.py\" filename=\"{path}/{name}.py\" complexity=\"0\" line-rate=\"0.8\" branch-rate=\"0.6\">\n\
             \t\t\t\t\t<methods/>\n\t\t\t\t\t<lines>"
        )?;
        for line in &source.lines {
            write!(
                out,
                "\t\t\t\t\t\t<line number=\"{}\" hits=\"{}\"",
                line.number, line.hits
            )?;
            if !line.arms.is_empty() {
                let (taken, arms) = (line.arms_taken(), line.arms.len());
                let percent = 100 * taken / arms;
                write!(
                    out,
                    " branch=\"true\" condition-coverage=\"{percent}% ({taken}/{arms})\""
                )?;
                let missed = line
                    .arms
                    .iter()
                    .zip(line.number + 1..)
                    .filter(|(count, _)| **count == 0);
                let targets: Vec<String> = missed.map(|(_, target)| target.to_string()).collect();
                if !targets.is_empty() {
                    write!(out, " missing-branches=\"{}\"", targets.join(","))?;
                }
            }
            writeln!(out, "/>")?;
        }
        writeln!(out, "\t\t\t\t\t</lines>\n\t\t\t\t</class>")?;
    }
    writeln!(out, "\t\t\t</classes>\n\t\t</package>")
}

fn write_jacoco(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    write!(out, "<package name=\"com/example/{}\">", folder.path)?;
    for source in &folder.sources {
        let name = &source.name;
        write!(
            out,
            "<class name=\"com/example/{}/{name}\" sourcefilename=\"{name}.java\">",
            folder.path
        )?;
        for function in &source.functions {
            let lines = &source.lines[function.first..function.end];
            let (missed, covered) = count(lines);
            let (never, ran) = (u8::from(function.calls == 0), u8::from(function.calls > 0));
            write!(
                out,
                "<method name=\"{}\" desc=\"(Ljava/lang/String;I)V\" line=\"{}\">\
                 <counter type=\"INSTRUCTION\" missed=\"{}\" covered=\"{}\"/>\
                 <counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/>\
                 <counter type=\"COMPLEXITY\" missed=\"{never}\" covered=\"{ran}\"/>\
                 <counter type=\"METHOD\" missed=\"{never}\" covered=\"{ran}\"/></method>",
                function.name,
                lines[0].number,
                missed * 4,
                covered * 4,
            )?;
        }
        let (missed, covered) = count(&source.lines);
        write!(
            out,
            "<counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/></class>"
        )?;
    }
    for source in &folder.sources {
        write!(out, "<sourcefile name=\"{}.java\">", source.name)?;
        for line in &source.lines {
            let (mi, ci) = if line.hits == 0 { (4, 0) } else { (0, 4) };
            let cb = line.arms_taken();
            let mb = line.arms.len() - cb;
            write!(
                out,
                "<line nr=\"{}\" mi=\"{mi}\" ci=\"{ci}\" mb=\"{mb}\" cb=\"{cb}\"/>",
                line.number
            )?;
        }
        let (missed, covered) = count(&source.lines);
        write!(
            out,
            "<counter type=\"LINE\" missed=\"{missed}\" covered=\"{covered}\"/></sourcefile>"
        )?;
    }
    write!(out, "</package>")
}

fn write_clover(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    for source in &folder.sources {
        writeln!(
            out,
            "    <file name=\"/home/runner/work/app/app/{}/{}.php\">",
            folder.path, source.name
        )?;
        for function in &source.functions {
            writeln!(
                out,
                "      <line num=\"{}\" type=\"method\" name=\"{}\" visibility=\"public\" complexity=\"2\" crap=\"2\" count=\"{}\"/>",
                source.lines[function.first].number, function.name, function.calls
            )?;
            for line in &source.lines[function.first + 1..function.end] {
                writeln!(
                    out,
                    "      <line num=\"{}\" type=\"stmt\" count=\"{}\"/>",
                    line.number, line.hits
                )?;
            }
        }
        let loc = source.lines.last().map_or(0, |line| line.number) + 1;
        writeln!(
            out,
            "      <metrics loc=\"{loc}\" ncloc=\"{loc}\" classes=\"1\" methods=\"{}\" statements=\"{}\"/>\n    </file>",
            source.functions.len(),
            source.lines.len()
        )?;
    }
    Ok(())
}

/// A module for each folder; a class for each source.
fn write_opencover(number: usize, folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "    <Module>\n      <Files>")?;
    let uid = |i: usize| number * super::FOLDER_FILES + i + 1;
    for (i, source) in folder.sources.iter().enumerate() {
        let path = folder.path.replace('/', "\\");
        writeln!(
            out,
            "        <File uid=\"{}\" fullPath=\"C:\\app\\{path}\\{}.cs\"/>",
            uid(i),
            source.name
        )?;
    }
    writeln!(out, "      </Files>\n      <Classes>")?;
    for (i, source) in folder.sources.iter().enumerate() {
        writeln!(
            out,
            "        <Class>\n          <FullName>{}</FullName>\n          <Methods>",
            source.name
        )?;
        for function in &source.functions {
            writeln!(
                out,
                "            <Method visited=\"true\" cyclomaticComplexity=\"2\">\n              <Name>{}</Name>\n              <FileRef uid=\"{}\"/>",
                function.name,
                uid(i)
            )?;
            write_points(&source.lines[function.first..function.end], uid(i), out)?;
            writeln!(out, "            </Method>")?;
        }
        writeln!(out, "          </Methods>\n        </Class>")?;
    }
    writeln!(out, "      </Classes>\n    </Module>")
}

fn write_points(lines: &[Line], uid: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "              <SequencePoints>")?;
    for (i, line) in lines.iter().enumerate() {
        let (n, arms, taken) = (line.number, line.arms.len(), line.arms_taken());
        writeln!(
            out,
            "                <SequencePoint vc=\"{}\" uspid=\"{n}\" ordinal=\"{i}\" offset=\"{}\" sl=\"{n}\" sc=\"9\" el=\"{n}\" ec=\"42\" bec=\"{arms}\" bev=\"{taken}\" fileid=\"{uid}\"/>",
            line.hits,
            i * 7
        )?;
    }
    writeln!(
        out,
        "              </SequencePoints>\n              <BranchPoints>"
    )?;
    for line in lines {
        for (path, taken) in line.arms.iter().enumerate() {
            let n = line.number;
            writeln!(
                out,
                "                <BranchPoint vc=\"{taken}\" uspid=\"{n}\" ordinal=\"{path}\" offset=\"{n}\" sl=\"{n}\" path=\"{path}\" offsetend=\"{}\" fileid=\"{uid}\"/>",
                n as usize + path
            )?;
        }
    }
    writeln!(out, "              </BranchPoints>")
}

fn write_sonar(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    for source in &folder.sources {
        writeln!(out, "  <file path=\"{}/{}.c\">", folder.path, source.name)?;
        for line in &source.lines {
            write!(
                out,
                "    <lineToCover lineNumber=\"{}\" covered=\"{}\"",
                line.number,
                line.hits > 0
            )?;
            if !line.arms.is_empty() {
                let (arms, taken) = (line.arms.len(), line.arms_taken());
                write!(
                    out,
                    " branchesToCover=\"{arms}\" coveredBranches=\"{taken}\""
                )?;
            }
            writeln!(out, "/>")?;
        }
        writeln!(out, "  </file>")?;
    }
    Ok(())
}

fn write_scoverage(folder: &Folder, out: &mut impl Write) -> io::Result<()> {
    let package = folder.path.replace('/', ".");
    for source in &folder.sources {
        write_statements(&folder.path, &package, source, out)?;
    }
    Ok(())
}

fn write_statements(
    folder: &str,
    package: &str,
    source: &Source,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = &source.name;
    for function in &source.functions {
        for line in &source.lines[function.first..function.end] {
            let (n, branch) = (line.number, !line.arms.is_empty());
            write!(
                out,
                "  <statement>\n    <source>{folder}/{name}.scala</source>\n    <package>{package}</package>\n    <class>{name}</class>\n    <classType>Class</classType>\n    <method>{}</method>\n    <id>{n}</id>\n    <start>{}</start>\n    <end>{}</end>\n    <line>{n}</line>\n    <branch>{branch}</branch>\n    <count>{}</count>\n    <ignored>false</ignored>\n  </statement>\n",
                function.name,
                n * 40,
                n * 40 + 31,
                line.hits
            )?;
        }
    }
    Ok(())
}
