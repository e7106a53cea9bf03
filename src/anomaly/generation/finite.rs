//! Whether numbers stay finite, without waiting for the GPU at every step.

use std::io::Write as _;

use crate::anomaly::latents;
use crate::device::Device;
use crate::error::{Error, Result, anyhow};
use crate::input_error;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::tensor::{DType, Tensor};

/// Steps between two looks.
const TOGETHER: usize = 8;

/// Looks now and then at the sum of all latents so far, which is not finite as soon as any number was not.
#[derive(Default)]
pub(super) struct FiniteSums {
    /// The time step behind the last look.
    since: Option<i32>,
    steps: usize,
}

impl FiniteSums {
    /// Takes in the sum behind a step; some steps later, and at the `last`, it is looked at.
    ///
    /// # Errors
    /// When a latent was not finite; the message names the time steps since the last look, and the model's damaged weight where there is one (exit code 2).
    pub(super) fn add(&mut self, base: &BaseModel, timestep: i32, sum: &Tensor, last: bool) -> Result<()> {
        let first = *self.since.get_or_insert(timestep);
        self.steps += 1;
        if self.steps < TOGETHER && !last {
            return Ok(());
        }
        if !sum.item()?.is_finite() {
            return Err(suspected(base, &format!("the latents were not finite between time steps {first} and {timestep}"))?);
        }
        *self = Self::default();
        Ok(())
    }
}

/// The pictures of latents, in host memory. An autoencoder whose numbers are too large for f16 goes on in f32 for good, and says so.
///
/// # Errors
/// When they are not finite in a wider type either; the message names the damaged weight where there is one (exit code 2).
pub(super) fn decode(base: &BaseModel, latent: &Tensor) -> Result<Tensor> {
    let decode = || latents::decode(&base.vae, latent)?.to_device(Device::Cpu);
    let (mut decoded, here) = (decode()?, base.vae.placement());
    if here.dtype == DType::F16 && !is_finite(&decoded)? {
        let _ = writeln!(std::io::stderr(), "note: the autoencoder's numbers are too large for f16; it goes on in f32");
        base.details.vae.parameters.place(Placement::f32(here.device))?;
        decoded = decode()?;
    }
    if !is_finite(&decoded)? {
        return Err(suspected(base, "the autoencoder gave a picture with numbers that are not finite")?);
    }
    Ok(decoded)
}

/// What may have led to numbers that are not finite.
fn suspected(base: &BaseModel, found: &str) -> Result<Error> {
    Ok(match base.damaged_weight()? {
        Some(damaged) => input_error!("{found}; {damaged}: the base model is damaged; copy or download it again, or give another with --model"),
        None => anyhow!("{found}, though the base model's weights are; try --dtype f32, and look at what was learned with `anodiff info`"),
    })
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.f32s()?.iter().all(|number| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::error::exit_code;
    use crate::nn::Parameter;
    use crate::testing::{miniature, random};

    const HOST_F16: Placement = Placement { device: Device::Cpu, dtype: DType::F16 };

    fn base() -> BaseModel {
        let folder = tempfile::tempdir().unwrap();
        miniature::model(folder.path(), 1);
        BaseModel::load(Some(folder.path()), Placement::HOST).unwrap()
    }

    fn weight<'a>(base: &'a BaseModel, name: &str) -> &'a Parameter {
        base.details.vae.parameters.iter().find(|parameter| parameter.name() == name).unwrap()
    }

    #[test]
    fn latents_are_looked_at_now_and_then_and_at_the_end() {
        let base = base();
        let (finite, infinite) = (Tensor::scalar(1.0), Tensor::scalar(f32::INFINITY));
        let mut sums = FiniteSums::default();
        (0..TOGETHER).for_each(|step| sums.add(&base, 900 - step as i32, &finite, false).unwrap());
        (1..TOGETHER).for_each(|step| sums.add(&base, 800 - step as i32, &infinite, false).unwrap());
        let error = sums.add(&base, 700, &infinite, false).unwrap_err();
        assert!(error.to_string().contains("between time steps 799 and 700") && error.to_string().contains("--dtype f32"), "{error}");
        let error = FiniteSums::default().add(&base, 11, &Tensor::scalar(f32::NAN), true).unwrap_err();
        assert!(error.to_string().contains("between time steps 11 and 11"), "{error}");
    }

    #[test]
    fn a_damaged_autoencoder_is_named_in_any_element_type() {
        for placement in [Placement::HOST, HOST_F16] {
            let base = base();
            let latent = random("latent", &[1, 8, 8, 4]);
            weight(&base, "decoder.conv_in.weight").update(|elements| elements[0] = f32::NAN).unwrap();
            base.details.vae.parameters.place(placement).unwrap();
            let error = decode(&base, &latent).unwrap_err();
            assert!(exit_code(&error) == 2 && error.to_string().contains("the autoencoder's decoder.conv_in.weight are not finite"), "{error}");
        }
    }

    /// Weights that fit into f16, activations that do not.
    #[test]
    fn an_autoencoder_that_is_too_large_for_f16_goes_on_in_f32() {
        let base = base();
        weight(&base, "decoder.conv_in.weight")
            .update(|elements| {
                let largest = elements.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
                elements.iter_mut().for_each(|x| *x *= 6e4 / largest);
            })
            .unwrap();
        let latent = random("latent", &[1, 8, 8, 4]);
        base.details.vae.parameters.place(HOST_F16).unwrap();
        assert!(!is_finite(&latents::decode(&base.vae, &latent).unwrap()).unwrap(), "f16 is wide enough");
        let decoded = decode(&base, &latent).unwrap();
        assert!(is_finite(&decoded).unwrap());
        assert_eq!(base.vae.placement(), Placement::HOST);
        assert_eq!(decoded.f32s().unwrap(), latents::decode(&base.vae, &latent).unwrap().f32s().unwrap());
    }

    #[test]
    fn the_change_to_f32_is_told() {
        let test = "anomaly::generation::finite::tests::an_autoencoder_that_is_too_large_for_f16_goes_on_in_f32";
        let output = Command::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        assert_eq!(told.matches("note: the autoencoder's numbers are too large for f16; it goes on in f32").count(), 1, "{told}");
    }

    #[test]
    fn an_autoencoder_that_fits_stays_in_f16() {
        let base = base();
        base.details.vae.parameters.place(HOST_F16).unwrap();
        decode(&base, &random("latent", &[1, 8, 8, 4])).unwrap();
        assert_eq!(base.vae.placement(), HOST_F16);
    }
}
