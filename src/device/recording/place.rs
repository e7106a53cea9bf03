//! Which layer is being computed.

/// A point in the sequence of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    network: &'static str,
    /// Layers that were entered before.
    entered: usize,
    /// In the last of them, or between it and the next.
    inside: bool,
}

/// The layers in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Visits {
    layers: Vec<String>,
    inside: bool,
    /// Networks that are being computed, the innermost last.
    pub networks: Vec<&'static str>,
    /// Where gradients are computed of what was computed there.
    pub again: Option<Place>,
}

impl Visits {
    /// Enters the layer of the parameter `..layer.weight`.
    pub fn enter(&mut self, parameter: &str) {
        let layer = parameter.rsplit_once('.').map_or(parameter, |(layer, _)| layer);
        let name = join(self.network(), layer);
        if !(self.inside && self.layers.last() == Some(&name)) {
            self.layers.push(name);
        }
        self.inside = true;
    }

    pub fn leave_layer(&mut self) {
        self.inside = false;
    }

    pub fn leave_network(&mut self) {
        self.networks.pop();
        self.inside = false;
    }

    pub fn place(&self) -> Place {
        self.again.unwrap_or(Place { network: self.network(), entered: self.layers.len(), inside: self.inside })
    }

    fn network(&self) -> &'static str {
        self.networks.last().copied().unwrap_or_default()
    }

    /// The layer of now, as far as it is known: between two layers the part that the last is in.
    pub fn current(&self) -> String {
        let place = self.place();
        if place.inside {
            return self.layer(place);
        }
        let last = self.before(place).and_then(|layer| layer.rsplit_once('.')).map_or("", |(parent, _)| parent);
        within(place.network, last).to_owned()
    }

    /// The layer of a place, when what came after it is known. Outside of all networks and layers: nothing.
    pub fn layer(&self, place: Place) -> String {
        let before = self.before(place).unwrap_or_default();
        if place.inside {
            return before.to_owned();
        }
        let after = self.layers.get(place.entered).map_or("", String::as_str);
        within(place.network, common(before, after)).to_owned()
    }

    fn before(&self, place: Place) -> Option<&str> {
        self.layers.get(place.entered.checked_sub(1)?).map(String::as_str)
    }
}

fn join(network: &str, layer: &str) -> String {
    if network.is_empty() { layer.to_owned() } else { format!("{network}.{layer}") }
}

/// `path` if it is in the network, else the network.
fn within<'a>(network: &'a str, path: &'a str) -> &'a str {
    let inside = path.strip_prefix(network).is_some_and(|rest| rest.starts_with('.'));
    if inside && !network.is_empty() { path } else { network }
}

/// The part of the network that holds both.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let length: usize = a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b).map(|(part, _)| part.len() + 1).sum();
    &a[..length.saturating_sub(1)]
}
