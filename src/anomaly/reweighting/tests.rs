use super::*;
use crate::error::exit_code;

#[test]
fn official_dilation_shrinks_with_time() {
    assert_eq!(official_radius(996, 200, 32), 8);
    assert_eq!(official_radius(400, 200, 32), 4);
    assert_eq!(official_radius(1, 200, 32), 0);
    assert_eq!(official_radius(981, 50, 32), 17);
    assert_eq!(official_radius(996, 200, 64), 17);
    assert_eq!(official_radius(996, 200, 8), 2);
}

#[test]
fn names_are_read_back_and_others_refused() {
    for mode in [Mode::Off, Mode::Paper, Mode::Official, Mode::Default] {
        assert_eq!(Mode::parse(mode.name()).unwrap(), mode);
    }
    let error = Mode::parse("on").unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("--reweight on"), "{error}");
}
