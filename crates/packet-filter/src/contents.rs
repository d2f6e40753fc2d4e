//! The elements of a set or map, ready to be looked a key up in.

use nf_tables::{Element, ElementFlags, Set, SetFlags};

/// One key, or one range of keys, and what it leads to.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    /// The lowest key.
    pub(crate) first: Vec<u8>,
    /// The highest key.
    pub(crate) last: Vec<u8>,
    /// The element that it stems from.
    pub(crate) element: &'a Element,
}

/// A set's elements: ranges of single-field keys are sorted, keys of several fields are compared field by field.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) set: &'a Set,
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) catch_all: Option<&'a Element>,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(set: &'a Set, elements: &'a [Element]) -> Self {
        let (catch_all, keyed): (Vec<_>, Vec<_>) =
            elements.iter().partition(|element| element.flags.contains(ElementFlags::CATCH_ALL));
        let mut entries = if is_sorted_by_ends(set) { intervals(set, keyed) } else { singles(keyed) };
        entries.sort_by(|a, b| a.first.cmp(&b.first));
        Self { set, entries, catch_all: catch_all.first().copied() }
    }

    /// What the key is found under: an element of its own, or the one that stands for all other keys.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&'a Element> {
        let found = if self.set.flags.contains(SetFlags::CONCAT) {
            self.entries.iter().find(|entry| self.fields_contain(entry, key)).map(|entry| entry.element)
        } else {
            let after = self.entries.partition_point(|entry| entry.first.as_slice() <= key);
            let entry = after.checked_sub(1).map(|at| &self.entries[at]);
            entry.filter(|entry| key <= entry.last.as_slice()).map(|entry| entry.element)
        };
        found.or(self.catch_all)
    }

    fn fields_contain(&self, entry: &Entry<'_>, key: &[u8]) -> bool {
        self.field_spans().all(|(start, end)| {
            match (entry.first.get(start..end), entry.last.get(start..end), key.get(start..end)) {
                (Some(first), Some(last), Some(value)) => first <= value && value <= last,
                _ => false,
            }
        })
    }

    /// Where each field of the key begins and ends; in registers each starts at a multiple of four.
    pub(crate) fn field_spans(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let fields =
            if self.set.fields.is_empty() { vec![self.set.key_length] } else { self.set.fields.clone() };
        fields.into_iter().scan(0_usize, |start, length| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let span = (*start, start.saturating_add(length));
            *start = start.saturating_add(length.next_multiple_of(4).max(length));
            Some(span)
        })
    }
}

/// Whether the set holds ranges as pairs of elements, where they begin and where they no longer hold.
fn is_sorted_by_ends(set: &Set) -> bool {
    set.flags.contains(SetFlags::INTERVAL) && !set.flags.contains(SetFlags::CONCAT)
}

fn singles(elements: Vec<&Element>) -> Vec<Entry<'_>> {
    elements
        .into_iter()
        .map(|element| Entry {
            first: element.key.clone(),
            last: element.key_end.clone().unwrap_or_else(|| element.key.clone()),
            element,
        })
        .collect()
}

/// Pairs each start with the next end. A start without an end reaches to the next start, or to the highest key.
fn intervals<'a>(set: &Set, mut elements: Vec<&'a Element>) -> Vec<Entry<'a>> {
    // Where one range ends and the next begins, the end comes first.
    elements.sort_by(|a, b| a.key.cmp(&b.key).then(b.is_interval_end().cmp(&a.is_interval_end())));
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut open: Option<&'a Element> = None;
    let mut close = |open: &mut Option<&'a Element>, last: Option<Vec<u8>>| {
        if let (Some(element), Some(last)) = (open.take(), last)
            && element.key <= last
        {
            entries.push(Entry { first: element.key.clone(), last, element });
        }
    };
    for element in elements {
        close(&mut open, predecessor(&element.key));
        if let (false, Some(end)) = (element.is_interval_end(), &element.key_end) {
            open = Some(element);
            close(&mut open, Some(end.clone()));
        } else if !element.is_interval_end() {
            open = Some(element);
        }
    }
    let length = usize::try_from(set.key_length).unwrap_or(0).min(64);
    close(&mut open, Some(vec![0xff; length]));
    entries
}

/// The key before, in network order; `None` before the lowest.
fn predecessor(key: &[u8]) -> Option<Vec<u8>> {
    let mut before = key.to_vec();
    for byte in before.iter_mut().rev() {
        let (value, borrowed) = byte.overflowing_sub(1);
        *byte = value;
        if !borrowed {
            return Some(before);
        }
    }
    None
}

/// The keys of a set: lowest, highest, and the element that they stem from; in no case is the element that stands for all other
/// keys among them. Where the keys have several fields, each field has a lowest and a highest value.
#[must_use]
pub fn key_ranges(dump: &nf_tables::SetDump) -> Vec<(Vec<u8>, Vec<u8>, &Element)> {
    let contents = Contents::new(&dump.set, &dump.elements);
    contents.entries.into_iter().map(|entry| (entry.first, entry.last, entry.element)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nf_tables::DataType;

    fn ports(ranges: &[(u16, u16)]) -> (Set, Vec<Element>) {
        let set = Set::new("ports", DataType::INET_SERVICE, 2).with_flags(SetFlags::INTERVAL);
        let elements =
            ranges.iter().flat_map(|(a, b)| Element::range(&a.to_be_bytes(), &b.to_be_bytes())).collect();
        (set, elements)
    }

    #[test]
    fn ranges_hold_both_their_ends_in_any_order_of_the_elements() {
        let (set, mut elements) = ports(&[(22, 22), (80, 81), (82, 90), (0, 3), (65000, 65535)]);
        for _ in 0..2 {
            let contents = Contents::new(&set, &elements);
            for (port, inside) in [
                (0, true),
                (3, true),
                (4, false),
                (21, false),
                (22, true),
                (23, false),
                (79, false),
                (80, true),
                (82, true),
                (90, true),
                (91, false),
                (64999, false),
                (65000, true),
                (65535, true),
            ] {
                assert_eq!(contents.find(&u16::to_be_bytes(port)).is_some(), inside, "{port}");
            }
            elements.reverse();
        }
    }

    #[test]
    fn keys_of_several_fields_are_compared_field_by_field() {
        let mut set = Set::new("pairs", DataType(0), 8).with_flags(SetFlags::INTERVAL | SetFlags::CONCAT);
        set.fields = vec![4, 2];
        let mut element = Element::new([10, 0, 0, 0, 0, 80, 0, 0]);
        element.key_end = Some(vec![10, 0, 0, 255, 0, 90, 0, 0]);
        let elements = [element];
        let contents = Contents::new(&set, &elements);
        assert!(contents.find(&[10, 0, 0, 7, 0, 85, 0, 0]).is_some());
        assert!(contents.find(&[10, 0, 0, 7, 0, 91, 0, 0]).is_none());
        assert!(contents.find(&[10, 0, 1, 0, 0, 85, 0, 0]).is_none());
    }

    #[test]
    fn the_catch_all_element_answers_for_every_other_key() {
        let set = Set::new("ports", DataType::INET_SERVICE, 2);
        let elements = [Element::new([0, 22]).with_comment("ssh"), Element::catch_all()];
        let contents = Contents::new(&set, &elements);
        assert_eq!(contents.find(&[0, 22]).and_then(Element::comment).as_deref(), Some("ssh"));
        assert!(contents.find(&[0, 23]).is_some_and(|found| found.flags.contains(ElementFlags::CATCH_ALL)));
    }
}
