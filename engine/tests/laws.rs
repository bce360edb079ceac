//! The laws that everything else stands on: the join does not care for order, grouping or
//! repetition, for evidence of every kind; and a pack gives back what was put in.

use bytes::Bytes;
use engine::model::{ArmId, Complexity, Coverage, FileBuilder, FileCoverage, Kind, Part, parts_of};
use engine::pack::{self, Pack};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// One statement that an upload makes of a line.
type Said = (u32, Kind, Coverage, Option<Vec<ArmId>>, Option<Complexity>);

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Line), Just(Kind::Method), Just(Kind::Branch)]
}

fn coverage() -> impl Strategy<Value = Coverage> {
    prop_oneof![
        1 => Just(Coverage::Null),
        1 => Just(Coverage::Ignored),
        1 => Just(Coverage::Partial),
        6 => prop_oneof![0u64..4, Just(300), Just(70_000), Just(u64::MAX)].prop_map(Coverage::Hits),
        6 => (0u32..4, 0u32..4).prop_map(|(taken, total)| Coverage::Arms { taken, total }),
    ]
}

fn missed() -> impl Strategy<Value = Option<Vec<ArmId>>> {
    let names = prop_oneof![
        Just("0:0"),
        Just("0:1"),
        Just("0:2"),
        Just("exit"),
        Just("a name that is long")
    ];
    option::of(btree_set(names, 0..4).prop_map(|names| {
        let mut ids: Vec<ArmId> = names.into_iter().map(ArmId::parse).collect();
        ids.sort_unstable();
        ids
    }))
}

fn complexity() -> impl Strategy<Value = Option<Complexity>> {
    option::weighted(
        0.2,
        (0u32..5, option::of(0u32..9)).prop_map(|(covered, total)| Complexity { covered, total }),
    )
}

fn said() -> impl Strategy<Value = Said> {
    (
        prop_oneof![1u32..12, Just(4_000_000)],
        kind(),
        coverage(),
        missed(),
        complexity(),
    )
}

/// Columns of a line, which may have been said or not.
fn part() -> impl Strategy<Value = Part> {
    let line = prop_oneof![1u32..12, Just(4_000_000)];
    let end = option::of(prop_oneof![2u32..6, Just(u32::MAX)]);
    (line, 0u32..4, end, coverage()).prop_map(|(line, start, end, coverage)| Part {
        line,
        start,
        end,
        coverage,
    })
}

fn build(said: &[Said]) -> FileCoverage {
    build_with_parts(said, &[])
}

fn build_with_parts(said: &[Said], parts: &[Part]) -> FileCoverage {
    let mut file = FileBuilder::new();
    for (line, kind, coverage, missed, complexity) in said {
        file.append(*line, *kind, *coverage, missed.as_deref(), *complexity);
    }
    parts.iter().for_each(|part| file.part(*part));
    file.finish()
}

fn upload() -> impl Strategy<Value = FileCoverage> {
    let parts = prop_oneof![Just(Vec::new()), vec(part(), 0..12)];
    (vec(said(), 0..12), parts).prop_map(|(said, parts)| build_with_parts(&said, &parts))
}

/// An upload that knows the very lines of another, as two jobs of one build do.
fn uploads_of_one_build() -> impl Strategy<Value = (FileCoverage, FileCoverage)> {
    let lines = vec((said(), coverage(), missed()), 1..12);
    (lines, vec(part(), 0..6), vec(part(), 0..6)).prop_map(|(lines, a, b)| {
        let first: Vec<Said> = lines.iter().map(|(said, _, _)| said.clone()).collect();
        let second: Vec<Said> = lines
            .into_iter()
            .map(|((line, kind, _, _, complexity), coverage, missed)| {
                (line, kind, coverage, missed, complexity)
            })
            .collect();
        (build_with_parts(&first, &a), build_with_parts(&second, &b))
    })
}

proptest! {
    #[test]
    fn order_does_not_matter(a in upload(), b in upload()) {
        prop_assert_eq!(a.join(&b), b.join(&a));
    }

    #[test]
    fn order_does_not_matter_where_both_know_the_same_lines((a, b) in uploads_of_one_build()) {
        prop_assert_eq!(a.join(&b), b.join(&a));
    }

    #[test]
    fn grouping_does_not_matter(a in upload(), b in upload(), c in upload()) {
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
    }

    #[test]
    fn repetition_does_not_matter(a in upload(), b in upload()) {
        prop_assert_eq!(a.join(&a), a.clone());
        let both = a.join(&b);
        prop_assert_eq!(both.join(&b), both.clone());
        prop_assert_eq!(a.join(&both), both);
    }

    #[test]
    fn nothing_is_the_unit(a in upload()) {
        prop_assert_eq!(a.join(&FileCoverage::default()), a);
    }

    #[test]
    fn a_hit_is_never_lost(a in upload(), b in upload()) {
        let joined = a.join(&b);
        for (line, row) in a.rows() {
            let merged = joined.rows().find(|(l, _)| *l == line).map(|(_, row)| row.coverage());
            let merged = merged.expect("every line of an upload is in the join");
            let names_missed_arms = row.arms.and_then(|arms| arms.missed.ids()).is_some_and(|ids| !ids.is_empty());
            if row.coverage().is_hit() && !names_missed_arms && merged != Coverage::Ignored {
                prop_assert!(merged.is_hit(), "{:?} became {merged:?}", row.coverage());
            }
        }
    }

    #[test]
    fn parts_of_a_join_are_the_sorted_union_and_belong_to_rows(a in upload(), b in upload()) {
        let mut expected = [a.parts(), b.parts()].concat();
        expected.sort_unstable();
        expected.dedup();
        let joined = a.join(&b);
        prop_assert_eq!(joined.parts(), &expected[..]);
        let appended = a.append(&b);
        prop_assert_eq!(appended.parts(), &expected[..]);
        let mut rest = joined.parts();
        let of_rows = joined.rows().map(|(line, _)| parts_of(&mut rest, line).len());
        prop_assert_eq!(of_rows.sum::<usize>(), expected.len());
        let odd = joined.filter(|line| line % 2 == 1);
        expected.retain(|part| part.line % 2 == 1);
        prop_assert_eq!(odd.parts(), &expected[..]);
    }

    #[test]
    fn rows_ascend_and_totals_agree_with_them(a in upload(), b in upload()) {
        let joined = a.join(&b);
        let mut counted = engine::model::Totals::default();
        let mut last = 0;
        for (line, row) in joined.rows() {
            prop_assert!(line > last);
            last = line;
            counted.add_line(&row);
        }
        prop_assert_eq!(counted, joined.totals());
    }

    #[test]
    fn a_pack_gives_back_what_was_put_in(a in upload(), b in upload()) {
        let files = [("src/a.c", a), ("src/b.c", b)];
        let encoded = pack::encode(&files, 1).expect("evidence of any kind encodes");
        let opened = Pack::open(encoded.name(), encoded.bytes().clone()).expect("its own bytes open");
        prop_assert_eq!(opened.header(), encoded.header());
        for (path, file) in files {
            let entry = opened.header().find(path).expect("its own path");
            prop_assert_eq!(opened.file(entry).expect("its own chunk"), file);
        }
    }

    #[test]
    fn a_damaged_chunk_is_an_error_or_a_sound_file(a in upload(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut chunk = pack::encode_chunk(&a).expect("evidence of any kind encodes");
        let at = at.index(chunk.len());
        chunk[at] ^= 1 << bit;
        if let Ok(file) = pack::decode_chunk(&chunk) {
            prop_assert!(file.rows().map(|(line, _)| line).is_sorted());
            prop_assert!(file.parts().is_sorted_by(|a, b| a < b));
        }
    }
}

#[test]
fn a_pack_with_another_byte_is_refused() {
    let encoded = pack::encode(
        &[(
            "a",
            build(&[(1, Kind::Line, Coverage::Hits(1), None, None)]),
        )],
        1,
    )
    .expect("one line encodes");
    for at in 0..encoded.bytes().len() {
        let mut bytes = encoded.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(
            Pack::open(encoded.name(), Bytes::from(bytes)).is_err(),
            "byte {at}"
        );
    }
}
