//! The README's Rust is what the tests beside this one run. (The program with a `main` runs as a doctest.)

const README: &str = include_str!("../../README.md");
const TESTED: [&str; 2] = [include_str!("readme_tokio.rs"), include_str!("readme_recipes.rs")];

/// Where a line begins says nothing.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| line.trim().to_owned() + "\n").collect()
}

#[test]
fn every_block_is_tested() {
    let blocks = README.split("\n```rust").skip(1).map(|rest| {
        let (_, rest) = rest.split_once('\n').expect("a block has lines");
        rest.split_once("```").expect("a block ends").0
    });
    let (programs, others): (Vec<&str>, Vec<&str>) = blocks.partition(|block| block.contains("fn main()"));
    assert_eq!((programs.len(), others.len()), (1, 5));
    for block in others {
        let block = trimmed(block);
        assert!(TESTED.iter().any(|file| trimmed(file).contains(&block)), "not tested:\n{block}");
    }
}
