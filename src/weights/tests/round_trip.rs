use std::collections::BTreeMap;

use super::bytes;
use crate::tensor::{DType, Tensor};
use crate::testing::random;
use crate::weights::{Archive, EmbeddedFile, Folder, Precision, StoredType, save};

#[test]
fn tensors_and_metadata_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let float = random("float", &[3, 5]);
    let tensors = vec![
        ("half".to_owned(), float.to_dtype(DType::F16).unwrap()),
        ("brain".to_owned(), float.to_dtype(DType::BF16).unwrap()),
        ("float".to_owned(), float.clone()),
        ("ids".to_owned(), Tensor::from_i32(vec![1, -2], &[2]).unwrap()),
        ("number".to_owned(), Tensor::scalar(7.0)),
    ];
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("step".to_owned(), "12".to_owned())]);
    save(&path, &tensors, &metadata).unwrap();

    let archive = Archive::open(&path).unwrap().with_precision(Precision::AsStored);
    assert_eq!(archive.metadata(), metadata);
    for (name, tensor) in &tensors {
        let found = archive.tensor(name).unwrap();
        assert_eq!((found.dtype(), found.shape(), found.bytes().unwrap()), (tensor.dtype(), tensor.shape(), tensor.bytes().unwrap()), "{name}");
    }
    let widened = Archive::open(&path).unwrap();
    assert_eq!(widened.tensor("half").unwrap().to_f32_vec().unwrap(), tensors[0].1.to_f32_vec().unwrap());
    assert_eq!(widened.tensor("brain").unwrap().dtype(), DType::F32);
    assert_eq!(widened.stored_type("brain"), Some(StoredType::BF16));
}

#[test]
fn the_reference_reader_agrees() {
    let float = random("float", &[4, 2, 3]);
    let bytes = bytes(&[("x", float.clone()), ("ids", Tensor::from_i32(vec![5], &[1]).unwrap()), ("h", float.to_dtype(DType::F16).unwrap())]);
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = reference.tensor("x").unwrap();
    assert_eq!((view.dtype(), view.shape(), view.data()), (safetensors::Dtype::F32, float.shape(), &*float.bytes().unwrap()));
    assert_eq!(reference.tensor("h").unwrap().dtype(), safetensors::Dtype::F16);
}

#[test]
fn other_element_types_are_converted() {
    let values: Vec<u8> = [1i64, -3].iter().flat_map(|value| value.to_le_bytes()).collect();
    let doubles: Vec<u8> = [0.5f64, 1e-3].iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |dtype, data| safetensors::tensor::TensorView::new(dtype, vec![2], data).unwrap();
    let tensors = [
        ("i", view(safetensors::Dtype::I64, &values)),
        ("d", view(safetensors::Dtype::F64, &doubles)),
        ("b", view(safetensors::Dtype::BOOL, &[1, 0])),
    ];
    let archive = Archive::from_bytes("test", safetensors::serialize(tensors, None).unwrap()).unwrap();
    assert_eq!(archive.tensor("i").unwrap().i32s().unwrap(), [1, -3]);
    assert_eq!(archive.tensor("d").unwrap().to_f32_vec().unwrap(), [0.5, 1e-3]);
    assert_eq!(archive.tensor("b").unwrap().i32s().unwrap(), [1, 0]);
    let large = i64::MAX.to_le_bytes();
    let tensors = [("i", safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &large).unwrap())];
    let archive = Archive::from_bytes("test", safetensors::serialize(tensors, None).unwrap()).unwrap();
    assert!(format!("{:#}", archive.tensor("i").unwrap_err()).contains("beyond 32 bits"));
}

#[test]
fn the_digest_sees_every_part_and_no_split() {
    let (x, y) = (random("x", &[300, 1000]), random("y", &[7]));
    let digest = |bytes: Vec<u8>| Archive::from_bytes("test", bytes).unwrap().digest().unwrap();
    let whole = digest(bytes(&[("x", x.clone()), ("y", y.clone())]));
    let mut changed = bytes(&[("x", x.clone()), ("y", y.clone())]);
    *changed.last_mut().unwrap() ^= 1;
    assert_ne!(whole, digest(changed));
    assert_ne!(whole, digest(bytes(&[("x", x.clone()), ("z", y.clone())])));
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("a.safetensors", bytes(&[("y", y)])), ("b.safetensors", bytes(&[("x", x)]))] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let names = ["a.safetensors".to_owned(), "b.safetensors".to_owned()];
    assert_eq!(whole, Archive::from_files(&Folder::disk(folder.path()), &names).unwrap().digest().unwrap());
}

#[test]
fn plain_files_before_shards_before_variants() {
    let folder = tempfile::tempdir().unwrap();
    let place = Folder::disk(folder.path());
    let write = |name: &str, value: f32| std::fs::write(folder.path().join(name), bytes(&[("x", Tensor::scalar(value))])).unwrap();
    let found = || Archive::in_folder(&place, "model").unwrap().tensor("x").unwrap().item().unwrap();
    assert!(Archive::in_folder(&place, "model").unwrap_err().to_string().contains("has no weights: expected model.safetensors"));
    std::fs::write(folder.path().join("model.bin"), b"pickle").unwrap();
    assert!(Archive::in_folder(&place, "model").unwrap_err().to_string().contains("can run code"));
    write("model.non_ema.safetensors", 4.0);
    assert_eq!(found(), 4.0);
    write("model.fp16.safetensors", 3.0);
    assert_eq!(found(), 3.0);
    write("model-00001-of-00001.safetensors", 2.0);
    let index = r#"{"metadata": {"total_size": 4}, "weight_map": {"x": "model-00001-of-00001.safetensors"}}"#;
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    assert_eq!(found(), 2.0);
    write("model.safetensors", 1.0);
    assert_eq!(found(), 1.0);
}

#[test]
fn lying_indexes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors.index.json");
    std::fs::write(folder.path().join("a.safetensors"), bytes(&[("x", Tensor::scalar(1.0))])).unwrap();
    for (index, expected) in [
        (r#"{"weight_map": {"x": "../a.safetensors"}}"#, "beside it"),
        (r#"{"weight_map": {"x": "/etc/passwd"}}"#, "beside it"),
        (r#"{"weight_map": {"x": "b.safetensors"}}"#, "not there"),
        (r#"{"weight_map": {"y": "a.safetensors"}}"#, "promises tensor y"),
        (r#"{"weight_map": {}}"#, "names no file"),
        (r#"{"weight_map": 3}"#, "not an index"),
        (r#"{"weight_map""#, "not an index"),
    ] {
        std::fs::write(&path, index).unwrap();
        let error = Archive::open(&path).unwrap_err();
        assert_eq!(crate::error::exit_code(&error), 2);
        assert!(error.to_string().contains(expected), "{index}: {error}");
    }
}

#[test]
fn embedded_folders_read_like_folders_on_disk() {
    let content: &'static [u8] = bytes(&[("x", Tensor::scalar(5.0))]).leak();
    let files: &'static [EmbeddedFile] = vec![("unet/model.safetensors", content), ("index.json", b"{}" as &[u8])].leak();
    let folder = Folder::embedded(files);
    assert_eq!(folder.file_names(), ["index.json"]);
    assert!(folder.child("unet").exists() && !folder.child("vae").exists());
    assert_eq!(Archive::in_folder(&folder.child("unet"), "model").unwrap().tensor("x").unwrap().item().unwrap(), 5.0);
    assert!(folder.read("missing", 10).unwrap_err().to_string().contains("not part of this build"));
}
