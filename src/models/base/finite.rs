//! Whether a model's weights are numbers at all.

use super::BaseModel;
use crate::error::Result;

impl BaseModel {
    /// The first weight that holds a number that is not finite (NaN or infinite), as a clause; `None` when all are finite. Reads every weight: for a model whose
    /// results were not finite.
    pub fn damaged_weight(&self) -> Result<Option<String>> {
        let parts = [("text encoder", &self.details.text_encoder), ("UNet", &self.details.unet), ("autoencoder", &self.details.vae)];
        for (network, part) in parts {
            for parameter in part.parameters.iter() {
                let elements = parameter.value().to_f32_vec()?;
                let bad = elements.iter().filter(|element| !element.is_finite()).count();
                if bad > 0 {
                    let (name, count) = (parameter.name(), elements.len());
                    return Ok(Some(format!("{bad} of {count} numbers of the {network}'s {name} are not finite")));
                }
            }
        }
        Ok(None)
    }
}
