//! Formats that are plain text.

use std::io::{self, Write};

use super::{Kind, Line, Source, code};

/// Writes a report of these sources, each with its folder.
pub(super) fn write(
    kind: Kind,
    sources: impl Iterator<Item = (String, Source)>,
    out: &mut impl Write,
) -> io::Result<()> {
    if kind == Kind::Go {
        writeln!(out, "mode: count")?;
    }
    for (folder, source) in sources {
        match kind {
            Kind::Lcov => write_lcov(&folder, &source, out)?,
            Kind::Go => write_go(&folder, &source, out)?,
            Kind::Gcov => write_gcov(&folder, &source, out)?,
            Kind::Lua => write_lua(&folder, &source, out)?,
            _ => write_llvm_show(&folder, &source, out)?,
        }
    }
    Ok(())
}

fn write_lcov(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "TN:\nSF:/home/runner/work/app/app/{folder}/{}.ts",
        source.name
    )?;
    for function in &source.functions {
        writeln!(
            out,
            "FN:{},{}",
            source.lines[function.first].number, function.name
        )?;
    }
    for function in &source.functions {
        writeln!(out, "FNDA:{},{}", function.calls, function.name)?;
    }
    let called = source
        .functions
        .iter()
        .filter(|function| function.calls > 0)
        .count();
    writeln!(out, "FNF:{}\nFNH:{called}", source.functions.len())?;
    let (mut arms, mut taken) = (0, 0);
    for (block, line) in source
        .lines
        .iter()
        .filter(|line| !line.arms.is_empty())
        .enumerate()
    {
        for (arm, count) in line.arms.iter().enumerate() {
            write!(out, "BRDA:{},{block},{arm},", line.number)?;
            match line.hits {
                0 => writeln!(out, "-")?,
                _ => writeln!(out, "{count}")?,
            }
        }
        arms += line.arms.len();
        taken += line.arms_taken();
    }
    writeln!(out, "BRF:{arms}\nBRH:{taken}")?;
    for line in &source.lines {
        writeln!(out, "DA:{},{}", line.number, line.hits)?;
    }
    let covered = source.lines.iter().filter(|line| line.hits > 0).count();
    writeln!(
        out,
        "LF:{}\nLH:{covered}\nend_of_record",
        source.lines.len()
    )
}

/// Neighbours with equal hits make one block, as the Go compiler has them.
fn write_go(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let blocks = source
        .lines
        .chunk_by(|line, next| line.hits == next.hits && line.arms.is_empty());
    for (i, block) in blocks.enumerate() {
        let (first, last) = (&block[0], &block[block.len() - 1]);
        let (begin, end) = (2 + i % 3, 20 + i % 40);
        writeln!(
            out,
            "github.com/example/app/{folder}/{}.go:{}.{begin},{}.{end} {} {}",
            source.name,
            first.number,
            last.number,
            block.len(),
            first.hits
        )?;
    }
    Ok(())
}

/// Every line of the source, the blank ones too, with the arms below a line that branches.
fn write_gcov(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "        -:    0:Source:{folder}/{}.c", source.name)?;
    writeln!(out, "        -:    0:Graph:{}.gcno", source.name)?;
    let mut next = 1;
    for line in &source.lines {
        for blank in next..line.number {
            writeln!(out, "        -:{blank:5}:")?;
        }
        next = line.number + 1;
        match line.hits {
            0 => write!(out, "    #####")?,
            hits => write!(out, "{hits:9}")?,
        }
        writeln!(out, ":{:5}:{}", line.number, code(line))?;
        for (arm, taken) in line.arms.iter().enumerate() {
            writeln!(out, "branch {arm:2} taken {taken}")?;
        }
    }
    Ok(())
}

fn write_llvm_show(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "/home/runner/work/app/app/{folder}/{}.swift:",
        source.name
    )?;
    let mut next = 1;
    for line in &source.lines {
        for blank in next..line.number {
            writeln!(out, "{blank:5}|       |")?;
        }
        next = line.number + 1;
        writeln!(
            out,
            "{:5}|{:>7}|{}",
            line.number,
            short_count(line),
            code(line)
        )?;
    }
    writeln!(out)
}

/// A count as llvm-cov shows it: three digits and a letter.
fn short_count(line: &Line) -> String {
    match line.hits {
        hits if hits < 1000 => hits.to_string(),
        hits if hits < 1_000_000 => format!("{:.2}k", hits as f64 / 1e3),
        hits => format!("{:.2}M", hits as f64 / 1e6),
    }
}

fn write_lua(folder: &str, source: &Source, out: &mut impl Write) -> io::Result<()> {
    const RULE: &str =
        "==============================================================================";
    writeln!(out, "{RULE}\n{folder}/{}.lua\n{RULE}", source.name)?;
    let mut next = 1;
    for line in &source.lines {
        for _ in next..line.number {
            writeln!(out, "        ")?;
        }
        next = line.number + 1;
        match line.hits {
            0 => writeln!(out, "******0 {}", code(line))?,
            hits => writeln!(out, "{hits:7} {}", code(line))?,
        }
    }
    Ok(())
}
