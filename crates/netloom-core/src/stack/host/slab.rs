//! Things that are named by a slot and how often it was used.

pub(in crate::stack) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// The index and generation of what was put in.
    pub(in crate::stack) fn insert(&mut self, value: T) -> (u32, u32) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            (self.slots.len() - 1) as u32
        });
        let (generation, slot) = &mut self.slots[index as usize];
        *slot = Some(value);
        (index, *generation)
    }

    pub(in crate::stack) fn get(&self, (index, generation): (u32, u32)) -> Option<&T> {
        self.slots.get(index as usize).filter(|slot| slot.0 == generation)?.1.as_ref()
    }

    pub(in crate::stack) fn get_mut(&mut self, (index, generation): (u32, u32)) -> Option<&mut T> {
        self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation)?.1.as_mut()
    }

    pub(in crate::stack) fn remove(&mut self, (index, generation): (u32, u32)) -> Option<T> {
        let (current, slot) = self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation)?;
        let value = slot.take()?;
        *current = current.wrapping_add(1);
        self.free.push(index);
        Some(value)
    }
}
