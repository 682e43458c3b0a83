//! The same work for many things, on as many cores as there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` answers for each of `items`, in their order. After an error nothing more is begun.
///
/// # Errors
/// The first error in the order of `items`, of those that came.
pub fn in_parallel<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            // One by one, not in equal parts: some items take far longer than others. Only the number counts, so
            // `Relaxed` will do.
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            let result = work(item);
            if result.is_err() {
                // Behind the last one: nobody begins another.
                next.store(items.len(), Ordering::Relaxed);
            }
            done.push((index, result));
        }
    };
    let mut all = thread::scope(|scope| {
        // This thread works as well, so one fewer is started.
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    // So that the error that is told does not depend on who was first.
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_and_the_first_error_stops_the_rest() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |n| Ok::<_, ()>(n * 2)).unwrap(), (0..1000).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(in_parallel(&items, |&n| if n >= 7 { Err(n) } else { Ok(n) }), Err(7));
        assert_eq!(in_parallel(&[], |n: &u32| Ok::<_, ()>(*n)), Ok(vec![]));
    }
}
