//! Reverse-mode differentiation over explicit ops. A [`Var`] is a tensor with, where a gradient is wanted, the closure that sends a gradient on
//! to what it was computed from. Nothing is recorded when no input wants a gradient, so inference costs nothing here. No op is known by name.

mod recorded;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::device::Device;
use crate::device::recording::Noted;
use crate::error::{Result, anyhow, ensure};
use crate::tensor::{self, Tensor};

/// Names a value whose gradient is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(u64);

impl VarId {
    /// An id never given before. Ids grow, so an output's id is larger than its inputs'.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Sends the gradient of an output on to the inputs: one entry an input, `None` where that input wants none.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>> + Send>;

struct Node {
    id: VarId,
    parents: Vec<Option<Arc<Node>>>,
    backward: Mutex<Option<Backward>>,
    /// What a recording under way knows of the op.
    noted: Option<Noted>,
}

/// A tensor that knows what it was computed from, where a gradient is wanted.
#[derive(Clone)]
pub struct Var {
    tensor: Tensor,
    node: Option<Arc<Node>>,
}

impl Var {
    /// A value that wants no gradient.
    pub fn constant(tensor: Tensor) -> Self {
        Self { tensor, node: None }
    }

    /// A value whose gradient is wanted, under a new id.
    pub fn leaf(tensor: Tensor) -> Self {
        Self::leaf_with_id(tensor, VarId::fresh())
    }

    /// A value whose gradient is wanted, under an id that outlives it (a parameter's).
    pub fn leaf_with_id(tensor: Tensor, id: VarId) -> Self {
        Self { tensor, node: Some(Arc::new(Node { id, parents: Vec::new(), backward: Mutex::new(None), noted: None })) }
    }

    /// The output of an op. `backward` gets the output's gradient (same shape and element type as `tensor`) and which inputs want theirs, and
    /// returns one entry per input. It is dropped unused when no input wants a gradient.
    pub fn record<const N: usize>(
        tensor: Tensor,
        inputs: [&Var; N],
        backward: impl FnOnce(&Tensor, [bool; N]) -> Result<[Option<Tensor>; N]> + Send + 'static,
    ) -> Self {
        let noted = recorded::note(&backward, &tensor, inputs);
        let wanted = inputs.map(Var::wants_gradient);
        if !wanted.contains(&true) {
            return Self::constant(tensor);
        }
        Self::computed(tensor, inputs, Box::new(move |gradient| Ok(backward(gradient, wanted)?.into())), noted)
    }

    /// [`Var::record`] for a number of inputs that is not known when compiling. An entry for an input that wants no gradient is ignored.
    pub fn record_many(tensor: Tensor, inputs: &[Var], backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + 'static) -> Self {
        let noted = recorded::note(&backward, &tensor, inputs);
        if !inputs.iter().any(Var::wants_gradient) {
            return Self::constant(tensor);
        }
        Self::computed(tensor, inputs, Box::new(backward), noted)
    }

    fn computed<'a>(tensor: Tensor, inputs: impl IntoIterator<Item = &'a Self>, backward: Backward, noted: Option<Noted>) -> Self {
        let parents = inputs.into_iter().map(|input| input.node.clone()).collect();
        let node = Node { id: VarId::fresh(), parents, backward: Mutex::new(Some(backward)), noted };
        Self { tensor, node: Some(Arc::new(node)) }
    }

    /// The value.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The value, without its history.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// The same value with no history: gradients stop here.
    pub fn detach(&self) -> Self {
        Self::constant(self.tensor.clone())
    }

    /// Whether a gradient with respect to this value, or to something that it was computed from, is wanted.
    pub fn wants_gradient(&self) -> bool {
        self.node.is_some()
    }

    /// Computes the gradients of this scalar with respect to every leaf that it depends on. Each step's closure, with the activations that it
    /// holds, is freed as soon as it has run; a second call on the same graph is an error.
    pub fn backward(&self) -> Result<Gradients> {
        ensure!(self.elements() == 1, "gradients start from one number, found shape {:?}", self.shape());
        self.backward_from(Tensor::full(1.0, self.shape()).to_dtype(self.dtype())?.to_device(self.device())?)
    }

    /// [`Var::backward`] from a given gradient of this value.
    pub fn backward_from(&self, gradient: Tensor) -> Result<Gradients> {
        ensure!(gradient.shape() == self.shape(), "a gradient has its value's shape {:?}, found {:?}", self.shape(), gradient.shape());
        let mut leaves = HashMap::new();
        // Ordered by id, the last first: a node is reached only after everything that was computed from it.
        let mut pending: BTreeMap<VarId, (Arc<Node>, Tensor)> = BTreeMap::new();
        if let Some(node) = &self.node {
            pending.insert(node.id, (Arc::clone(node), gradient));
        }
        while let Some((id, (node, gradient))) = pending.pop_last() {
            if node.parents.is_empty() {
                leaves.insert(id, gradient);
                continue;
            }
            let backward = node.backward.lock().map_err(|_| anyhow!("a backward step panicked"))?.take();
            let backward = backward.ok_or_else(|| anyhow!("gradients of this graph were already computed once"))?;
            let shares = recorded::watch(node.noted.as_ref(), || backward(&gradient))?;
            drop(gradient);
            ensure!(shares.len() == node.parents.len(), "a backward step gave {} gradients for {} inputs", shares.len(), node.parents.len());
            for (parent, share) in node.parents.iter().zip(shares) {
                let (Some(parent), Some(share)) = (parent, share) else { continue };
                let total = match pending.remove(&parent.id) {
                    Some((_, sum)) => add(sum, &share)?,
                    None => share,
                };
                pending.insert(parent.id, (Arc::clone(parent), total));
            }
        }
        Ok(Gradients { leaves })
    }

    /// The id under which [`Gradients`] holds this value's gradient, if it is a leaf.
    pub fn id(&self) -> Option<VarId> {
        self.node.as_ref().map(|node| node.id)
    }
}

/// Sum of two gradients of the same value, in place where possible.
fn add(mut sum: Tensor, share: &Tensor) -> Result<Tensor> {
    ensure!(sum.shape() == share.shape(), "gradients of one value differ in shape: {:?} and {:?}", sum.shape(), share.shape());
    if let Device::Cuda(cuda) = sum.device() {
        return tensor::cuda::add(&cuda, &sum, share);
    }
    let other = share.f32s()?;
    if let Some(elements) = sum.f32s_mut() {
        elements.iter_mut().zip(other.iter()).for_each(|(a, b)| *a += b);
        return Ok(sum);
    }
    let total: Vec<f32> = sum.f32s()?.iter().zip(other.iter()).map(|(a, b)| a + b).collect();
    Tensor::from_f32_as(total.into(), sum.shape(), sum.dtype())
}

impl Deref for Var {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl From<Tensor> for Var {
    fn from(tensor: Tensor) -> Self {
        Self::constant(tensor)
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}{}", self.tensor, if self.wants_gradient() { " with gradient" } else { "" })
    }
}

impl Drop for Node {
    /// Frees long chains in a loop: a recursive drop would overflow the stack on a deep graph.
    fn drop(&mut self) {
        let mut waiting: Vec<Arc<Node>> = self.parents.drain(..).flatten().collect();
        if let Ok(backward) = self.backward.get_mut() {
            *backward = None;
        }
        while let Some(node) = waiting.pop() {
            if let Ok(mut node) = Arc::try_unwrap(node) {
                waiting.extend(node.parents.drain(..).flatten());
            }
        }
    }
}

/// Gradients of one scalar with respect to the leaves that it depends on.
#[derive(Debug, Default)]
pub struct Gradients {
    leaves: HashMap<VarId, Tensor>,
}

impl Gradients {
    /// The gradient with respect to a leaf, `None` when the scalar does not depend on it.
    pub fn get(&self, leaf: &Var) -> Option<&Tensor> {
        self.by_id(leaf.id()?)
    }

    /// The gradient with respect to the leaf of this id.
    pub fn by_id(&self, id: VarId) -> Option<&Tensor> {
        self.leaves.get(&id)
    }

    /// Adds another scalar's gradients, as gradient accumulation does.
    pub fn accumulate(&mut self, other: Gradients) -> Result<()> {
        for (id, share) in other.leaves {
            let total = match self.leaves.remove(&id) {
                Some(sum) => add(sum, &share)?,
                None => share,
            };
            self.leaves.insert(id, total);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(a: &Var, b: &Var) -> Var {
        let multiply = |x: &Tensor, y: &Tensor| Tensor::scalar(x.item().unwrap() * y.item().unwrap());
        let (x, y) = (a.tensor().clone(), b.tensor().clone());
        Var::record(multiply(&x, &y), [a, b], move |gradient, _| Ok([Some(multiply(gradient, &y)), Some(multiply(gradient, &x))]))
    }

    #[test]
    fn a_value_used_twice_gets_both_shares() {
        let x = Var::leaf(Tensor::scalar(3.0));
        let cube = product(&product(&x, &x), &x);
        let gradients = cube.backward().unwrap();
        assert_eq!(gradients.get(&x).unwrap().item().unwrap(), 27.0);
        assert!(cube.backward().is_err(), "the graph is used up");
    }

    #[test]
    fn constants_record_nothing() {
        let x = Var::constant(Tensor::scalar(3.0));
        assert!(!product(&x, &x).wants_gradient());
    }

    #[test]
    fn a_deep_graph_is_freed_without_recursion() {
        let mut value = Var::leaf(Tensor::scalar(1.0));
        let one = Var::constant(Tensor::scalar(1.0));
        for _ in 0..200_000 {
            value = product(&value, &one);
        }
        drop(value);
    }
}
