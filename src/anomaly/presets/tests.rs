use super::*;

#[test]
fn presets_are_valid_and_survive_json() {
    for name in [PresetName::Default, PresetName::Paper, PresetName::Official] {
        let preset = Preset::new(name);
        assert_eq!(preset.name, name);
        preset.check().unwrap();
        let text = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Preset>(&text).unwrap(), preset);
    }
}

#[test]
fn the_papers_and_the_programs_numbers() {
    let (paper, official) = (Preset::new(PresetName::Paper), Preset::new(PresetName::Official));
    assert_eq!((paper.anomaly_tokens, paper.spatial_tokens, paper.mask_tokens), (8, 4, 4));
    assert_eq!((official.anomaly_tokens, official.spatial_tokens, official.mask_tokens), (4, 4, 16));
    assert_eq!((official.generation.steps, official.generation.eta), (200, 1.0));
    assert_eq!(official.training.optimizer.learning_rate, 2e-2);
    assert!(!official.generation.last_blend && !official.generation.paste);
}

#[test]
fn numbers_that_cannot_work_are_refused() {
    let mut preset = Preset::new(PresetName::Default);
    preset.generation.eta = f64::NAN;
    assert!(preset.check().unwrap_err().to_string().contains("--eta"));
    let mut preset = Preset::new(PresetName::Default);
    preset.training.optimizer.learning_rate = -1.0;
    assert!(preset.check().unwrap_err().to_string().contains("--learning-rate"));
    for batch_size in [0, MOST_BATCH + 1, usize::MAX] {
        let mut preset = Preset::new(PresetName::Default);
        preset.training.batch_size = batch_size;
        assert!(preset.check().unwrap_err().to_string().contains(&format!("--batch-size: expected 1 to 1024, found {batch_size}")));
        let preset = MaskPreset { batch_size, ..MaskPreset::new(PresetName::Default, 1) };
        assert!(preset.check().unwrap_err().to_string().contains("--batch-size"));
    }
    for close_up in [0.5, 9.0, f64::NAN] {
        let preset = Preset { close_up, ..Preset::new(PresetName::Default) };
        assert!(preset.check().unwrap_err().to_string().contains("--close-up"));
    }
    let preset = Preset { looks: 2000, ..Preset::new(PresetName::Default) };
    assert!(preset.check().unwrap_err().to_string().contains("--looks"));
    let preset = Preset { close_up: 2.0, ..Preset::new(PresetName::Official) };
    assert!(preset.check().unwrap_err().to_string().contains("--preset official"));
    assert!(PresetName::parse("papr").unwrap_err().to_string().contains("default, paper or official"));
}

#[test]
fn switches_of_the_ablation_are_written_only_when_they_are_off() {
    let mut preset = Preset::new(PresetName::Default);
    let text = serde_json::to_string(&preset).unwrap();
    assert!(!text.contains("masked_loss"), "files and recipes stay those of earlier versions");
    preset.training.masked_loss = false;
    preset.encoder = EncoderKind::None;
    assert!(preset.check().unwrap_err().to_string().contains("spatial tokens"));
    preset.spatial_tokens = 0;
    preset.check().unwrap();
    assert_eq!(serde_json::from_str::<Preset>(&serde_json::to_string(&preset).unwrap()).unwrap(), preset);
}

#[test]
fn a_types_name_becomes_words() {
    let text = |name| InitialWord::TypeName.text(name);
    assert_eq!([text("broken_large"), text("glue-strip"), text("007")], ["broken large", "glue strip", "anomaly"]);
    assert_eq!(InitialWord::Word("crack".into()).text("rust"), "crack");
}
