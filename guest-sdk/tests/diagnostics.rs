//! What a developer reads when a trigger function has the wrong shape: the text, and the place
//! that it points at.

#[test]
fn wrong_shapes_are_told_at_their_place() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/shapes.rs");
    cases.compile_fail("tests/ui/wrong_*.rs");
}
