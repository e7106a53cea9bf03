//! ImageNet weights as torchvision publishes them, as the values that a backbone starts from.

use std::path::Path as FilePath;

use super::{ResNet, ResNetConfig};
use crate::digest::hexadecimal;
use crate::error::{Result, bail};
use crate::nn::{ParameterSet, Path, Placement};
use crate::tensor::Tensor;
use crate::weights::Archive;

/// What torchvision's weights expect to be taken off each colour, pixels in 0 to 1, before it is divided by [`DEVIATION`].
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// See [`MEAN`].
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The backbone's values, for pixels in [-1, 1]: the normalisation of colours that they were trained with is inside.
#[derive(Clone, Debug)]
pub struct PretrainedBackbone {
    parameters: ParameterSet,
    /// Of the file's tensors, in hexadecimal.
    digest: String,
}

impl PretrainedBackbone {
    /// Reads a safetensors file with torchvision's names to where the network that starts from it is; its classifier `fc.*` is not looked at.
    ///
    /// # Errors
    /// When the file cannot be read or is of a ResNet of other sizes than `config` (exit code 2).
    pub fn load(path: &FilePath, config: &ResNetConfig, placement: Placement) -> Result<Self> {
        let archive = Archive::open(path)?.with_placement(placement);
        let root = Path::root(&archive);
        ResNet::new(&root, config)?;
        archive.finish_except(|name| name.starts_with("fc."))?;
        let digest = hexadecimal(&archive.digest()?);
        let backbone = Self { parameters: root.parameters(), digest };
        backbone.take_in_normalisation()?;
        Ok(backbone)
    }

    /// Names the weights in a run's identity.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Gives the backbone whose parameters are called `prefix` + torchvision's names these values.
    ///
    /// # Errors
    /// When `parameters` holds no such backbone.
    pub fn copy_into(&self, parameters: &ParameterSet, prefix: &str) -> Result<()> {
        for value in self.parameters.iter() {
            let name = format!("{prefix}{}", value.name());
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name() == name) else {
                bail!("no parameter {name} to start from a file")
            };
            parameter.set(value.value())?;
        }
        Ok(())
    }

    /// (pixel / 2 + 1/2 - mean) / deviation moves into the first convolution's weights and the running mean behind it: the same numbers come out
    /// except within three pixels of the border, where a padded zero is medium gray rather than [`MEAN`].
    fn take_in_normalisation(&self) -> Result<()> {
        let find = |name: &str| self.parameters.iter().find(|parameter| parameter.name() == name);
        let (Some(weight), Some(mean)) = (find("conv1.weight"), find("bn1.running_mean")) else {
            bail!("a ResNet without conv1.weight and bn1.running_mean")
        };
        let kernel = weight.checkpoint_value()?;
        let [outputs, _, height, width] = kernel.dims()?;
        let (mut values, mut means) = (kernel.to_f32_vec()?, mean.value().to_f32_vec()?);
        for (position, values) in values.chunks_exact_mut(height * width).enumerate() {
            let (output, color) = (position / 3, position % 3);
            let shift: f32 = values.iter().sum::<f32>() * (0.5 - MEAN[color]) / DEVIATION[color];
            means[output] -= shift;
            values.iter_mut().for_each(|value| *value /= 2.0 * DEVIATION[color]);
        }
        weight.set_checkpoint_value(Tensor::from_f32(values, &[outputs, 3, height, width])?)?;
        mean.set(Tensor::from_f32(means, &[outputs])?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::autograd::Var;
    use crate::models::resnet::{BlockKind, ResNetClassifier};
    use crate::testing::{Scattered, random, relative_error};
    use crate::weights;

    fn small() -> ResNetConfig {
        ResNetConfig { block: BlockKind::Basic, width: 4, layers: [1, 1, 1, 1] }
    }

    /// A file as torchvision's, with the classifier.
    fn file(folder: &FilePath) -> std::path::PathBuf {
        let root = Path::root(&Scattered);
        ResNetClassifier::new(&root, &small(), 7).unwrap();
        let path = folder.join("resnet.safetensors");
        weights::save(&path, &root.parameters().tensors().unwrap(), &BTreeMap::new()).unwrap();
        path
    }

    #[test]
    fn the_normalisation_of_colors_is_inside() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let archive = Archive::open(&path).unwrap();
        let published = ResNet::new(&Path::root(&archive), &small()).unwrap();
        let root = Path::root(&crate::nn::RandomInit { seed: 8 });
        let ours = ResNet::new(&root.child("body"), &small()).unwrap();
        let backbone = PretrainedBackbone::load(&path, &small(), Placement::HOST).unwrap();
        backbone.copy_into(&root.parameters(), "body.").unwrap();
        let pixels: Vec<f32> = random("pixels", &[3 * 32 * 32]).to_f32_vec().unwrap().iter().map(|value| value.sin()).collect();
        let normalised = pixels.iter().enumerate().map(|(i, pixel)| (0.5 * pixel + 0.5 - MEAN[i % 3]) / DEVIATION[i % 3]).collect();
        let stem = |network: &ResNet, pixels: Vec<f32>| {
            let image = Var::constant(Tensor::from_f32(pixels, &[1, 32, 32, 3]).unwrap());
            let stem = network.bn1.forward(&network.conv1.forward(&image).unwrap(), false).unwrap();
            // Without the two cells at the border.
            let values = stem.tensor().to_f32_vec().unwrap();
            let inner = |cell: usize| (2..14).contains(&(cell / 16)) && (2..14).contains(&(cell % 16));
            values.chunks(4).enumerate().filter(|(cell, _)| inner(*cell)).flat_map(|(_, values)| values.to_vec()).collect::<Vec<f32>>()
        };
        assert!(relative_error(&stem(&ours, pixels), &stem(&published, normalised)) < 1e-5);
    }

    #[test]
    fn other_sizes_and_missing_parts_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let wider = ResNetConfig { width: 8, ..small() };
        let message = format!("{:#}", PretrainedBackbone::load(&path, &wider, Placement::HOST).unwrap_err());
        assert!(message.contains("resnet.safetensors") && message.contains("conv1.weight"), "{message}");
        let backbone = PretrainedBackbone::load(&path, &small(), Placement::HOST).unwrap();
        assert_eq!(backbone.digest().len(), 64);
        assert!(backbone.copy_into(&ParameterSet::default(), "").is_err());
    }
}
