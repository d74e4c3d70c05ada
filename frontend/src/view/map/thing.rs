//! What the things of the map have in common: a name among their kind, and where they are, so that only what can be seen is
//! drawn.

use super::plan::Who;
use super::scene::{Bridge, Cable, Frame, TALL, Wire};
use super::talk::Bow;

/// Something of the picture.
pub(super) trait Thing {
    /// What tells it from others of its kind.
    fn id(&self) -> String;
    /// Where it is, from one end to the other, downwards.
    fn span(&self) -> (f64, f64);
}

impl Thing for Wire {
    fn id(&self) -> String {
        self.key.ifindex.to_string()
    }

    fn span(&self) -> (f64, f64) {
        (self.y, self.y + TALL)
    }
}

impl Thing for Bridge {
    fn id(&self) -> String {
        self.key.ifindex.to_string()
    }

    fn span(&self) -> (f64, f64) {
        (self.y - 20.0, self.y + self.height)
    }
}

impl Thing for Frame {
    fn id(&self) -> String {
        match &self.bundle {
            Some((id, ..)) => id.clone(),
            None => format!("{:?}", self.who),
        }
    }

    fn span(&self) -> (f64, f64) {
        (self.y, self.y + TALL)
    }
}

impl Thing for Cable {
    /// One link may be at the right end of one and in the middle of another, and stand for a bundle.
    fn id(&self) -> String {
        let bundle = matches!(self.who, Who::Bundle(..));
        format!("{}.{}.{:.0}.{bundle}", self.key.netns, self.key.ifindex, self.to.0)
    }

    fn span(&self) -> (f64, f64) {
        (self.from.1, self.to.1)
    }
}

impl Thing for Bow {
    fn id(&self) -> String {
        format!("{:?}{:?}", self.ends.0, self.ends.1)
    }

    fn span(&self) -> (f64, f64) {
        (self.from, self.to)
    }
}
