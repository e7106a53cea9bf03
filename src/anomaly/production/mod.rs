//! Filling a folder with pairs of one type: which normal image, mask and template belong to which index, batches, writing, going on. While a batch is
//! computed, another thread reads what the next one needs, and others write the finished ones. Where a batch does not fit into a GPU's memory, smaller
//! ones are made from there on.

mod ahead;
mod order;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::anomaly::close_up::CloseUp;
use crate::anomaly::fitting::halved;
use crate::anomaly::generated_set::{self, Finished, GeneratedSet, PairPaths, check_amounts};
use crate::anomaly::generation::{Canvas, Generator, Glimpse, Job};
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::LookShare;
use crate::anomaly::places::{Place, Places, Prospects};
use crate::anomaly::presets::{BatchNormPolicy, GROUP};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Error, Result, bail};
use crate::tensor::Tensor;

use ahead::one_ahead;

pub use order::Order;

/// Who watches a run.
pub trait Observer {
    /// Work begins: `kept` of `total` pairs are there.
    fn started(&mut self, kept: u64, total: u64) {
        let _ = (kept, total);
    }

    /// These pairs are computed and on their way to the disk; with them the folder will hold `done`.
    fn finished(&mut self, pairs: &[Finished], done: u64);

    /// A batch did not fit into the GPU's memory; from here on `batch_size` images are computed together.
    fn does_not_fit(&mut self, error: &Error, batch_size: usize);

    /// How many steps of each image to decode for [`Observer::trace`], for the batch that starts with image `first`; 0 for none.
    fn glimpses(&self, first: u64) -> usize {
        let _ = first;
        0
    }

    /// What was seen while image `index` was made.
    fn trace(&mut self, index: u64, trace: &[Glimpse]) -> Result<()> {
        let _ = (index, trace);
        Ok(())
    }

    /// The signal that asks the run to stop, if one came.
    fn interrupted(&self) -> Option<i32> {
        None
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Pairs made by this call.
    pub made: u64,
    /// Pairs that were there.
    pub kept: u64,
}

/// Makes the pairs of an order that its folder lacks.
///
/// # Errors
/// Wrong input (exit code 2); [`Interrupted`](crate::error::Interrupted) after a signal, when every finished pair is on the disk.
pub fn produce(order: &Order, observer: &mut dyn Observer) -> Result<Summary> {
    let producer = Producer::new(order)?;
    let set = GeneratedSet::open(order.out, &order.kind, &producer.recipe, order.shard)?;
    let own = (0..order.count).filter(|&index| order.shard.contains(index)).count() as u64;
    let missing: Vec<u64> = set.missing(&order.kind, order.count).into_iter().filter(|&index| order.shard.contains(index)).collect();
    let kept = own - missing.len() as u64;
    let mut writer = set.into_writer()?;
    let mut done = kept;
    observer.started(kept, own);
    let mut batch_size = order.batch_size;
    while done < own {
        let batches: Vec<&[u64]> = missing[(done - kept) as usize..].chunks(batch_size).collect();
        let prepare = |indices: &&[u64], is_wanted: &dyn Fn() -> bool| producer.prepare(indices, is_wanted);
        let made = one_ahead(&batches, prepare, |indices, prepared| {
            // On a signal the batch is given up; what was queued before is written when the writer is dropped.
            let pairs = producer.batch(indices, prepared, observer)?;
            done += pairs.len() as u64;
            observer.finished(&pairs, done);
            writer.add(pairs)
        });
        if let Err(error) = made {
            batch_size = halved(batch_size, error, |error, half| observer.does_not_fit(error, half))?;
        }
    }
    writer.finish()?;
    Ok(Summary { made: done - kept, kept })
}

/// What a batch needs from the disk.
struct Prepared {
    batch: Prospects,
    /// What these are drawn on, where their masks are known.
    ground: Option<Ground>,
    /// Where batch norm looks at several masks: of all members of each group that the batch has a part of.
    groups: BTreeMap<u64, Prospects>,
}

/// What a batch is drawn on.
struct Ground {
    close_ups: Vec<CloseUp>,
    /// Made of these.
    canvas: Canvas,
}

struct Producer<'a> {
    order: &'a Order<'a>,
    places: Places<'a>,
    generator: Generator<'a>,
    recipe: String,
}

impl<'a> Producer<'a> {
    fn new(order: &'a Order<'a>) -> Result<Self> {
        check_amounts(order.count, "--batch-size", order.batch_size)?;
        let metadata = &order.learned.metadata;
        let generator = Generator::new(order.base, order.learned, order.kind.clone(), order.settings.clone(), order.seed)?;
        let side = metadata.resolution;
        let places = Places::new(order.dataset, order.base, &order.kind, &order.masks, metadata.preset.name, side, order.seed)?;
        let recipe = order.recipe(&places)?;
        Ok(Self { order, places, generator, recipe })
    }

    /// Reads what the batch of these indices needs; runs while another batch is computed.
    fn prepare(&self, indices: &[u64], is_wanted: &dyn Fn() -> bool) -> Result<Prepared> {
        let mut groups = BTreeMap::new();
        if self.order.learned.metadata.preset.batch_norm == BatchNormPolicy::Always {
            for group in indices.iter().map(|index| index / GROUP as u64) {
                if let Entry::Vacant(vacant) = groups.entry(group) {
                    vacant.insert(self.places.prospects(&members(group), is_wanted)?);
                }
            }
        }
        let batch = self.places.prospects(indices, is_wanted)?;
        let ground = batch.images().map(|images| self.ground(&images)).transpose()?;
        Ok(Prepared { batch, ground, groups })
    }

    /// The pairs of these indices.
    fn batch(&self, indices: &[u64], prepared: Prepared, observer: &mut dyn Observer) -> Result<Vec<Finished>> {
        let places = self.places.complete(indices, prepared.batch, &|| observer.interrupted())?;
        let Ground { close_ups, canvas } = match prepared.ground {
            Some(ground) => ground,
            None => self.ground(&images(&places))?,
        };
        let spatial = self.spatial(indices, &close_ups, prepared.groups, observer)?;
        let job = |((&index, close_up), spatial): ((&u64, &CloseUp), Tensor)| Job {
            normal: close_up.normal.clone(),
            mask: close_up.mask.clone(),
            spatial,
            template: self.template(index),
            look: self.look(index),
            index,
        };
        let jobs: Vec<Job> = indices.iter().zip(&close_ups).zip(spatial).map(job).collect();
        let (glimpses, stop) = (observer.glimpses(indices[0]), || observer.interrupted());
        let generated = self.generator.generate_on(canvas, &jobs, glimpses, &stop)?;
        let mut pairs = Vec::with_capacity(jobs.len());
        for (((job, generated), close_up), Place { drawn, normal }) in jobs.iter().zip(generated).zip(close_ups).zip(places) {
            if !generated.trace.is_empty() {
                observer.trace(job.index, &generated.trace)?;
            }
            let image = close_up.laid_back(&generated.image, &normal, &drawn.mask, self.order.settings.pasted_feather());
            pairs.push(Finished { image, mask: drawn.mask, entry: self.entry(job, drawn.source)? });
        }
        Ok(pairs)
    }

    fn close_ups(&self, images: &[(&Picture, &Mask)]) -> Vec<CloseUp> {
        images.iter().map(|(normal, mask)| CloseUp::new(normal, mask, self.order.learned.metadata.preset.close_up)).collect()
    }

    fn ground(&self, images: &[(&Picture, &Mask)]) -> Result<Ground> {
        let close_ups = self.close_ups(images);
        let canvas = self.generator.canvas(&close_ups.iter().map(|close_up| (&close_up.normal, &close_up.mask)).collect::<Vec<_>>())?;
        Ok(Ground { close_ups, canvas })
    }

    /// e_s of each index's mask. Where batch norm looks at several masks, these are always the same whole group of consecutive indices.
    fn spatial(&self, indices: &[u64], close_ups: &[CloseUp], groups: BTreeMap<u64, Prospects>, observer: &dyn Observer) -> Result<Vec<Tensor>> {
        if self.order.learned.metadata.preset.batch_norm != BatchNormPolicy::Always {
            return self.generator.embed(&masks(close_ups));
        }
        let mut embedded: BTreeMap<u64, Vec<Tensor>> = BTreeMap::new();
        for (group, prospects) in groups {
            let places = self.places.complete(&members(group), prospects, &|| observer.interrupted())?;
            embedded.insert(group, self.generator.embed(&masks(&self.close_ups(&images(&places))))?);
        }
        let size = GROUP as u64;
        Ok(indices.iter().map(|index| embedded[&(index / size)][(index % size) as usize].clone()).collect())
    }

    fn template(&self, index: u64) -> usize {
        self.order.learned.metadata.templates.draw(&mut self.places.sampler("template", index))
    }

    fn look(&self, index: u64) -> Vec<LookShare> {
        let pairs = self.places.found().training_pairs(split_rule(self.order.learned.metadata.preset.name)).len();
        LookShare::draw(pairs, &mut self.places.sampler("look", index))
    }

    fn entry(&self, job: &Job, mask_source: String) -> Result<generated_set::Entry> {
        let normal = self.places.normal(job.index);
        let Some(normal) = normal.strip_prefix(&self.order.dataset.root).ok().and_then(|path| path.to_str()) else {
            bail!("{} is not inside the data set's folder {}", normal.display(), self.order.dataset.root.display())
        };
        let PairPaths { image, mask } = PairPaths::new(&self.order.kind, job.index);
        let settings = &self.order.settings;
        Ok(generated_set::Entry {
            image,
            mask,
            normal: normal.replace('\\', "/"),
            object: self.order.kind.object.clone(),
            defect: self.order.kind.defect.clone(),
            index: job.index,
            seed: self.order.seed,
            template: self.order.learned.metadata.templates.sentences()[job.template].clone(),
            mask_source,
            steps: settings.steps,
            eta: settings.eta,
            guidance: settings.guidance,
            coarse_noise: settings.coarse_noise,
            close_up: self.order.learned.metadata.preset.close_up,
            reweight: settings.reweighting.mode.name().to_owned(),
            recipe: self.recipe.clone(),
        })
    }
}

/// The indices of a group.
fn members(group: u64) -> Vec<u64> {
    (group * GROUP as u64..(group + 1) * GROUP as u64).collect()
}

fn images(places: &[Place]) -> Vec<(&Picture, &Mask)> {
    places.iter().map(|place| (&place.normal, &place.drawn.mask)).collect()
}

fn masks(close_ups: &[CloseUp]) -> Vec<&Mask> {
    close_ups.iter().map(|close_up| &close_up.mask).collect()
}
