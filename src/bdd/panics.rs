//! Where a step panicked. Cucumber's own runner silences panics for the whole run; this keeps the place and
//! silences only what a step raised.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::Once,
    task::Poll,
};

use futures::FutureExt as _;

thread_local! {
    /// How many watched futures this thread is inside of.
    static WATCHING: Cell<usize> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic, caught.
#[derive(Debug)]
pub struct Caught {
    /// The message, where the payload is a text.
    pub message: String,
    /// `src/bdd/steps/network.rs:12:5`
    pub place: Option<String>,
}

/// Runs a future and catches its panic. Panics of anything else (tasks that it spawned, for one) go to the
/// hook that was there before.
pub async fn watch<F: Future>(future: F) -> Result<F::Output, Caught> {
    install();
    let mut caught = pin!(AssertUnwindSafe(future).catch_unwind());
    std::future::poll_fn(move |cx| {
        WATCHING.set(WATCHING.get() + 1);
        let polled = caught.as_mut().poll(cx);
        WATCHING.set(WATCHING.get() - 1);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(output)) => Poll::Ready(Ok(output)),
            Poll::Ready(Err(payload)) => Poll::Ready(Err(Caught {
                message: text(payload.as_ref()),
                place: PLACE.with_borrow_mut(Option::take),
            })),
        }
    })
    .await
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WATCHING.try_with(Cell::get).unwrap_or(0) > 0 {
                let place = info.location().map(ToString::to_string);
                let _ = PLACE.try_with(|slot| slot.replace(place));
            } else {
                before(info);
            }
        }));
    });
}

fn text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "a panic without a message".into())
}
