//! One batch ahead: what the next one needs from the disk is made on another thread while this one is computed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use rayon::ThreadPoolBuilder;

use crate::error::{Context, Result, anyhow};

/// Gives `work` each of `items` in order, with what `prepare` made of it. `prepare` has a thread of its own and makes one item's while `work` has the
/// item before it, no more. It may ask now and then whether anybody waits for it still.
///
/// # Errors
/// The first error of either in the order of the items: all items before one that cannot be prepared are worked on.
pub(super) fn one_ahead<I: Sync, P: Send>(
    items: &[I],
    prepare: impl Fn(&I, &dyn Fn() -> bool) -> Result<P> + Send,
    mut work: impl FnMut(&I, P) -> Result<()>,
) -> Result<()> {
    // A pool rather than a thread: what it runs may use several threads elsewhere, and must not wait for those that compute.
    let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "preparation".into()).build().context("starting the preparing thread")?;
    let is_over = AtomicBool::new(false);
    pool.in_place_scope(|scope| {
        let (sender, receiver) = sync_channel(0);
        let is_over = &is_over;
        scope.spawn(move |_| {
            for item in items {
                let prepared = prepare(item, &|| !is_over.load(Ordering::Relaxed));
                let is_last = prepared.is_err();
                if sender.send(prepared).is_err() || is_last {
                    return;
                }
            }
        });
        let outcome = items.iter().try_for_each(|item| match receiver.recv() {
            Ok(prepared) => work(item, prepared?),
            Err(_) => Err(anyhow!("the preparing thread has ended")),
        });
        is_over.store(true, Ordering::Relaxed);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::error::bail;

    #[test]
    fn each_item_is_worked_on_in_order_with_one_prepared_ahead() {
        let (prepared, items) = (AtomicUsize::new(0), (0..20).collect::<Vec<usize>>());
        let mut worked = Vec::new();
        let prepare = |&item: &usize, _: &dyn Fn() -> bool| {
            prepared.fetch_add(1, Ordering::SeqCst);
            Ok(10 * item)
        };
        let work = |&item: &usize, made: usize| {
            std::thread::sleep(Duration::from_millis(if item % 3 == 0 { 5 } else { 0 }));
            assert!((item + 1..=item + 2).contains(&prepared.load(Ordering::SeqCst)), "while item {item} is worked on");
            worked.push(made);
            Ok(())
        };
        one_ahead(&items, prepare, work).unwrap();
        assert_eq!(worked, items.iter().map(|item| 10 * item).collect::<Vec<_>>());
        one_ahead(&[], |_: &u8, _| Ok(()), |_, ()| bail!("there is none")).unwrap();
    }

    #[test]
    fn what_was_prepared_before_an_error_is_worked_on() {
        let mut worked = Vec::new();
        let prepare = |&item: &i32, _: &dyn Fn() -> bool| if item == 3 { bail!("item 3 is broken") } else { Ok(item) };
        let error = one_ahead(&[1, 2, 3, 4], prepare, |_, item| {
            worked.push(item);
            Ok(())
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), worked), ("item 3 is broken", vec![1, 2]));
    }

    #[test]
    fn preparing_ends_when_the_work_fails() {
        let prepare = |_: &i32, is_wanted: &dyn Fn() -> bool| {
            // As long as anybody waits for it.
            for _ in 0..10_000 {
                if !is_wanted() {
                    bail!("nobody waits");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        let first_at_once = |item: &i32, is_wanted: &dyn Fn() -> bool| if *item == 1 { Ok(()) } else { prepare(item, is_wanted) };
        let start = std::time::Instant::now();
        let error = one_ahead(&[1, 2, 3], first_at_once, |item, ()| bail!("item {item} does not work")).unwrap_err();
        assert_eq!(error.to_string(), "item 1 does not work");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_pool_of_one_thread_is_not_waited_for() {
        let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let sum = |&item: &u64, _: &dyn Fn() -> bool| {
            use rayon::prelude::*;
            Ok((0..item).into_par_iter().sum::<u64>())
        };
        let mut sums = Vec::new();
        pool.install(|| {
            one_ahead(&[10, 100], sum, |_, found| {
                sums.push(found);
                Ok(())
            })
        })
        .unwrap();
        assert_eq!(sums, [45, 4950]);
    }
}
